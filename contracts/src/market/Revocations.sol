// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

import {ILicenses} from "../interfaces/ILicenses.sol";
import {Records} from "./Records.sol";
import {Revenue} from "./Revenue.sol";
import {Tokens} from "./Tokens.sol";

/// @title How a license or an offer ends early: refund while held, revocation on a named ground, cancelled offers.
abstract contract Revocations is Tokens, Revenue, Records {
    bytes32 private constant CANCELLATION_TYPEHASH =
        keccak256("OfferCancellation(uint64 dataset,uint256 nonce,uint256 deadline)");
    bytes32 private constant REVOCATION_TYPEHASH =
        keccak256("Revocation(uint64 license,uint16 ground,bytes32 reason,uint32 round,uint256 deadline)");
    bytes32 private constant WITHDRAWAL_TYPEHASH =
        keccak256("RevocationWithdrawal(uint64 license,uint32 round,uint256 deadline)");

    /// @notice See ILicenses.
    function refund(address payer, bytes32 order) external nonReentrant {
        ILicenses.Purchase memory bought = _purchase(payer, order);
        ILicenses.License memory record = _licenses[bought.license];
        address owner = REGISTRY.ownerOf(record.dataset);
        if (msg.sender != owner) {
            (bool allowed,) = IAccessManager(authority()).canCall(msg.sender, address(this), msg.sig);
            if (!allowed) revert ILicenses.LicensesNotRefunder(record.dataset, msg.sender);
        }
        if (record.status != ACTIVE) revert ILicenses.LicensesNotActive(bought.license, record.status);
        uint256 heldUntil = bought.bucket == 0 ? bought.start : bought.bucket * BUCKET_SECONDS;
        if (block.timestamp >= heldUntil) {
            revert ILicenses.LicensesHoldOver(bought.license, heldUntil, block.timestamp);
        }
        address token = _tokens[bought.token - 1];
        _unhold(token, bought.price, bought.bucket);
        _end(bought.license, record.licensee, REFUNDED);
        emit ILicenses.LicenseRefunded(bought.license, record.dataset, payer, token, bought.price);
        if (bought.price != 0) _send(token, payer, bought.price);
    }

    /// @notice See ILicenses.
    function announceRevocation(
        address payer,
        bytes32 order,
        uint16 ground,
        bytes32 reason,
        uint256 deadline,
        bytes calldata signature
    ) external {
        ILicenses.Purchase memory bought = _purchase(payer, order);
        ILicenses.License memory record = _licenses[bought.license];
        ILicenses.Revocation memory revocation = _revocations[bought.license];
        _checkOwnerOrSignature(
            record.dataset,
            keccak256(abi.encode(REVOCATION_TYPEHASH, bought.license, ground, reason, revocation.round, deadline)),
            deadline,
            signature
        );
        if (record.status != ACTIVE) revert ILicenses.LicensesNotActive(bought.license, record.status);
        // One ground at a time: a power of two that the offer named.
        if (ground == 0 || ground & (ground - 1) != 0 || ground & bought.grounds == 0) {
            revert ILicenses.LicensesGroundNotAgreed(bought.license, ground, bought.grounds);
        }
        if (revocation.executableAt != 0) {
            revert ILicenses.LicensesRevocationPending(bought.license, revocation.executableAt);
        }
        uint40 executableAt = uint40(block.timestamp + uint256(bought.cureDays) * 1 days);
        _revocations[bought.license] = ILicenses.Revocation(executableAt, ground, revocation.round + 1);
        emit ILicenses.RevocationAnnounced(bought.license, ground, reason, executableAt);
    }

    /// @notice See ILicenses.
    function withdrawRevocation(uint64 id, uint256 deadline, bytes calldata signature) external {
        ILicenses.Revocation storage revocation = _announced(id);
        _checkOwnerOrSignature(
            _licenses[id].dataset,
            keccak256(abi.encode(WITHDRAWAL_TYPEHASH, id, revocation.round, deadline)),
            deadline,
            signature
        );
        revocation.executableAt = 0;
        emit ILicenses.RevocationWithdrawn(id);
    }

    /// @notice See ILicenses.
    function executeRevocation(uint64 id) external {
        ILicenses.Revocation storage revocation = _announced(id);
        ILicenses.License memory record = _licenses[id];
        if (record.status != ACTIVE) revert ILicenses.LicensesNotActive(id, record.status);
        if (block.timestamp < revocation.executableAt) {
            revert ILicenses.LicensesCurePeriod(id, revocation.executableAt, block.timestamp);
        }
        revocation.executableAt = 0;
        _end(id, record.licensee, REVOKED);
        emit ILicenses.LicenseRevoked(id, record.dataset, revocation.ground);
    }

    /// @notice See ILicenses.
    function cancelOffer(uint64 dataset, uint256 nonce, uint256 deadline, bytes calldata signature) external {
        bytes32 message = keccak256(abi.encode(CANCELLATION_TYPEHASH, dataset, nonce, deadline));
        _checkOwnerOrSignature(dataset, message, deadline, signature);
        if (_offers[dataset][nonce].cancelled) revert ILicenses.LicensesOfferCancelled(dataset, nonce);
        _offers[dataset][nonce].cancelled = true;
        emit ILicenses.OfferCancelled(dataset, nonce);
    }

    /// @notice See ILicenses.
    function revocationOf(uint256 id) external view returns (ILicenses.Revocation memory) {
        return _revocations[id];
    }

    /// @notice See ILicenses.
    function offerState(uint256 dataset, uint256 nonce) external view returns (bool cancelled, uint256 sold) {
        OfferState memory state = _offers[dataset][nonce];
        return (state.cancelled, state.sold);
    }

    function _checkOwnerOrSignature(uint256 dataset, bytes32 message, uint256 deadline, bytes calldata signature)
        private
        view
    {
        address owner = REGISTRY.ownerOf(dataset);
        if (msg.sender == owner) return;
        if (signature.length == 0) revert ILicenses.LicensesNotOwner(dataset, owner, msg.sender);
        if (block.timestamp > deadline) revert ILicenses.LicensesExpired(deadline, block.timestamp);
        _checkSignature(owner, message, signature);
    }

    function _announced(uint64 id) private view returns (ILicenses.Revocation storage revocation) {
        revocation = _revocations[id];
        if (revocation.executableAt == 0) revert ILicenses.LicensesNoRevocation(id);
    }
}
