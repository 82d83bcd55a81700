// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Offers become licenses: purchase, refund while held, revocation on a named ground.
/// @notice Licenses are shown as ERC-1155 tokens of supply one; they do not transfer.
interface ILicenses {
    /// @notice What a dataset's owner signs (EIP-712); an edit is a new offer.
    /// @param dataset Registry id.
    /// @param version Version covered, or 0 for every version published during the term.
    /// @param terms SHA-256 of the terms document.
    /// @param document SHA-256 of the offer document.
    /// @param uses Bit mask: 1 pretrain, 2 fine-tune, 4 evaluate, 8 retrieve, 16 derive, 32 redistribute, 64 commercial.
    /// @param price Base units of `token`; may be 0.
    /// @param token Allowed ERC-20 token, named also where the price is 0 (usage is charged in it).
    /// @param feeBps Market fee in basis points that is, or was, in force; frozen with the license.
    /// @param holdSeconds How long revenue is held and may be refunded; at most 365 days.
    /// @param termSeconds Term of the license, 0 for perpetual.
    /// @param expiry Last second at which the offer may be accepted.
    /// @param maxLicenses How many licenses may be bought under `nonce`, 0 for any number.
    /// @param licensee Only account that may become licensee, or 0 for anyone.
    /// @param grounds Bit mask of grounds on which the license may be revoked; 0 if irrevocable.
    /// @param cureDays Days between the announcement of a revocation and its effect; at least 1 if `grounds` is not 0.
    /// @param unitPrice Base units per rate unit, as the terms define it; informative on chain.
    /// @param nonce Number under which the dataset's owner cancels the offer.
    struct Offer {
        uint64 dataset;
        uint32 version;
        bytes32 terms;
        bytes32 document;
        uint16 uses;
        uint64 price;
        address token;
        uint16 feeBps;
        uint32 holdSeconds;
        uint32 termSeconds;
        uint40 expiry;
        uint32 maxLicenses;
        address licensee;
        uint16 grounds;
        uint16 cureDays;
        uint64 unitPrice;
        uint256 nonce;
    }

    /// @notice Who buys.
    /// @param payer Account whose money pays, and whose deposit later pays for usage.
    /// @param licensee Account that holds the license and signs vouchers and derivations.
    /// @param order Unique per payer; a second purchase with the same value is refused and names the license.
    /// @param validBefore Second before which the purchase must be included; part of what the payer signs.
    struct Order {
        address payer;
        address licensee;
        bytes32 order;
        uint256 validBefore;
    }

    /// @notice One storage slot per license, read by everything that asks whether a use is permitted.
    /// @param status 0 unknown, 1 active, 2 refunded, 3 revoked.
    /// @param end Last second of the term is `end - 1`; 0 is perpetual.
    struct License {
        address licensee;
        uint32 dataset;
        uint40 end;
        uint16 uses;
        uint8 status;
    }

    /// @notice One storage slot per (payer, order): what refund, revocation and charge need.
    /// @param bucket Held-revenue bucket, 0 if nothing was held.
    /// @param token Index of the token, see `tokenAt`.
    struct Purchase {
        uint64 license;
        uint64 price;
        uint32 bucket;
        uint40 start;
        uint16 grounds;
        uint16 cureDays;
        uint16 feeBps;
        uint8 token;
    }

    /// @notice An announced revocation.
    /// @param round How many were announced before it for this license.
    struct Revocation {
        uint40 executableAt;
        uint16 ground;
        uint32 round;
    }

    /// @param offer EIP-712 struct hash of the offer.
    /// @param heldUntil Second from which the price counts as revenue; the block's time if nothing is held.
    /// @param paidBy How the price was paid: 0 nothing to pay, 1 authorization, 2 allowance or permit, 3 deposit.
    event LicensePurchased(
        uint256 indexed license,
        uint256 indexed dataset,
        address indexed licensee,
        address payer,
        bytes32 order,
        bytes32 offer,
        bytes32 document,
        bytes32 terms,
        address token,
        uint64 price,
        uint16 feeBps,
        uint16 uses,
        uint40 end,
        uint40 heldUntil,
        uint8 paidBy
    );
    event LicenseRefunded(
        uint256 indexed license, uint256 indexed dataset, address payer, address token, uint64 amount
    );
    event RevocationAnnounced(uint256 indexed license, uint16 ground, bytes32 reason, uint40 executableAt);
    event RevocationWithdrawn(uint256 indexed license);
    event LicenseRevoked(uint256 indexed license, uint256 indexed dataset, uint16 ground);
    event OfferCancelled(uint256 indexed dataset, uint256 indexed nonce);
    event FeeSet(uint16 feeBps);

    error LicensesBadSignature(address expectedSigner);
    error LicensesExpired(uint256 deadline, uint256 nowAt);
    error LicensesNotOwner(uint256 dataset, address owner, address caller);
    error LicensesNotPayer(address payer, address caller);
    error LicensesOfferCancelled(uint256 dataset, uint256 nonce);
    error LicensesOfferSoldOut(uint256 dataset, uint256 nonce, uint256 limit);
    error LicensesOfferForOther(address licensee, address given);
    error LicensesZeroLicensee();
    error LicensesNoUses();
    error LicensesHoldTooLong(uint256 holdSeconds, uint256 limit);
    error LicensesNoCurePeriod();
    error LicensesFeeNeverInForce(uint256 feeBps, uint256 current);
    error LicensesFeeTooHigh(uint256 feeBps, uint256 limit);
    error LicensesFeeHistoryFull(uint256 limit);
    error LicensesDatasetFrozen(uint256 dataset);
    /// @notice The order was placed before; the license it bought is `license`. A retry stops here, safely.
    error LicensesOrderExists(address payer, bytes32 order, uint256 license);
    /// @notice A price of 0 moves no token: use `buy`.
    error LicensesNothingToPay();
    error LicensesUnknown(uint256 license);
    error LicensesUnknownOrder(address payer, bytes32 order);
    error LicensesNotActive(uint256 license, uint8 status);
    error LicensesHoldOver(uint256 license, uint256 heldUntil, uint256 nowAt);
    error LicensesNotRefunder(uint256 dataset, address caller);
    error LicensesGroundNotAgreed(uint256 license, uint256 ground, uint256 grounds);
    error LicensesRevocationPending(uint256 license, uint256 executableAt);
    error LicensesNoRevocation(uint256 license);
    error LicensesCurePeriod(uint256 license, uint256 executableAt, uint256 nowAt);
    /// @notice Licenses do not transfer.
    error NotTransferable();

    /// @notice Buys with an EIP-3009 authorization whose nonce is `orderNonce(hashOffer(offer), licensee, order)`,
    /// `validAfter` 0 and `validBefore` as in the order. Only this contract can present it, for this purchase alone.
    function buyWithAuthorization(
        Offer calldata offer,
        bytes calldata ownerSignature,
        Order calldata order,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (uint64 id);

    /// @notice Buys with an EIP-2612 permit of exactly `offer.price` until `order.validBefore`.
    /// @param payerSignature EIP-712 `Order` by the payer; empty if the payer sends the transaction.
    function buyWithPermit(
        Offer calldata offer,
        bytes calldata ownerSignature,
        Order calldata order,
        bytes calldata payerSignature,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (uint64 id);

    /// @notice Buys from the payer's allowance, or for a price of 0.
    /// @param payerSignature EIP-712 `Order` by the payer; empty if the payer sends the transaction.
    function buy(
        Offer calldata offer,
        bytes calldata ownerSignature,
        Order calldata order,
        bytes calldata payerSignature
    ) external returns (uint64 id);

    /// @notice Buys from the payer's deposit in this contract; no token moves.
    function buyFromDeposit(
        Offer calldata offer,
        bytes calldata ownerSignature,
        Order calldata order,
        bytes calldata payerSignature
    ) external returns (uint64 id);

    /// @notice Gives the price back to the payer while it is held. By the dataset's owner or a refunder.
    function refund(address payer, bytes32 order) external;

    /// @notice Announces a revocation on one ground that the offer named. By the dataset's owner.
    /// @param signature Owner's EIP-712 `Revocation`; empty if the owner sends the transaction.
    function announceRevocation(
        address payer,
        bytes32 order,
        uint16 ground,
        bytes32 reason,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice Withdraws an announced revocation: the cause was cured.
    /// @param signature Owner's EIP-712 `RevocationWithdrawal`; empty if the owner sends the transaction.
    function withdrawRevocation(uint64 id, uint256 deadline, bytes calldata signature) external;

    /// @notice Ends future use once the cure period is over. Anyone may send it; only the owner announces.
    function executeRevocation(uint64 id) external;

    /// @param signature Owner's EIP-712 `OfferCancellation`; empty if the owner sends the transaction.
    function cancelOffer(uint64 dataset, uint256 nonce, uint256 deadline, bytes calldata signature) external;

    /// @notice Sets the fee for offers signed from now on; offers signed at an earlier fee stay valid.
    function setFee(uint16 feeBps) external;

    function setURI(string calldata newUri) external;

    /// @notice True if the license is neither refunded, revoked nor expired, and permits every bit of `use`.
    function isActive(uint256 id, uint16 use) external view returns (bool);

    /// @notice `isActive` with the account and the dataset, for the registry, in one call.
    function entitlement(uint256 id, uint16 use) external view returns (bool active, address licensee, uint256 dataset);

    function license(uint256 id) external view returns (License memory);

    function purchaseOf(address payer, bytes32 order) external view returns (Purchase memory);

    function revocationOf(uint256 id) external view returns (Revocation memory);

    /// @return cancelled True if the dataset's owner withdrew it.
    /// @return sold Licenses bought under the nonce; counted only for offers with a limit.
    function offerState(uint256 dataset, uint256 nonce) external view returns (bool cancelled, uint256 sold);

    function licenseCount() external view returns (uint256);

    function fee() external view returns (uint16);

    function feeWasInForce(uint16 feeBps) external view returns (bool);

    /// @notice EIP-712 struct hash of an offer (without the domain).
    function hashOffer(Offer calldata offer) external pure returns (bytes32);

    /// @notice keccak256(abi.encode(chainId, this contract, offer, licensee, order)).
    function orderNonce(bytes32 offer, address licensee, bytes32 order) external view returns (bytes32);
}
