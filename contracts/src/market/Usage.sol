// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ILicenses} from "../interfaces/ILicenses.sol";
import {IUsage} from "../interfaces/IUsage.sol";
import {Signatures} from "../lib/Signatures.sol";
import {Records} from "./Records.sol";
import {Revenue} from "./Revenue.sol";
import {Tokens} from "./Tokens.sol";

/// @title Metered use: deposits, and cumulative vouchers charged against them.
abstract contract Usage is Tokens, Revenue, Records {
    bytes32 private constant VOUCHER_TYPEHASH =
        keccak256("Voucher(uint64 license,uint64 cumulativeUnits,uint64 cumulativeAmount,bytes32 reportsRoot)");

    /// @notice See IUsage.
    function deposit(address token, address account, uint64 amount) external nonReentrant {
        _credit(token, account, msg.sender, amount);
        _pull(token, msg.sender, amount);
    }

    /// @notice See IUsage.
    function depositWithAuthorization(
        address token,
        address from,
        address account,
        uint64 amount,
        bytes32 ref,
        uint256 validBefore,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        _credit(token, account, from, amount);
        _pullAuthorized(token, from, amount, validBefore, depositNonce(account, ref), v, r, s);
    }

    /// @notice See IUsage.
    function charge(IUsage.Voucher calldata voucher, address payer, bytes32 order, bytes calldata signature)
        external
        returns (uint64 moved)
    {
        ILicenses.Purchase memory bought = _purchase(payer, order);
        if (bought.license != voucher.license) revert IUsage.UsageLicenseMismatch(voucher.license, bought.license);
        ILicenses.License memory license = _licenses[bought.license];
        address token = _tokens[bought.token - 1];
        bytes32 message = keccak256(abi.encode(VOUCHER_TYPEHASH, voucher));
        if (!Signatures.isValid(license.licensee, _hashTypedDataV4(message), signature)) {
            revert IUsage.UsageBadSignature(license.licensee);
        }
        IUsage.Charge memory before = _charges[voucher.license];
        if (
            voucher.cumulativeUnits < before.units || voucher.cumulativeAmount < before.amount
                || (voucher.cumulativeUnits == before.units && voucher.cumulativeAmount == before.amount)
        ) revert IUsage.UsageVoucherNotNewer(voucher.license, before.units, before.amount);

        IUsage.Deposit storage account = _deposits[token][payer];
        uint64 balance = account.balance;
        moved = voucher.cumulativeAmount - before.amount;
        if (moved > balance) moved = balance;
        // An empty deposit and no new units: nothing would change, and the voucher can be charged later.
        if (moved == 0 && voucher.cumulativeUnits == before.units) {
            revert IUsage.UsageDepositTooLow(token, payer, balance, voucher.cumulativeAmount - before.amount);
        }
        uint64 total = before.amount + moved;
        _charges[voucher.license] = IUsage.Charge(voucher.cumulativeUnits, total);
        if (moved != 0) {
            account.balance = balance - moved;
            _release(token, moved);
        }
        emit IUsage.Charged(
            voucher.license,
            license.dataset,
            payer,
            token,
            voucher.cumulativeUnits,
            voucher.cumulativeAmount,
            moved,
            total,
            voucher.reportsRoot
        );
    }

    /// @notice See IUsage.
    function depositNonce(address account, bytes32 ref) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), account, ref));
    }

    /// @dev Pays a purchase from a deposit.
    function _spendDeposit(address token, address payer, uint256 amount) internal {
        IUsage.Deposit storage account = _deposits[token][payer];
        if (amount > account.balance) revert IUsage.UsageDepositTooLow(token, payer, account.balance, amount);
        account.balance = uint64(account.balance - amount);
    }

    function _credit(address token, address account, address from, uint64 amount) private {
        _allowedIndex(token);
        if (amount == 0) revert IUsage.UsageZeroAmount();
        IUsage.Deposit storage target = _deposits[token][account];
        target.balance = SafeCast.toUint64(uint256(target.balance) + amount);
        emit IUsage.Deposited(token, account, from, amount);
    }
}
