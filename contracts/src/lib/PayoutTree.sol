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
    /// 2. Take the head. At index 0 it is the root, and nothing of the proof may be left over.
    /// 3. Its sibling is the next in the queue if that is the other child of the same parent, else the next of the proof.
    /// 4. Queue the parent; go to 2. Indices in the queue only fall, so the climb ends.
    /// @dev In assembly, because it runs for every payee: in checked Solidity it costs three times as much. The queue is
    /// a run of (node, index) pairs beyond the free memory pointer; what it leaves there is never read again.
    /// @param leafCount Leaves of the tree; `first` and the packed list lie within it (checked by the caller).
    /// @return root The root, or 0 if the proof is too long or too short.
    function rangeRoot(address token, uint256 leafCount, uint256 first, bytes calldata leaves, bytes32[] calldata proof)
        internal
        pure
        returns (bytes32 root)
    {
        assembly ("memory-safe") {
            let scratch := mload(0x40)
            let head := add(scratch, 0x60)
            let tail := head
            let index := sub(shl(1, sub(leafCount, 1)), first)
            mstore(scratch, token)
            // 1
            for {
                let leafOffset := leaves.offset
                let end := add(leafOffset, leaves.length)
            } lt(leafOffset, end) { leafOffset := add(leafOffset, 12) } {
                let leaf := shr(160, calldataload(leafOffset))
                mstore(add(scratch, 0x20), shr(64, leaf))
                mstore(add(scratch, 0x40), and(leaf, 0xffffffffffffffff))
                mstore(0x00, keccak256(scratch, 0x60))
                mstore(tail, keccak256(0x00, 0x20))
                mstore(add(tail, 0x20), index)
                tail := add(tail, 0x40)
                index := sub(index, 1)
            }
            let next := proof.offset
            let proofEnd := add(next, shl(5, proof.length))
            for {} 1 {} {
                // 2
                let node := mload(head)
                index := mload(add(head, 0x20))
                head := add(head, 0x40)
                if iszero(index) {
                    if eq(next, proofEnd) { root := node }
                    break
                }
                // 3
                let sibling := 0
                switch and(iszero(and(index, 1)), and(lt(head, tail), eq(mload(add(head, 0x20)), sub(index, 1))))
                case 1 {
                    sibling := mload(head)
                    head := add(head, 0x40)
                }
                default {
                    if eq(next, proofEnd) { break }
                    sibling := calldataload(next)
                    next := add(next, 0x20)
                }
                // 4
                let swap := lt(sibling, node)
                mstore(shl(5, swap), node)
                mstore(shl(5, iszero(swap)), sibling)
                mstore(tail, keccak256(0x00, 0x40))
                mstore(add(tail, 0x20), shr(1, sub(index, 1)))
                tail := add(tail, 0x40)
            }
        }
    }
}
