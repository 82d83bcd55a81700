// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC1155} from "@openzeppelin/contracts/interfaces/IERC1155.sol";
import {IERC2612} from "@openzeppelin/contracts/interfaces/IERC2612.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ILicenses} from "../interfaces/ILicenses.sol";
import {FeeHistory} from "../lib/FeeHistory.sol";
import {Words} from "../lib/Words.sol";
import {Usage} from "./Usage.sol";

/// @title Licenses: an offer signed by a dataset's owner becomes a record of what a licensee may do.
abstract contract Licenses is Usage {
    using FeeHistory for uint160;

    uint256 public constant MAX_HOLD_SECONDS = 365 days;

    uint8 private constant BY_NOTHING = 0;
    uint8 private constant BY_AUTHORIZATION = 1;
    uint8 private constant BY_ALLOWANCE = 2;
    uint8 private constant BY_DEPOSIT = 3;

    bytes32 private constant OFFER_TYPEHASH = keccak256(
        "Offer(uint64 dataset,uint32 version,bytes32 terms,bytes32 document,uint16 uses,uint64 price,address token,uint16 feeBps,uint32 holdSeconds,uint32 termSeconds,uint40 expiry,uint32 maxLicenses,address licensee,uint16 grounds,uint16 cureDays,uint64 unitPrice,uint256 nonce)"
    );
    bytes32 private constant ORDER_TYPEHASH =
        keccak256("Order(bytes32 offer,address payer,address licensee,bytes32 order,uint256 validBefore)");

    /// @notice See ILicenses.
    function buyWithAuthorization(
        ILicenses.Offer calldata offer,
        bytes calldata ownerSignature,
        ILicenses.Order calldata order,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant returns (uint64 id) {
        if (offer.price == 0) revert ILicenses.LicensesNothingToPay();
        bytes32 hash = hashOffer(offer);
        id = _record(offer, hash, ownerSignature, order, BY_AUTHORIZATION);
        bytes32 nonce = orderNonce(hash, order.licensee, order.order);
        _pullAuthorized(offer.token, order.payer, offer.price, order.validBefore, nonce, v, r, s);
    }

    /// @notice See ILicenses.
    function buyWithPermit(
        ILicenses.Offer calldata offer,
        bytes calldata ownerSignature,
        ILicenses.Order calldata order,
        bytes calldata payerSignature,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant returns (uint64 id) {
        if (offer.price == 0) revert ILicenses.LicensesNothingToPay();
        id = _buy(offer, ownerSignature, order, payerSignature, BY_ALLOWANCE);
        // Whoever submits the permit first only sets the allowance that is wanted; the transfer decides.
        try IERC2612(offer.token).permit(order.payer, address(this), offer.price, order.validBefore, v, r, s) {}
            catch {}
        _pull(offer.token, order.payer, offer.price);
    }

    /// @notice See ILicenses.
    function buy(
        ILicenses.Offer calldata offer,
        bytes calldata ownerSignature,
        ILicenses.Order calldata order,
        bytes calldata payerSignature
    ) external nonReentrant returns (uint64 id) {
        id = _buy(offer, ownerSignature, order, payerSignature, offer.price == 0 ? BY_NOTHING : BY_ALLOWANCE);
        if (offer.price != 0) _pull(offer.token, order.payer, offer.price);
    }

    /// @notice See ILicenses.
    function buyFromDeposit(
        ILicenses.Offer calldata offer,
        bytes calldata ownerSignature,
        ILicenses.Order calldata order,
        bytes calldata payerSignature
    ) external nonReentrant returns (uint64 id) {
        if (offer.price == 0) revert ILicenses.LicensesNothingToPay();
        _spendDeposit(offer.token, order.payer, offer.price);
        id = _buy(offer, ownerSignature, order, payerSignature, BY_DEPOSIT);
    }

    /// @notice See ILicenses.
    function entitlement(uint256 id, uint16 use)
        external
        view
        returns (bool active, address licensee, uint256 dataset)
    {
        ILicenses.License memory record = _licenses[id];
        return (_permits(record, use), record.licensee, record.dataset);
    }

    /// @notice See ILicenses.
    function isActive(uint256 id, uint16 use) external view returns (bool) {
        return _permits(_licenses[id], use);
    }

    /// @notice See ILicenses.
    function orderNonce(bytes32 offer, address licensee, bytes32 order) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), offer, licensee, order));
    }

    /// @notice See ILicenses.
    function hashOffer(ILicenses.Offer calldata offer) public pure returns (bytes32 hash) {
        // Calldata holds the 17 words that EIP-712 hashes. Where a word has bits beyond its type, the hash is one that
        // no owner signed.
        bytes32 typeHash = OFFER_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 0x20), offer, 544)
            hash := keccak256(free, 576)
        }
    }

    /// @dev A purchase whose money does not itself prove that the payer wants this license.
    function _buy(
        ILicenses.Offer calldata offer,
        bytes calldata ownerSignature,
        ILicenses.Order calldata order,
        bytes calldata payerSignature,
        uint8 paidBy
    ) private returns (uint64) {
        bytes32 hash = hashOffer(offer);
        if (msg.sender != order.payer) {
            if (payerSignature.length == 0) revert ILicenses.LicensesNotPayer(order.payer, msg.sender);
            _checkSignature(order.payer, keccak256(abi.encode(ORDER_TYPEHASH, hash, order)), payerSignature);
        }
        return _record(offer, hash, ownerSignature, order, paidBy);
    }

    /// @dev Checks an offer and writes the license that follows from it; the caller moves the money. Offer and order are
    /// decoded into memory once: in calldata every look at a field checks its range again.
    function _record(
        ILicenses.Offer memory offer,
        bytes32 hash,
        bytes calldata ownerSignature,
        ILicenses.Order memory order,
        uint8 paidBy
    ) private returns (uint64 id) {
        bytes32 key = _orderKey(order.payer, order.order);
        if (_purchases[key].license != 0) {
            revert ILicenses.LicensesOrderExists(order.payer, order.order, _purchases[key].license);
        }
        uint8 token = _allowedIndex(offer.token);
        _checkOffer(offer, order);
        _countOffer(offer);
        _checkSignature(REGISTRY.ownerOf(offer.dataset), hash, ownerSignature);

        Counters memory counters = _counters;
        if (!counters.fees.contains(offer.feeBps)) {
            revert ILicenses.LicensesFeeNeverInForce(offer.feeBps, counters.fees.current());
        }
        id = counters.licenses + 1;
        _counters.licenses = id;
        (uint32 bucket, uint40 heldUntil) = _hold(offer.token, offer.price, offer.holdSeconds);
        uint40 end = offer.termSeconds == 0 ? 0 : uint40(block.timestamp + offer.termSeconds);
        Words.store(
            _licenses[id], ILicenses.License(order.licensee, SafeCast.toUint32(offer.dataset), end, offer.uses, ACTIVE)
        );
        Words.store(
            _purchases[key],
            ILicenses.Purchase(
                id, offer.price, bucket, uint40(block.timestamp), offer.grounds, offer.cureDays, offer.feeBps, token
            )
        );
        emit IERC1155.TransferSingle(msg.sender, address(0), order.licensee, id, 1);
        _emitPurchased(offer, hash, order, id, end, heldUntil, paidBy);
    }

    function _emitPurchased(
        ILicenses.Offer memory offer,
        bytes32 hash,
        ILicenses.Order memory order,
        uint64 id,
        uint40 end,
        uint40 heldUntil,
        uint8 paidBy
    ) private {
        emit ILicenses.LicensePurchased(
            id,
            offer.dataset,
            order.licensee,
            order.payer,
            order.order,
            hash,
            offer.document,
            offer.terms,
            offer.token,
            offer.price,
            offer.feeBps,
            offer.uses,
            end,
            heldUntil,
            paidBy
        );
    }

    function _countOffer(ILicenses.Offer memory offer) private {
        OfferState memory state = _offers[offer.dataset][offer.nonce];
        if (state.cancelled) revert ILicenses.LicensesOfferCancelled(offer.dataset, offer.nonce);
        if (offer.maxLicenses == 0) return;
        if (state.sold >= offer.maxLicenses) {
            revert ILicenses.LicensesOfferSoldOut(offer.dataset, offer.nonce, offer.maxLicenses);
        }
        _offers[offer.dataset][offer.nonce].sold = state.sold + 1;
    }

    function _checkOffer(ILicenses.Offer memory offer, ILicenses.Order memory order) private view {
        if (block.timestamp > offer.expiry) revert ILicenses.LicensesExpired(offer.expiry, block.timestamp);
        if (block.timestamp >= order.validBefore) revert ILicenses.LicensesExpired(order.validBefore, block.timestamp);
        if (order.licensee == address(0)) revert ILicenses.LicensesZeroLicensee();
        if (offer.licensee != address(0) && offer.licensee != order.licensee) {
            revert ILicenses.LicensesOfferForOther(offer.licensee, order.licensee);
        }
        if (offer.uses == 0) revert ILicenses.LicensesNoUses();
        if (offer.holdSeconds > MAX_HOLD_SECONDS) {
            revert ILicenses.LicensesHoldTooLong(offer.holdSeconds, MAX_HOLD_SECONDS);
        }
        if (offer.grounds != 0 && offer.cureDays == 0) revert ILicenses.LicensesNoCurePeriod();
        if (_measures[offer.dataset].frozen) revert ILicenses.LicensesDatasetFrozen(offer.dataset);
    }

    function _permits(ILicenses.License memory record, uint16 use) private view returns (bool) {
        return record.status == ACTIVE && (record.end == 0 || block.timestamp < record.end) && use & ~record.uses == 0;
    }
}
