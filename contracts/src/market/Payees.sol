// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IPayees} from "../interfaces/IPayees.sol";
import {Signatures} from "../lib/Signatures.sol";
import {State} from "./State.sol";

/// @title Payees: a dense number for each account that shares in income.
abstract contract Payees is State {
    bytes32 private constant ACCEPTANCE_TYPEHASH = keccak256("PayeeAcceptance(address account,uint256 deadline)");
    bytes32 private constant CHANGE_TYPEHASH =
        keccak256("PayeeChange(uint32 payee,address to,uint32 nonce,uint256 deadline)");

    /// @notice See IPayees.
    function enrollOwner(uint256 dataset) external returns (uint32) {
        return _enroll(REGISTRY.ownerOf(dataset), true);
    }

    /// @notice See IPayees.
    function invitePayee(address account) external returns (uint32) {
        return _enroll(account, false);
    }

    /// @notice See IPayees.
    function acceptPayee(address account, uint256 deadline, bytes calldata signature) external returns (uint32) {
        if (msg.sender != account) {
            _checkConsent(account, keccak256(abi.encode(ACCEPTANCE_TYPEHASH, account, deadline)), deadline, signature);
        }
        return _enroll(account, true);
    }

    /// @notice See IPayees.
    function announcePayeeChange(uint32 id, address to, uint256 deadline, bytes calldata signature) external {
        IPayees.Payee storage record = _known(id);
        if (to == address(0)) revert IPayees.PayeesZeroAccount();
        uint32 nonce = record.nonce;
        if (msg.sender != record.account) {
            bytes32 message = keccak256(abi.encode(CHANGE_TYPEHASH, id, to, nonce, deadline));
            _checkConsent(record.account, message, deadline, signature);
        }
        uint40 changeAt = uint40(block.timestamp + PAYEE_DELAY);
        record.nonce = nonce + 1;
        record.changeAt = changeAt;
        record.next = to;
        emit IPayees.PayeeChangeAnnounced(id, to, changeAt);
    }

    /// @notice See IPayees.
    function cancelPayeeChange(uint32 id) external {
        IPayees.Payee storage record = _known(id);
        if (msg.sender != record.account) revert IPayees.PayeesNotAccount(id, record.account, msg.sender);
        if (record.changeAt == 0) revert IPayees.PayeesNoChange(id);
        record.changeAt = 0;
        record.next = address(0);
        emit IPayees.PayeeChangeCancelled(id);
    }

    /// @notice See IPayees.
    function applyPayeeChange(uint32 id) external {
        IPayees.Payee storage record = _known(id);
        uint256 changeAt = record.changeAt;
        if (changeAt == 0) revert IPayees.PayeesNoChange(id);
        if (block.timestamp < changeAt) revert IPayees.PayeesChangeNotDue(id, changeAt, block.timestamp);
        (address from, address to) = (record.account, record.next);
        record.account = to;
        record.accepted = true;
        record.changeAt = 0;
        record.next = address(0);
        if (_payeeNumbers[from] == id) _payeeNumbers[from] = 0;
        // Somebody may have invited the new account before: it keeps that number, and this one pays to it as well.
        if (_payeeNumbers[to] == 0) _payeeNumbers[to] = id;
        emit IPayees.PayeeChanged(id, from, to);
    }

    /// @notice See IPayees.
    function payee(uint32 id) external view returns (IPayees.Payee memory) {
        return _known(id);
    }

    /// @notice See IPayees.
    function payeeOf(address account) external view returns (uint32) {
        return _payeeNumbers[account];
    }

    /// @notice See IPayees.
    function payeeCount() external view returns (uint256) {
        return _payeeCounters.payees;
    }

    /// @dev Number of an account; a new one is added, and an invited one becomes accepted if `accepted`.
    function _enroll(address account, bool accepted) private returns (uint32 id) {
        if (account == address(0)) revert IPayees.PayeesZeroAccount();
        id = _payeeNumbers[account];
        if (id == 0) {
            id = ++_payeeCounters.payees;
            _payeeNumbers[account] = id;
            _payees[id].account = account;
            _payees[id].accepted = accepted;
            emit IPayees.PayeeAdded(id, account, accepted);
        } else if (accepted && !_payees[id].accepted) {
            _payees[id].accepted = true;
            emit IPayees.PayeeAccepted(id);
        }
    }

    function _checkConsent(address signer, bytes32 message, uint256 deadline, bytes calldata signature) private view {
        if (block.timestamp > deadline) revert IPayees.PayeesExpired(deadline, block.timestamp);
        if (!Signatures.isValid(signer, _hashTypedDataV4(message), signature)) {
            revert IPayees.PayeesBadSignature(signer);
        }
    }

    function _known(uint256 id) internal view returns (IPayees.Payee storage record) {
        record = _payees[id];
        if (record.account == address(0)) revert IPayees.PayeesUnknown(id);
    }
}
