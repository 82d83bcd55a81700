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
        uint256 sum = agenda.released;
        for (uint256 bucket = uint256(agenda.rolled) + 1; bucket <= to;) {
            uint256 lanes = _heldLanes[token][bucket >> 2] >> _lane(bucket);
            uint256 next = (bucket | 3) + 1;
            for (; lanes != 0 && bucket < next && bucket <= to; ++bucket) {
                sum += uint64(lanes);
                lanes >>= 64;
            }
            bucket = next;
        }
        agenda.released = SafeCast.toUint64(sum);
        agenda.rolled = SafeCast.toUint32(to);
    }
}
