// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Anchors of log checkpoints: for each origin and sender, sizes only grow.
interface IEvidenceAnchor {
    /// @param origin SHA-256 of the checkpoint's origin line (without newline).
    /// @param index Dense per (origin, sender), from 1.
    /// @param size Number of entries in the log.
    /// @param root RFC 6962 root hash of the log at that size.
    /// @param snapshot SHA-256 of the log snapshot's index document.
    event Anchored(
        bytes32 indexed origin,
        address indexed sender,
        uint64 indexed index,
        uint64 size,
        bytes32 root,
        bytes32 snapshot
    );

    error AnchorNotGrowing(bytes32 origin, uint256 size, uint256 latest);

    /// @notice Anchors a checkpoint under the caller's name; an auditor pins the sender.
    function anchor(bytes32 origin, uint64 size, bytes32 root, bytes32 snapshot) external returns (uint64 index);

    /// @return index Latest anchor of the sender for the origin, 0 if none.
    /// @return size Its size.
    function latest(bytes32 origin, address sender) external view returns (uint64 index, uint64 size);
}
