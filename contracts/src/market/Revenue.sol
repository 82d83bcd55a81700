// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {State} from "./State.sol";

/// @title Revenue: held in buckets until a refund is out of the question, then released.
/// @dev A purchase adds to the bucket in which its hold ends; a refund takes it out again. So a purchase writes one slot of
/// accounting, and what a settlement may promise is known without walking purchases.
abstract contract Revenue is State {
    /// @dev Books a price that may be refunded for `holdSeconds`; 0 is revenue at once.
    function _hold(address token, uint256 amount, uint256 holdSeconds)
        internal
        returns (uint32 bucket, uint40 heldUntil)
    {
        if (holdSeconds == 0) {
            _release(token, amount);
            return (0, uint40(block.timestamp));
        }
        uint256 end = (block.timestamp + holdSeconds + BUCKET_SECONDS - 1) / BUCKET_SECONDS;
        uint256 lanes = _heldLanes[token][end >> 2];
        uint256 before = uint64(lanes >> _lane(end));
        uint256 sum = SafeCast.toUint64(before + amount);
        _heldLanes[token][end >> 2] = lanes + ((sum - before) << _lane(end));
        return (SafeCast.toUint32(end), uint40(end * BUCKET_SECONDS));
    }

    /// @dev Takes a price out of its bucket again; the caller has checked that the bucket has not ended.
    function _unhold(address token, uint256 amount, uint256 bucket) internal {
        _heldLanes[token][bucket >> 2] -= amount << _lane(bucket);
    }

    function _release(address token, uint256 amount) internal {
        Agenda storage agenda = _ledgers[token].agenda;
        agenda.released = SafeCast.toUint64(agenda.released + amount);
    }

    function _currentBucket() internal view returns (uint256) {
        return block.timestamp / BUCKET_SECONDS;
    }

    /// @dev Counts the buckets that ended, up to and including `to`, as released; in memory, for the caller to store.
    function _rollTo(address token, Agenda memory agenda, uint256 to) internal view {
        mapping(uint256 slot => uint256 lanes) storage heldLanes = _heldLanes[token];
        uint256 sum = agenda.released;
        uint256 from = uint256(agenda.rolled) + 1;
        // Below 2^32 slots of four amounts of 64 bits: no sum of them overflows.
        unchecked {
            for (uint256 slot = from >> 2; slot <= to >> 2; ++slot) {
                uint256 lanes = heldLanes[slot];
                if (lanes == 0) continue;
                if (slot == from >> 2) lanes &= type(uint256).max << _lane(from);
                if (slot == to >> 2) lanes &= type(uint256).max >> (192 - _lane(to));
                sum += uint256(uint64(lanes)) + uint64(lanes >> 64) + uint64(lanes >> 128) + (lanes >> 192);
            }
        }
        agenda.released = SafeCast.toUint64(sum);
        agenda.rolled = SafeCast.toUint32(to);
    }
}
