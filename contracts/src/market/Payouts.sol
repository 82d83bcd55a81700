// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {IPayees} from "../interfaces/IPayees.sol";
import {IPayouts} from "../interfaces/IPayouts.sol";
import {PayoutTree} from "../lib/PayoutTree.sol";
import {Words} from "../lib/Words.sol";
import {Roots} from "./Roots.sol";
import {Tokens} from "./Tokens.sol";

/// @title Payouts: roots of cumulative amounts, proposed, accepted after a window, then claimed or pushed.
/// @dev Whatever a root says, payouts take from `owed` only, which is what accepted totals add up to less what was paid,
/// and an accepted total is never above released revenue. So no root reaches held money or deposits.
abstract contract Payouts is Tokens, Roots {
    using Words for IPayees.Payee;

    uint8 private constant NOT_ACCEPTED = 1;
    uint8 private constant TRANSFER_REFUSED = 2;

    /// @notice See IPayouts.
    function propose(
        address token,
        uint32 epoch,
        uint64 toBlock,
        bytes32 toBlockHash,
        bytes32 root,
        uint64 cumulativeTotal,
        bytes32 settlement
    ) external {
        address proposer = _ledgers[token].proposer;
        if (msg.sender != proposer) revert IPayouts.PayoutsNotProposer(token, proposer, msg.sender);
        _propose(token, epoch, toBlock, toBlockHash, root, cumulativeTotal, settlement, false);
    }

    /// @notice See IPayouts.
    function accept(address token, uint32 epoch) external nonReentrant {
        (Ledger storage ledger, Agenda memory agenda) = _pending(token, epoch);
        if (block.timestamp < agenda.acceptAt) revert IPayouts.PayoutsWindowOpen(agenda.acceptAt, block.timestamp);
        uint64 total = agenda.total;
        ledger.owed += total - ledger.acceptedTotal;
        ledger.acceptedAt = uint40(block.timestamp);
        ledger.live = agenda.turn;
        ledger.acceptedTotal = total;
        ledger.epoch = epoch;
        emit IPayouts.RootAccepted(token, epoch, total);
        if (agenda.bonded) {
            Bond memory bond = _bonds[token];
            delete _bonds[token];
            // A proposer that the token refuses to pay must not hold up the payees.
            if (_trySend(token, bond.proposer, bond.amount)) {
                emit IPayouts.BondReturned(token, bond.proposer, bond.amount);
            } else {
                _forfeits[token] += bond.amount;
                emit IPayouts.BondForfeited(token, bond.proposer, bond.amount);
            }
        }
    }

    /// @notice See IPayouts.
    function claim(address token, uint32 payee, uint64 cumulativeAmount, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint64 amount)
    {
        Ledger storage ledger = _ledgers[token];
        _checkProof(ledger.roots[ledger.live], token, payee, cumulativeAmount, proof);
        (address account, bool accepted) = _payees[payee].payTo();
        if (!accepted) revert IPayouts.PayoutsPayeeNotAccepted(payee);
        mapping(uint256 slot => uint256 lanes) storage paidLanes = _paidLanes[token];
        uint256 lanes = paidLanes[payee >> 2];
        uint64 before = uint64(lanes >> _lane(payee));
        if (cumulativeAmount <= before) revert IPayouts.PayoutsNothingDue(token, payee, before);
        amount = cumulativeAmount - before;
        ledger.owed = _lessOwed(token, ledger.owed, amount);
        paidLanes[payee >> 2] = lanes + (uint256(amount) << _lane(payee));
        emit IPayouts.Paid(token, payee, account, amount, cumulativeAmount);
        _send(token, account, amount);
    }

    /// @notice See IPayouts.
    function claimMany(address token, IPayouts.Claim[] calldata claims) external nonReentrant returns (uint256 total) {
        Ledger storage ledger = _ledgers[token];
        bytes32 root = ledger.roots[ledger.live];
        uint64 owed = ledger.owed;
        mapping(uint256 slot => uint256 lanes) storage paidLanes = _paidLanes[token];
        for (uint256 i = 0; i < claims.length; ++i) {
            IPayouts.Claim calldata one = claims[i];
            (uint32 payee, uint64 cumulativeAmount) = (one.payee, one.cumulativeAmount);
            _checkProof(root, token, payee, cumulativeAmount, one.proof);
            uint256 lanes = paidLanes[payee >> 2];
            uint64 before = uint64(lanes >> _lane(payee));
            if (cumulativeAmount <= before) continue;
            uint64 amount = cumulativeAmount - before;
            uint64 left = _lessOwed(token, owed, amount);
            address account = _payOrSkip(token, payee, amount);
            if (account == address(0)) continue;
            owed = left;
            total += amount;
            paidLanes[payee >> 2] = lanes + (uint256(amount) << _lane(payee));
            emit IPayouts.Paid(token, payee, account, amount, cumulativeAmount);
        }
        ledger.owed = owed;
    }

    /// @notice See IPayouts.
    function push(address token, uint256 leafCount, uint256 first, bytes calldata leaves, bytes32[] calldata proof)
        external
        nonReentrant
        returns (uint256 total)
    {
        Ledger storage ledger = _ledgers[token];
        uint256 count = leaves.length / PayoutTree.LEAF_BYTES;
        if (
            count == 0 || leaves.length % PayoutTree.LEAF_BYTES != 0 || leafCount > type(uint32).max
                || first >= leafCount || count > leafCount - first
        ) revert IPayouts.PayoutsMalformedRange(first, count, leafCount);
        bytes32 root = ledger.roots[ledger.live];
        if (root == 0 || PayoutTree.rangeRoot(token, leafCount, first, leaves, proof) != root) {
            revert IPayouts.PayoutsInvalidProof(token);
        }
        total = _pushLeaves(token, leaves, count, ledger.owed);
        ledger.owed = uint64(ledger.owed - total);
        emit IPayouts.Pushed(token, ledger.epoch, total, leaves);
    }

    /// @notice See IPayouts.
    function paid(address token, uint32 payee) public view returns (uint64) {
        return uint64(_paidLanes[token][payee >> 2] >> _lane(payee));
    }

    /// @dev Pays each leaf of a proven range. One slot of paid amounts serves four neighbours: it is kept at hand and
    /// written when the climb through the payees leaves it.
    function _pushLeaves(address token, bytes calldata leaves, uint256 count, uint256 owed)
        private
        returns (uint256 total)
    {
        mapping(uint256 slot => uint256 lanes) storage paidLanes = _paidLanes[token];
        uint256 slot = type(uint256).max;
        uint256 lanes = 0;
        uint256 stored = 0;
        // Fewer than 2^32 leaves of 64 bits: no sum of them overflows, and each lane only grows to a leaf's amount.
        unchecked {
            for (uint256 k = 0; k < count; ++k) {
                (uint256 payee, uint256 cumulativeAmount) = PayoutTree.leafAt(leaves, k);
                if (payee >> 2 != slot) {
                    if (lanes != stored) paidLanes[slot] = lanes;
                    slot = payee >> 2;
                    lanes = stored = paidLanes[slot];
                }
                uint256 before = uint64(lanes >> _lane(payee));
                if (cumulativeAmount <= before) continue;
                uint256 amount = cumulativeAmount - before;
                if (total + amount > owed) revert IPayouts.PayoutsExceedsTotal(token, amount, owed - total);
                if (_payOrSkip(token, payee, amount) == address(0)) continue;
                lanes += amount << _lane(payee);
                total += amount;
            }
        }
        if (lanes != stored) paidLanes[slot] = lanes;
    }

    /// @dev The account that was paid, or 0 if the payee waits for its acceptance or the token refuses it; its share
    /// stays claimable.
    function _payOrSkip(address token, uint256 payee, uint256 amount) private returns (address) {
        (address account, bool accepted) = _payees[payee].payTo();
        if (!accepted) {
            emit IPayouts.PayoutSkipped(token, payee, uint64(amount), NOT_ACCEPTED);
            return address(0);
        }
        if (!_trySend(token, account, amount)) {
            emit IPayouts.PayoutSkipped(token, payee, uint64(amount), TRANSFER_REFUSED);
            return address(0);
        }
        return account;
    }

    function _checkProof(bytes32 root, address token, uint256 payee, uint256 cumulativeAmount, bytes32[] calldata proof)
        private
        pure
    {
        bytes32 leaf = PayoutTree.leafHash(token, payee, cumulativeAmount);
        if (root == 0 || !MerkleProof.verifyCalldata(proof, root, leaf)) revert IPayouts.PayoutsInvalidProof(token);
    }

    function _lessOwed(address token, uint64 owed, uint64 amount) private pure returns (uint64) {
        if (amount > owed) revert IPayouts.PayoutsExceedsTotal(token, amount, owed);
        return owed - amount;
    }
}
