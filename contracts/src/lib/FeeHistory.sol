// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Every fee that was ever in force, in one word.
/// @dev Lanes of 16 bits hold fee + 1, the present fee lowest; an empty lane ends the list. Ten distinct fees fit.
library FeeHistory {
    uint256 internal constant MAX_FEES = 10;

    /// @notice The present fee in basis points; the history is never empty.
    function current(uint160 history) internal pure returns (uint16) {
        return uint16(history) - 1;
    }

    /// @notice True if the fee is, or was, in force.
    function contains(uint160 history, uint16 feeBps) internal pure returns (bool) {
        for (; history != 0; history >>= 16) {
            if (uint16(history) == uint256(feeBps) + 1) return true;
        }
        return false;
    }

    /// @notice The history with `feeBps` as the present fee, or 0 if an eleventh distinct fee would be needed.
    function withCurrent(uint160 history, uint16 feeBps) internal pure returns (uint160) {
        uint160 kept = 0;
        uint256 listed = 0;
        for (; history != 0; history >>= 16) {
            if (uint16(history) == uint256(feeBps) + 1) continue;
            kept |= uint160(uint256(uint16(history)) << (16 * listed++));
        }
        return listed == MAX_FEES ? 0 : (kept << 16) | (uint160(feeBps) + 1);
    }
}
