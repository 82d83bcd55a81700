"""What to do next to follow a chain that may change its mind: a plan, made from hashes alone.

1. If the remote head is below what we have applied, wait: a node that lags is not a reorganization.
2. If our highest applied block is still in the chain, apply the blocks behind it.
3. Else walk down to the highest block on which both agree, rewind to it, and apply from there.
4. If that block lies below what we called final, halt: settlements, released keys and log entries cannot be rewound.
   Only an operator's confirmation makes a rewind out of it.
5. Finality rises to what the chain calls final, but never above what is applied, and never falls.

A fork is data here, not an exception. `docs/algorithms/lanes-and-reorgs.md` works through the cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from provenance.core.refusal import Refusal

BATCH_BLOCKS = 500


class FollowRefusal(Refusal):
    """The position of the follower, or the answers of the node, cannot be right."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the follower stands. Nothing applied yet: `applied` is `first_block - 1`, as `finalized` may be."""

    first_block: int
    applied: int
    finalized: int

    def __post_init__(self) -> None:
        if not self.first_block - 1 <= self.applied or self.finalized > max(self.applied, self.first_block - 1):
            raise FollowRefusal(
                "follow.position",
                "What is final must have been applied, and nothing lies before the first block.",
                limit=self.applied,
                actual=self.finalized,
            )


@dataclass(frozen=True, slots=True)
class Remote:
    """What the node says: its head, its final block, and the hash of any block of its chain (None past its head)."""

    head: int
    finalized: int
    hash_at: Callable[[int], str | None]


@dataclass(frozen=True, slots=True)
class Wait:
    """The node is behind us; nothing is known to be wrong."""

    remote_head: int
    applied: int


@dataclass(frozen=True, slots=True)
class Rewind:
    """Drop every block above `keep` with all that was read from them. `past_finality` needed a confirmation."""

    keep: int
    past_finality: bool = False


@dataclass(frozen=True, slots=True)
class Apply:
    """Read the blocks `first` to `last`, in order, each linked to the one before by its parent hash."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Finalize:
    """Blocks up to `number` will not change: their facts may enter the log, their money may be settled."""

    number: int


@dataclass(frozen=True, slots=True)
class Halt:
    """Blocks from `fork` on that we called final left the chain. An operator decides; nothing is deleted."""

    fork: int
    finalized: int
    local_hash: str
    remote_hash: str | None


Step = Wait | Rewind | Apply | Finalize | Halt


def plan_following(
    position: Position,
    local_hash_at: Callable[[int], str | None],
    remote: Remote,
    *,
    batch: int = BATCH_BLOCKS,
    confirmed_past_finality: bool = False,
) -> list[Step]:
    """Return the steps from `position` towards the remote head, at most `batch` blocks of them.

    `local_hash_at` gives the hash of an applied block. The shell applies each step in a transaction and plans anew;
    a block that no longer fits its parent when it is read ends the step early. Raises FollowRefusal.
    """
    if remote.finalized > remote.head:
        raise FollowRefusal(
            "follow.finality",
            "The node calls a block final that it does not have.",
            limit=remote.head,
            actual=remote.finalized,
        )
    common = _highest_common(position, local_hash_at, remote)
    if common < position.finalized and not confirmed_past_finality:
        fork = common + 1
        return [Halt(fork, position.finalized, local_hash_at(fork) or "", remote.hash_at(fork))]
    # A node that agrees with us up to its own head, and has no more, merely lags.
    if common == remote.head < position.applied:
        return [Wait(remote.head, position.applied)]
    steps: list[Step] = []
    if common < position.applied:
        steps.append(Rewind(common, past_finality=common < position.finalized))
    last = min(remote.head, common + batch)
    if last > common:
        steps.append(Apply(common + 1, last))
    final = min(remote.finalized, last)
    if final > min(position.finalized, common):
        steps.append(Finalize(final))
    return steps


def _highest_common(position: Position, local_hash_at: Callable[[int], str | None], remote: Remote) -> int:
    """Return the highest applied block that the node has too; the block before the first is common by definition."""
    number = min(position.applied, remote.head)
    while number >= position.first_block:
        ours = local_hash_at(number)
        if ours is None:
            raise FollowRefusal(
                "follow.gap", "An applied block has no stored hash.", actual=number, todo="Replay from the first block."
            )
        if ours == remote.hash_at(number):
            return number
        number -= 1
    return position.first_block - 1
