// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The Merkle tree of payouts: OpenZeppelin's StandardMerkleTree over leaves in ascending order of payee.
/// @notice The tree of n leaves is an array of 2n - 1 nodes; leaf k stands at 2n - 2 - k, the children of i at 2i + 1
/// and 2i + 2, the root at 0. Pairs are hashed in sorted order, so a proof needs no directions.
/// @dev A leaf hashes 32 bytes and an inner node 64, so neither can pass for the other. Hence whatever position a caller
/// claims, a leaf that leads to the root is a leaf of the tree.
library PayoutTree {
    /// @notice Bytes of a leaf in the packed list of a range: payee (uint32), cumulative amount (uint64).
    uint256 internal constant LEAF_BYTES = 12;

    /// @notice Hash of one leaf.
    function leafHash(address token, uint256 payee, uint256 cumulativeAmount) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, token)
            mstore(add(free, 0x20), payee)
            mstore(add(free, 0x40), cumulativeAmount)
            mstore(0x00, keccak256(free, 0x60))
            hash := keccak256(0x00, 0x20)
        }
    }

    /// @notice Payee and cumulative amount of leaf `k` of a packed list that holds it.
    function leafAt(bytes calldata leaves, uint256 k) internal pure returns (uint256 payee, uint256 cumulativeAmount) {
        assembly ("memory-safe") {
            let word := shr(160, calldataload(add(leaves.offset, mul(k, 12))))
            payee := shr(64, word)
            cumulativeAmount := and(word, 0xffffffffffffffff)
        }
    }

    /// @notice Root to which a contiguous range of leaves leads with the siblings in `proof`.
    /// 1. Queue the leaves, highest index first.
    /// 2. Take the head. At index 0 it is the root, and nothing may be left over.
    /// 3. Its sibling is the next in the queue if that is the other child of the same parent, else the next of the proof.
    /// 4. Queue the parent; go to 2. Indices in the queue only fall, so the climb ends.
    /// @param leafCount Leaves of the tree; `first` and the packed list lie within it (checked by the caller).
    /// @return root The root, or 0 if the proof is too long or too short.
    function rangeRoot(address token, uint256 leafCount, uint256 first, bytes calldata leaves, bytes32[] calldata proof)
        internal
        pure
        returns (bytes32 root)
    {
        unchecked {
            uint256 count = leaves.length / LEAF_BYTES;
            // Each climb takes one sibling, from the queue (count - 1 times at most) or from the proof.
            uint256[] memory indices = new uint256[](2 * count + proof.length);
            bytes32[] memory nodes = new bytes32[](2 * count + proof.length);
            uint256 top = 2 * leafCount - 2 - first;
            for (uint256 k = 0; k < count; ++k) {
                (uint256 payee, uint256 cumulativeAmount) = leafAt(leaves, k);
                _put(indices, nodes, k, top - k, leafHash(token, payee, cumulativeAmount));
            }
            uint256 head = 0;
            uint256 tail = count;
            uint256 used = 0;
            while (true) {
                (uint256 index, bytes32 node) = _get(indices, nodes, head++);
                if (index == 0) return used == proof.length ? node : bytes32(0);
                bytes32 sibling;
                bool paired = false;
                if (index & 1 == 0 && head < tail) {
                    uint256 next;
                    (next, sibling) = _get(indices, nodes, head);
                    paired = next == index - 1;
                }
                if (paired) {
                    ++head;
                } else {
                    if (used == proof.length) return bytes32(0);
                    sibling = proof[used++];
                }
                _put(indices, nodes, tail++, (index - 1) >> 1, nodeHash(node, sibling));
            }
        }
    }

    /// @notice Hash of an inner node.
    function nodeHash(bytes32 a, bytes32 b) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let swap := lt(b, a)
            mstore(shl(5, swap), a)
            mstore(shl(5, iszero(swap)), b)
            hash := keccak256(0x00, 0x40)
        }
    }

    /// @dev Positions are within the arrays by construction of `rangeRoot`; bounds checks would cost a tenth of a push.
    function _put(uint256[] memory indices, bytes32[] memory nodes, uint256 slot, uint256 index, bytes32 node)
        private
        pure
    {
        assembly ("memory-safe") {
            let offset := shl(5, add(slot, 1))
            mstore(add(indices, offset), index)
            mstore(add(nodes, offset), node)
        }
    }

    function _get(uint256[] memory indices, bytes32[] memory nodes, uint256 slot)
        private
        pure
        returns (uint256 index, bytes32 node)
    {
        assembly ("memory-safe") {
            let offset := shl(5, add(slot, 1))
            index := mload(add(indices, offset))
            node := mload(add(nodes, offset))
        }
    }
}
