// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IEvidenceAnchor} from "./interfaces/IEvidenceAnchor.sol";

/// @title Anchors of log checkpoints.
/// @notice See IEvidenceAnchor. Anyone may anchor under its own name; nobody can anchor a shorter log after a longer one.
contract EvidenceAnchor is IEvidenceAnchor {
    struct Latest {
        uint64 index;
        uint64 size;
    }

    mapping(bytes32 origin => mapping(address sender => Latest)) private _latest;

    /// @inheritdoc IEvidenceAnchor
    function anchor(bytes32 origin, uint64 size, bytes32 root, bytes32 snapshot) external returns (uint64 index) {
        Latest memory last = _latest[origin][msg.sender];
        if (size <= last.size) revert AnchorNotGrowing(origin, size, last.size);
        index = last.index + 1;
        _latest[origin][msg.sender] = Latest(index, size);
        emit Anchored(origin, msg.sender, index, size, root, snapshot);
    }

    /// @inheritdoc IEvidenceAnchor
    function latest(bytes32 origin, address sender) external view returns (uint64 index, uint64 size) {
        Latest memory last = _latest[origin][sender];
        return (last.index, last.size);
    }
}
