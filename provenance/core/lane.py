"""What a sending lane does next: one key, one row of nonces, every effect at most once.

An intent holds a nonce from the moment it is signed until the end of time, and an intent that was signed never
becomes unsigned. A chain runs one transaction per nonce; so however often bytes are sent, replaced or lost, an intent
has its effect once or never.

    wanted → signed → broadcast → mined → final
       ↓         ↘         ↘ filled by a zero-value transfer to itself → expired
    expired, failed                mined but reverted → failed

Each round, `plan_lane` compares the rows with the chain and returns steps, in this order:

1. Facts: transactions that were mined, came to rest below finality, or vanished in a reorganization.
2. Intents whose time is over: without a nonce they end here; with one, the nonce is filled.
3. Stored bytes that the node does not have are sent again, the same bytes, in nonce order; so also when the chain
   comes back behind the database.
4. The head of the line, if it waits too long, is replaced at the same nonce for at least 10 % more, unless that
   would exceed 150 % of what the market asks: then its fee is not what it waits for.
5. New intents are taken, oldest first, while the line is short enough: the shell simulates each, and only if that
   succeeds assigns the nonce, signs, and stores. After one that was refused it plans again: the nonces of those behind
   it would leave a gap.

`docs/algorithms/lanes-and-reorgs.md` works through the cases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import assert_never
from uuid import UUID

from provenance.core.refusal import Refusal

BUMP_PERCENT = 10
CAP_PERCENT = 150
FILLER_GAS = 21_000


class LaneRefusal(Refusal):
    """The rows of a lane contradict each other or the chain."""


class State(StrEnum):
    """Where an intent is."""

    WANTED = "wanted"
    SIGNED = "signed"
    BROADCAST = "broadcast"
    MINED = "mined"
    FINAL = "final"
    EXPIRED = "expired"
    FAILED = "failed"


_AT_REST = frozenset({State.FINAL, State.EXPIRED, State.FAILED})


@dataclass(frozen=True, slots=True)
class Fee:
    """EIP-1559 fees in wei per unit of gas."""

    max_fee: int
    priority_fee: int

    def __post_init__(self) -> None:
        if not 0 <= self.priority_fee <= self.max_fee:
            raise LaneRefusal("lane.fee", "A tip exceeds the whole fee.", limit=self.max_fee, actual=self.priority_fee)


@dataclass(frozen=True, slots=True)
class Transaction:
    """Signed bytes that are stored, whether or not they were ever sent."""

    hash: str
    fee: Fee
    signed_at: datetime
    broadcast_at: datetime | None = None
    filler: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """One effect wanted on chain. `transactions` are oldest first and all carry `nonce`; `tx` is the mined one."""

    id: UUID
    state: State
    wanted_at: datetime
    valid_until: datetime
    nonce: int | None = None
    transactions: tuple[Transaction, ...] = ()
    tx: str | None = None
    not_before: datetime | None = None

    def __post_init__(self) -> None:
        if (self.nonce is None) != (not self.transactions):
            raise LaneRefusal("lane.nonce", "A nonce and stored bytes come together.", actual=str(self.id))
        if self.nonce is None and self.state not in {State.WANTED, State.EXPIRED, State.FAILED}:
            raise LaneRefusal("lane.nonce", f"An intent that is {self.state} has a nonce.", actual=str(self.id))
        if self.nonce is not None and self.state is State.WANTED:
            raise LaneRefusal("lane.nonce", "A signed intent is no longer merely wanted.", actual=str(self.id))

    @property
    def filling(self) -> bool:
        """Whether its nonce is being used up instead of having its effect."""
        return any(transaction.filler for transaction in self.transactions)


@dataclass(frozen=True, slots=True)
class Mined:
    """A receipt, checked against the canonical block."""

    block_number: int
    block_hash: str
    succeeded: bool


@dataclass(frozen=True, slots=True)
class ChainState:
    """What the chain says about one address.

    `nonce` counts its transactions at the latest block, `final_nonce` at block `finalized`. `receipts` holds those of
    our transactions that are mined, `known` those that the node has in any way. `market` is what the next block asks.
    Read all of it from one node, nonces first and receipts last; a node that did not answer is no answer, not an
    empty one.
    """

    nonce: int
    final_nonce: int
    finalized: int
    receipts: Mapping[str, Mined]
    known: Collection[str]
    market: Fee


@dataclass(frozen=True, slots=True)
class Lane:
    """A sending key: the next nonce to assign, and why it takes nothing new, if so."""

    next_nonce: int
    paused: bool = False
    in_flight_limit: int = 16
    patience: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class MarkMined:
    """A stored transaction of the intent is in a block: state `mined`."""

    intent: UUID
    tx: str
    mined: Mined


@dataclass(frozen=True, slots=True)
class MarkUnmined:
    """A reorganization took its block: state `broadcast`, and the bytes go out again."""

    intent: UUID


@dataclass(frozen=True, slots=True)
class MarkSettled:
    """Its nonce is used below finality: state `final`, `failed` (reverted) or `expired` (filled)."""

    intent: UUID
    state: State
    tx: str
    mined: Mined
    code: str = ""


@dataclass(frozen=True, slots=True)
class MarkFailed:
    """Another transaction used its nonce below finality: the key is in use elsewhere."""

    intent: UUID
    code: str


@dataclass(frozen=True, slots=True)
class Expire:
    """Its time passed before it took a nonce: state `expired`."""

    intent: UUID


@dataclass(frozen=True, slots=True)
class Fill:
    """Its time passed: sign, store and send a zero-value transfer to itself at its nonce."""

    intent: UUID
    nonce: int
    fee: Fee


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send stored bytes, for the first time or again; then, if it was `signed`, state `broadcast`."""

    intent: UUID
    nonce: int
    tx: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Sign the same call (or the same filling) at the same nonce for a higher fee, store it, send it."""

    intent: UUID
    nonce: int
    fee: Fee
    filler: bool


@dataclass(frozen=True, slots=True)
class Take:
    """Simulate. Refused: `failed` or a later try, no nonce used. Accepted: assign `nonce`, sign, store: `signed`."""

    intent: UUID
    nonce: int
    fee: Fee


@dataclass(frozen=True, slots=True)
class Pause:
    """Take nothing new until an operator has looked. `code` says why."""

    code: str
    chain_nonce: int
    lane_nonce: int


Step = MarkMined | MarkUnmined | MarkSettled | MarkFailed | Expire | Fill | Broadcast | Replace | Take | Pause


def plan_lane(lane: Lane, intents: Sequence[Intent], chain: ChainState, *, now: datetime) -> list[Step]:
    """Return the steps of this round. Carry them out in order, each in its own transaction, then plan again.

    A `Take` that is refused ends the round: the nonces of those after it count on it.

    `intents` are all of the lane that are not at rest, and those at rest whose nonce is not below `chain.nonce`: a
    chain that came back behind the database needs their bytes again. Raises LaneRefusal when two intents hold one
    nonce or a nonce below `lane.next_nonce` is held by none that should be here.
    """
    held = _held(lane, intents)
    steps: list[Step] = []
    if chain.nonce > lane.next_nonce:
        steps.append(Pause("lane.foreign_nonce", chain.nonce, lane.next_nonce))
    for intent in held:
        steps += _facts(intent, chain)
    ended = {step.intent for step in steps if isinstance(step, (MarkMined, MarkSettled, MarkFailed))}
    for intent in intents:
        if intent.state is State.WANTED and now > intent.valid_until:
            steps.append(Expire(intent.id))
    for intent in held:
        if intent.id not in ended:
            steps += _sending(intent, lane, chain, now)
    if not lane.paused and chain.nonce <= lane.next_nonce:
        steps += _taking(lane, intents, chain, now)
    return steps


def bumped(old: Fee, market: Fee) -> Fee:
    """Return the least fee that replaces `old`: both parts at least 10 % more, rounded up, and what the market asks."""
    max_fee = max(_raised(old.max_fee), market.max_fee)
    return Fee(max_fee, min(max_fee, max(_raised(old.priority_fee), market.priority_fee)))


def _held(lane: Lane, intents: Sequence[Intent]) -> list[Intent]:
    held = sorted((intent for intent in intents if intent.nonce is not None), key=_nonce)
    for before, after in pairwise(held):
        if before.nonce == after.nonce:
            raise LaneRefusal("lane.nonce_shared", "Two intents hold one nonce.", actual=before.nonce)
    if held and _nonce(held[-1]) >= lane.next_nonce:
        raise LaneRefusal(
            "lane.next_nonce",
            "A nonce was used that the lane has not assigned.",
            limit=lane.next_nonce,
            actual=held[-1].nonce,
        )
    return held


def _facts(intent: Intent, chain: ChainState) -> Iterator[Step]:
    """Step 1: what the chain says about an intent that holds a nonce. One at rest stays as it is."""
    if intent.state in _AT_REST:
        return
    for transaction in intent.transactions:
        mined = chain.receipts.get(transaction.hash)
        if mined is not None:
            yield from _mined(intent, transaction, mined, chain)
            return
    if _nonce(intent) < chain.final_nonce:
        yield MarkFailed(intent.id, "lane.nonce_taken")
    elif intent.state is State.MINED:
        yield MarkUnmined(intent.id)


def _mined(intent: Intent, transaction: Transaction, mined: Mined, chain: ChainState) -> Iterator[Step]:
    if mined.block_number > chain.finalized:
        if intent.state is not State.MINED or intent.tx != transaction.hash:
            yield MarkMined(intent.id, transaction.hash, mined)
    elif transaction.filler:
        yield MarkSettled(intent.id, State.EXPIRED, transaction.hash, mined, "lane.filled")
    elif mined.succeeded:
        yield MarkSettled(intent.id, State.FINAL, transaction.hash, mined)
    else:
        yield MarkSettled(intent.id, State.FAILED, transaction.hash, mined, "lane.reverted")


def _sending(intent: Intent, lane: Lane, chain: ChainState, now: datetime) -> Iterator[Step]:
    """Steps 2 to 4 for an intent that holds a nonce which the chain has not used."""
    nonce = _nonce(intent)
    if nonce < chain.nonce:
        return
    newest = intent.transactions[-1]
    if _must_fill(intent, now) and not intent.filling:
        yield Fill(intent.id, nonce, bumped(newest.fee, chain.market))
        return
    chosen = _to_send(intent)
    if chosen.hash not in chain.known:
        yield Broadcast(intent.id, nonce, chosen.hash)
        return
    waited = now - (chosen.broadcast_at or chosen.signed_at)
    if nonce != chain.nonce or waited < lane.patience:
        return
    fee = bumped(newest.fee, chain.market)
    if 100 * fee.max_fee <= CAP_PERCENT * chain.market.max_fee:
        yield Replace(intent.id, nonce, fee, chosen.filler)


def _must_fill(intent: Intent, now: datetime) -> bool:
    """Say whether the nonce must be used without the effect.

    A failed intent that finds its nonce unused again, because the chain came back behind the database, is filled: what
    was reported as failed must not happen after all.
    """
    match intent.state:
        case State.SIGNED | State.BROADCAST:
            return now > intent.valid_until
        case State.FAILED:
            return True
        case State.WANTED | State.MINED | State.FINAL | State.EXPIRED:
            return False
        case other:
            assert_never(other)


def _to_send(intent: Intent) -> Transaction:
    """Return the newest bytes, but for what was reported as final the newest that have its effect."""
    if intent.state is State.FINAL:
        return next(each for each in reversed(intent.transactions) if not each.filler)
    return intent.transactions[-1]


def _taking(lane: Lane, intents: Sequence[Intent], chain: ChainState, now: datetime) -> Iterator[Step]:
    """Step 5: wanted intents that are due, oldest first, as many as the line has room for."""
    room = lane.in_flight_limit - (lane.next_nonce - chain.nonce)
    if room <= 0:
        return
    due = [
        intent
        for intent in intents
        if intent.state is State.WANTED
        and now <= intent.valid_until
        and (intent.not_before is None or intent.not_before <= now)
    ]
    due.sort(key=lambda intent: (intent.wanted_at, intent.id))
    for nonce, intent in enumerate(due[:room], lane.next_nonce):
        yield Take(intent.id, nonce, chain.market)


def _nonce(intent: Intent) -> int:
    if intent.nonce is None:
        raise LaneRefusal("lane.nonce", "The intent holds no nonce.", actual=str(intent.id))
    return intent.nonce


def _raised(fee: int) -> int:
    return -(-fee * (100 + BUMP_PERCENT) // 100)
