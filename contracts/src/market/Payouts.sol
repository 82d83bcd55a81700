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
        uint64 before = paid(token, payee);
        if (cumulativeAmount <= before) revert IPayouts.PayoutsNothingDue(token, payee, before);
        amount = cumulativeAmount - before;
        ledger.owed = _lessOwed(token, ledger.owed, amount);
        _setPaid(token, payee, cumulativeAmount);
        emit IPayouts.Paid(token, payee, account, amount, cumulativeAmount);
        _send(token, account, amount);
    }

    /// @notice See IPayouts.
    function claimMany(address token, IPayouts.Claim[] calldata claims) external nonReentrant returns (uint256 total) {
        Ledger storage ledger = _ledgers[token];
        bytes32 root = ledger.roots[ledger.live];
        uint64 owed = ledger.owed;
        for (uint256 i = 0; i < claims.length; ++i) {
            IPayouts.Claim calldata one = claims[i];
            _checkProof(root, token, one.payee, one.cumulativeAmount, one.proof);
            uint64 before = paid(token, one.payee);
            if (one.cumulativeAmount <= before) continue;
            uint64 amount = one.cumulativeAmount - before;
            uint64 left = _lessOwed(token, owed, amount);
            if (!_payOrSkip(token, one.payee, amount)) continue;
            owed = left;
            total += amount;
            _setPaid(token, one.payee, one.cumulativeAmount);
            emit IPayouts.Paid(token, one.payee, _payees[one.payee].account, amount, one.cumulativeAmount);
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
        emit IPayouts.Pushed(token, ledger.epoch, first, count, total);
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
        bool changed = false;
        for (uint256 k = 0; k < count; ++k) {
            (uint256 payee, uint256 cumulativeAmount) = PayoutTree.leafAt(leaves, k);
            if (payee >> 2 != slot) {
                if (changed) paidLanes[slot] = lanes;
                slot = payee >> 2;
                lanes = paidLanes[slot];
                changed = false;
            }
            uint256 before = uint64(lanes >> _lane(payee));
            if (cumulativeAmount <= before) continue;
            uint256 amount = cumulativeAmount - before;
            if (total + amount > owed) revert IPayouts.PayoutsExceedsTotal(token, amount, owed - total);
            if (!_payOrSkip(token, payee, amount)) continue;
            lanes += amount << _lane(payee);
            changed = true;
            total += amount;
        }
        if (changed) paidLanes[slot] = lanes;
    }

    /// @dev False if the payee waits for its acceptance or the token refuses it; its share stays claimable.
    function _payOrSkip(address token, uint256 payee, uint256 amount) private returns (bool) {
        (address account, bool accepted) = _payees[payee].payTo();
        if (!accepted) {
            emit IPayouts.PayoutSkipped(token, payee, uint64(amount), NOT_ACCEPTED);
            return false;
        }
        if (!_trySend(token, account, amount)) {
            emit IPayouts.PayoutSkipped(token, payee, uint64(amount), TRANSFER_REFUSED);
            return false;
        }
        return true;
    }

    function _setPaid(address token, uint256 payee, uint256 cumulativeAmount) private {
        uint256 lanes = _paidLanes[token][payee >> 2];
        uint256 lane = _lane(payee);
        _paidLanes[token][payee >> 2] = (lanes & ~(uint256(type(uint64).max) << lane)) | (cumulativeAmount << lane);
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
