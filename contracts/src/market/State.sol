// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC721} from "@openzeppelin/contracts/interfaces/IERC721.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {ILicenses} from "../interfaces/ILicenses.sol";
import {IMarket} from "../interfaces/IMarket.sol";
import {IPayees} from "../interfaces/IPayees.sol";
import {IUsage} from "../interfaces/IUsage.sol";

/// @title All that the market remembers: one storage layout, shared by Market and MarketExtension.
/// @dev Only this file declares storage. The code is split in two for EIP-170; the money and the books are not.
abstract contract State is EIP712, AccessManaged, ReentrancyGuardTransient {
    struct TokenState {
        uint8 index;
        bool allowed;
    }

    /// @dev Books of one token, laid out by who writes: a proposal writes the first slot and a root, acceptance the second
    /// and third, a payout the third. No slot is cleared: a root is pending while its epoch is beyond the accepted one.
    /// Two root slots take turns, so that acceptance moves no root.
    struct Ledger {
        Agenda agenda;
        // second slot
        address proposer;
        uint64 acceptedTotal;
        uint32 epoch;
        // third slot
        uint64 owed;
        uint40 acceptedAt;
        uint8 live;
        // one slot each
        bytes32[2] roots;
    }

    /// @dev `released` counts revenue whose hold is over, up to and including bucket `rolled`. `turn` is the slot of the
    /// root that was proposed last; `epoch` is its epoch, 0 after a veto.
    struct Agenda {
        uint64 released;
        uint64 total;
        uint40 acceptAt;
        uint32 rolled;
        uint32 epoch;
        uint8 turn;
        bool bonded;
    }

    struct Bond {
        address proposer;
        uint64 amount;
    }

    /// @dev `fees` lists every fee ever in force as fee + 1 in lanes of 16 bits, the present one lowest: checking an
    /// offer's fee costs no slot of its own.
    struct Counters {
        uint64 licenses;
        uint160 fees;
    }

    struct OfferState {
        bool cancelled;
        uint32 sold;
    }

    struct PayeeCounters {
        uint32 payees;
        uint32 feePayee;
    }

    struct Measures {
        bool frozen;
        uint32 beneficiary;
    }

    uint8 internal constant ACTIVE = 1;
    uint8 internal constant REFUNDED = 2;
    uint8 internal constant REVOKED = 3;

    IERC721 internal immutable REGISTRY;
    uint256 internal immutable BUCKET_SECONDS;
    uint256 internal immutable WINDOW;
    uint256 internal immutable NOTICE;
    uint256 internal immutable IDLE;
    uint256 internal immutable OPEN_WINDOW;
    uint256 internal immutable PAYEE_DELAY;
    uint64 internal immutable BOND;

    mapping(address token => TokenState) internal _tokenStates;
    address[] internal _tokens;

    mapping(address token => Ledger) internal _ledgers;
    /// @dev Held revenue, four buckets to a slot: bucket b is lane b mod 4 of slot b / 4.
    mapping(address token => mapping(uint256 slot => uint256 lanes)) internal _heldLanes;
    /// @dev Cumulative amounts paid, four payees to a slot.
    mapping(address token => mapping(uint256 slot => uint256 lanes)) internal _paidLanes;
    mapping(address token => Bond) internal _bonds;
    mapping(address token => uint64) internal _forfeits;

    Counters internal _counters;
    mapping(uint256 license => ILicenses.License) internal _licenses;
    mapping(bytes32 payerAndOrder => ILicenses.Purchase) internal _purchases;
    mapping(uint256 dataset => mapping(uint256 nonce => OfferState)) internal _offers;
    mapping(uint256 license => ILicenses.Revocation) internal _revocations;
    string internal _uri;

    mapping(address token => mapping(address account => IUsage.Deposit)) internal _deposits;
    mapping(uint256 license => IUsage.Charge) internal _charges;

    PayeeCounters internal _payeeCounters;
    mapping(uint256 payee => IPayees.Payee) internal _payees;
    mapping(address account => uint32) internal _payeeNumbers;

    mapping(uint256 dataset => Measures) internal _measures;

    constructor(IMarket.Config memory c) EIP712("Cadastre Market", "1") AccessManaged(c.authority) {
        if (c.registry.code.length == 0 || c.bucketSeconds == 0 || c.windowSeconds == 0) {
            revert IMarket.MarketBadConfig();
        }
        if (c.openWindowSeconds <= c.windowSeconds) revert IMarket.MarketBadConfig();
        uint256 settling = uint256(c.epochSeconds) + c.windowSeconds + c.finalitySeconds;
        if (c.noticeSeconds <= settling) revert IUsage.UsageNoticeTooShort(c.noticeSeconds, settling);
        REGISTRY = IERC721(c.registry);
        BUCKET_SECONDS = c.bucketSeconds;
        WINDOW = c.windowSeconds;
        NOTICE = c.noticeSeconds;
        IDLE = c.idleSeconds;
        OPEN_WINDOW = c.openWindowSeconds;
        PAYEE_DELAY = c.payeeDelaySeconds;
        BOND = c.bond;
    }

    /// @dev Bit offset of an item in a slot of four.
    function _lane(uint256 item) internal pure returns (uint256) {
        return (item & 3) << 6;
    }

    /// @dev Where the purchase of a payer's order is kept.
    function _orderKey(address payer, bytes32 order) internal pure returns (bytes32) {
        return keccak256(abi.encode(payer, order));
    }
}
