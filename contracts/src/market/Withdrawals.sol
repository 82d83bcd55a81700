// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IUsage} from "../interfaces/IUsage.sol";
import {Tokens} from "./Tokens.sol";

/// @title Withdrawal of deposits, with a notice in which what was used can still be charged.
abstract contract Withdrawals is Tokens {
    /// @notice See IUsage.
    function requestWithdrawal(address token, uint64 amount) external {
        IUsage.Deposit storage account = _deposits[token][msg.sender];
        if (amount == 0) revert IUsage.UsageZeroAmount();
        if (amount > account.balance) revert IUsage.UsageDepositTooLow(token, msg.sender, account.balance, amount);
        uint40 withdrawableAt = uint40(block.timestamp + NOTICE);
        account.requested = amount;
        account.withdrawableAt = withdrawableAt;
        emit IUsage.WithdrawalRequested(token, msg.sender, amount, withdrawableAt);
    }

    /// @notice See IUsage.
    function withdraw(address token) external nonReentrant {
        IUsage.Deposit memory account = _deposits[token][msg.sender];
        if (account.withdrawableAt == 0) revert IUsage.UsageNoWithdrawal(token, msg.sender);
        if (block.timestamp < account.withdrawableAt) {
            revert IUsage.UsageWithdrawalNotice(account.withdrawableAt, block.timestamp);
        }
        // Else one request, made long before, would be a way to leave without notice for ever.
        uint256 lapsesAt = account.withdrawableAt + NOTICE;
        if (block.timestamp >= lapsesAt) revert IUsage.UsageWithdrawalLapsed(lapsesAt, block.timestamp);
        uint64 amount = account.requested < account.balance ? account.requested : account.balance;
        _deposits[token][msg.sender] = IUsage.Deposit(account.balance - amount, 0, 0);
        emit IUsage.Withdrawn(token, msg.sender, amount);
        _send(token, msg.sender, amount);
    }

    /// @notice See IUsage.
    function depositOf(address token, address account) external view returns (IUsage.Deposit memory) {
        return _deposits[token][account];
    }

    /// @notice See IUsage.
    function chargeOf(uint256 license) external view returns (IUsage.Charge memory) {
        return _charges[license];
    }
}
