// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IPayouts} from "../interfaces/IPayouts.sol";
import {Words} from "../lib/Words.sol";
import {Revenue} from "./Revenue.sol";

/// @title Proposing a root: the part that the proposer and anyone with a bond share.
abstract contract Roots is Revenue {
    /// @dev A right root under the last number that fits would be the last one of its token, and no audit would mind.
    uint256 private constant MAX_EPOCH_STEP = 1024;

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
        Agenda memory agenda = ledger.agenda;
        uint32 accepted = ledger.epoch;
        if (agenda.epoch > accepted) revert IPayouts.PayoutsRootPending(token, agenda.epoch);
        if (epoch <= accepted) revert IPayouts.PayoutsEpochNotNewer(epoch, accepted);
        if (epoch - accepted > MAX_EPOCH_STEP) {
            revert IPayouts.PayoutsEpochTooFar(epoch, uint256(accepted) + MAX_EPOCH_STEP);
        }
        if (root == 0) revert IPayouts.PayoutsZeroRoot();
        if (toBlock >= block.number) revert IPayouts.PayoutsFutureBlock(toBlock, block.number);
        bytes32 actual = blockhash(toBlock);
        if (actual != toBlockHash && actual != 0) {
            revert IPayouts.PayoutsBlockHashMismatch(toBlock, toBlockHash, actual);
        }
        uint64 acceptedTotal = ledger.acceptedTotal;
        if (cumulativeTotal < acceptedTotal) revert IPayouts.PayoutsTotalLowered(cumulativeTotal, acceptedTotal);
        // Buckets are read only if what was rolled before, and what use has brought in, do not cover the total.
        if (cumulativeTotal > agenda.released) _rollTo(token, agenda, _currentBucket());
        if (cumulativeTotal > agenda.released) {
            revert IPayouts.PayoutsTotalExceedsRevenue(cumulativeTotal, agenda.released);
        }
        // Never the slot of the live root: that is slot 0 at first, then the one whose root was accepted last. After a
        // veto the slot of the struck root is free again.
        if (accepted == 0) agenda.turn = 1;
        else if (agenda.epoch == accepted) agenda.turn = 1 - agenda.turn;
        ledger.roots[agenda.turn] = root;
        agenda.total = cumulativeTotal;
        agenda.acceptAt = uint40(block.timestamp + (bonded ? OPEN_WINDOW : WINDOW));
        agenda.epoch = epoch;
        agenda.bonded = bonded;
        Words.store(ledger.agenda, agenda);
        emit IPayouts.RootProposed(token, epoch, toBlock, toBlockHash, root, cumulativeTotal, settlement);
    }

    /// @dev The books with their pending root, which must be that of `epoch`.
    function _pending(address token, uint32 epoch) internal view returns (Ledger storage ledger, Agenda memory agenda) {
        ledger = _ledgers[token];
        agenda = ledger.agenda;
        if (agenda.epoch != epoch || epoch <= ledger.epoch) revert IPayouts.PayoutsNoRootPending(token, epoch);
    }
}
