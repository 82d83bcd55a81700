// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IPayouts} from "../interfaces/IPayouts.sol";
import {ITokens} from "../interfaces/ITokens.sol";
import {Words} from "../lib/Words.sol";
import {Roots} from "./Roots.sol";
import {Tokens} from "./Tokens.sol";

/// @title Who proposes and who objects: anyone with a bond once the proposer is silent; guardians; and the books for all.
abstract contract Proposals is Tokens, Roots {
    /// @notice See IPayouts.
    function proposeWithBond(
        address token,
        uint32 epoch,
        uint64 toBlock,
        bytes32 toBlockHash,
        bytes32 root,
        uint64 cumulativeTotal,
        bytes32 settlement
    ) external nonReentrant {
        uint256 acceptedAt = _ledgers[token].acceptedAt;
        if (acceptedAt == 0) revert ITokens.TokenNotAllowed(token);
        if (block.timestamp < acceptedAt + IDLE) {
            revert IPayouts.PayoutsNotIdle(token, acceptedAt + IDLE, block.timestamp);
        }
        _propose(token, epoch, toBlock, toBlockHash, root, cumulativeTotal, settlement, true);
        _bonds[token] = Bond(msg.sender, BOND);
        emit IPayouts.BondPosted(token, epoch, msg.sender, BOND);
        if (BOND != 0) _pull(token, msg.sender, BOND);
    }

    /// @notice See IPayouts.
    function veto(address token, uint32 epoch, bytes32 reason) external restricted {
        (Ledger storage ledger, Agenda memory agenda) = _pending(token, epoch);
        Bond memory bond = _bonds[token];
        if (msg.sender == ledger.proposer || msg.sender == bond.proposer) {
            revert IPayouts.PayoutsVetoByProposer(msg.sender);
        }
        if (agenda.bonded) {
            delete _bonds[token];
            _forfeits[token] += bond.amount;
            emit IPayouts.BondForfeited(token, bond.proposer, bond.amount);
        }
        ledger.agenda.epoch = 0;
        emit IPayouts.RootVetoed(token, epoch, msg.sender, reason);
    }

    /// @notice See IPayouts.
    function setProposer(address token, address proposer) external restricted {
        _ledgers[token].proposer = proposer;
        emit IPayouts.ProposerSet(token, proposer);
    }

    /// @notice See IPayouts.
    function withdrawForfeits(address token, address to) external restricted nonReentrant {
        uint64 amount = _forfeits[token];
        _forfeits[token] = 0;
        emit IPayouts.ForfeitsWithdrawn(token, to, amount);
        _send(token, to, amount);
    }

    /// @notice See IPayouts.
    function roll(address token, uint256 maxBuckets) external {
        Ledger storage ledger = _ledgers[token];
        Agenda memory agenda = ledger.agenda;
        uint256 to = _currentBucket();
        if (to - agenda.rolled > maxBuckets) to = agenda.rolled + maxBuckets;
        if (ledger.acceptedAt == 0 || to <= agenda.rolled) return;
        _rollTo(token, agenda, to);
        Words.store(ledger.agenda, agenda);
    }

    /// @notice See IPayouts.
    function books(address token) external view returns (IPayouts.Books memory) {
        Ledger storage ledger = _ledgers[token];
        Agenda memory agenda = ledger.agenda;
        bool isPending = agenda.epoch > ledger.epoch;
        return IPayouts.Books({
            released: agenda.released,
            acceptedTotal: ledger.acceptedTotal,
            owed: ledger.owed,
            epoch: ledger.epoch,
            acceptedAt: ledger.acceptedAt,
            root: ledger.roots[ledger.live],
            pendingTotal: isPending ? agenda.total : 0,
            pendingEpoch: isPending ? agenda.epoch : 0,
            acceptAt: isPending ? agenda.acceptAt : 0,
            pendingRoot: isPending ? ledger.roots[agenda.turn] : bytes32(0),
            bonded: isPending && agenda.bonded
        });
    }

    /// @notice See IPayouts.
    function proposerOf(address token) external view returns (address) {
        return _ledgers[token].proposer;
    }

    /// @notice See IPayouts.
    function releasable(address token) external view returns (uint256) {
        Agenda memory agenda = _ledgers[token].agenda;
        _rollTo(token, agenda, _currentBucket());
        return agenda.released;
    }

    /// @notice See IPayouts.
    function held(address token, uint256 bucket) external view returns (uint64) {
        return bucket <= _ledgers[token].agenda.rolled ? 0 : uint64(_heldLanes[token][bucket >> 2] >> _lane(bucket));
    }

    /// @notice See IPayouts.
    function bondOf(address token) external view returns (address proposer, uint64 amount) {
        Bond memory bond = _bonds[token];
        return (bond.proposer, bond.amount);
    }

    /// @notice See IPayouts.
    function forfeits(address token) external view returns (uint64) {
        return _forfeits[token];
    }
}
