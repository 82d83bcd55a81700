// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IPayouts} from "../interfaces/IPayouts.sol";
import {Revenue} from "./Revenue.sol";

/// @title Proposing a root: the part that the proposer and anyone with a bond share.
abstract contract Roots is Revenue {
    function _propose(
        address token,
        uint32 epoch,
        uint64 toBlock,
        bytes32 toBlockHash,
        bytes32 root,
        uint64 cumulativeTotal,
        bytes32 settlement,
        bool bonded
    ) internal {
        Ledger storage ledger = _ledgers[token];
        if (ledger.acceptAt != 0) revert IPayouts.PayoutsRootPending(token, ledger.pendingEpoch);
        if (epoch <= ledger.epoch) revert IPayouts.PayoutsEpochNotNewer(epoch, ledger.epoch);
        if (root == 0) revert IPayouts.PayoutsZeroRoot();
        if (toBlock >= block.number) revert IPayouts.PayoutsFutureBlock(toBlock, block.number);
        bytes32 actual = blockhash(toBlock);
        if (actual != 0 && actual != toBlockHash) {
            revert IPayouts.PayoutsBlockHashMismatch(toBlock, toBlockHash, actual);
        }
        if (cumulativeTotal < ledger.acceptedTotal) {
            revert IPayouts.PayoutsTotalLowered(cumulativeTotal, ledger.acceptedTotal);
        }
        (uint256 released, uint32 rolled) = _releasedNow(token);
        if (cumulativeTotal > released) revert IPayouts.PayoutsTotalExceedsRevenue(cumulativeTotal, released);

        ledger.roots[ledger.next] = root;
        ledger.released = SafeCast.toUint64(released);
        ledger.rolled = rolled;
        ledger.pendingTotal = cumulativeTotal;
        ledger.pendingEpoch = epoch;
        ledger.acceptAt = uint40(block.timestamp + (bonded ? OPEN_WINDOW : WINDOW));
        ledger.bonded = bonded;
        emit IPayouts.RootProposed(token, epoch, toBlock, toBlockHash, root, cumulativeTotal, settlement);
    }

    function _clearPending(Ledger storage ledger) internal {
        ledger.pendingTotal = 0;
        ledger.acceptAt = 0;
        ledger.bonded = false;
    }

    function _pending(address token, uint32 epoch) internal view returns (Ledger storage ledger) {
        ledger = _ledgers[token];
        if (ledger.acceptAt == 0 || ledger.pendingEpoch != epoch) revert IPayouts.PayoutsNoRootPending(token, epoch);
    }
}
