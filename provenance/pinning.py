"""Copies: N wanted of every package and document, looked at again and again, mended when one is missing.

1. `want_pins` writes one row per (CID, store), up to the copies wanted; nothing is pinned in the same transaction.
2. `repair_due` takes due rows by compare-and-set, brings the blocks that the store lacks from wherever they are, each
   re-hashed, and pins. A failure is a cause in words and a later try; it never stops the others.
3. `audit_due` re-hashes a random sample of each copy. "Pinned" is what a store says, bytes are what it has.
4. `call_overdue` names pins that never ended.

A copy counts as seen only in state `pinned`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from provenance.adapters.dag import dag_cids
from provenance.core.cid import Cid, Codec
from provenance.core.refusal import Refusal
from provenance.limits import content_limits
from provenance.models import Document, PinRow, PinState, Submission
from provenance.ports import ContentStore, StoreRefusal

SAMPLE_BLOCKS = 16

_BACKOFF = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
_LEASE = timedelta(minutes=15)
_CAUSE = 500

Stores = Mapping[str, ContentStore]


class PinRefusal(Refusal):
    """A copy cannot be made or is not what it should be."""


@dataclass(frozen=True, slots=True)
class Copies:
    """How many copies of a DAG are there; `causes` says of each missing one why, by store."""

    seen: int
    wanted: int
    causes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.seen} of {self.wanted} copies"


def want_pins(
    *, cid: Cid, stores: Iterable[str], now: datetime, submission: Submission | None = None, announced: bool = False
) -> None:
    """Write down that `cid` shall be kept by the first stores, as many as there are copies wanted. Safe twice."""
    deadline = now + content_limits().pin_deadline
    PinRow.objects.bulk_create(
        [
            PinRow(cid=str(cid), store=name, submission=submission, announced=announced, due=now, deadline=deadline)
            for name in list(stores)[: content_limits().copies]
        ],
        ignore_conflicts=True,
    )


def want_announced(*, cid: Cid, now: datetime) -> None:
    """Let the network be told where a DAG is: it has become public. Takes effect with the next repair round."""
    PinRow.objects.filter(cid=str(cid), announced=False).update(announced=True, state=PinState.WANTED, due=now)


def copies_of(cid: Cid) -> Copies:
    """Return what the last looks found: "2 of 3 copies"."""
    rows = list(PinRow.objects.filter(cid=str(cid)).order_by("store"))
    causes = [f"{row.store}: {row.cause or 'not stored yet'}" for row in rows if row.state != PinState.PINNED]
    wanted = content_limits().copies
    if rows and len(rows) < wanted:
        causes.append(f"{wanted - len(rows)} more copies are wanted than stores are configured")
    return Copies(sum(row.state == PinState.PINNED for row in rows), wanted, tuple(causes))


def repair_due(stores: Stores, *, now: datetime, limit: int = 50) -> int:
    """Make the copies that are due; return how many rows were worked on."""
    rows = PinRow.objects.filter(~Q(state=PinState.PINNED), due__lte=now, store__in=list(stores)).order_by("due")
    return _each_taken(rows[:limit], now, lambda row: _repair(row, stores, now))


def audit_due(stores: Stores, *, now: datetime, limit: int = 50) -> int:
    """Re-hash samples of the copies that are due; return how many rows were looked at."""
    rows = PinRow.objects.filter(state=PinState.PINNED, due__lte=now, store__in=list(stores)).order_by("due")
    return _each_taken(rows[:limit], now, lambda row: _audit(row, stores[row.store], now))


def call_overdue(*, now: datetime) -> int:
    """Give every pin that has not ended by its deadline a cause that the dashboard shows; return how many."""
    return (
        PinRow.objects.filter(state=PinState.WANTED, deadline__lte=now)
        .filter(cause="")
        .update(state=PinState.BROKEN, cause="pinning has not ended by its deadline; it is tried again", due=now)
    )


def release(*, submission: Submission, stores: Stores) -> int:
    """Unpin what a submission stored and destroy its blocks, but for those that another pin needs; return how many.

    Stores that do not answer keep their row, so that the next round tries again: raises nothing for them.
    """
    gone = 0
    for row in PinRow.objects.filter(submission=submission, store__in=list(stores)):
        store = stores[row.store]
        root = Cid.parse(row.cid)
        try:
            doomed = set(dag_cids(root, store)) if store.has(root) else {root}
            store.unpin(root)
            gone += store.delete(doomed - _kept_by_others(row, doomed, store))
        except (StoreRefusal, OSError) as error:
            PinRow.objects.filter(id=row.id).update(cause=f"could not be destroyed yet: {error}"[:_CAUSE])
            continue
        PinRow.objects.filter(id=row.id).delete()
    return gone


def _each_taken(rows: Iterable[PinRow], now: datetime, work: Callable[[PinRow], None]) -> int:
    count = 0
    for row in rows:
        # Compare-and-set on `due` is the lease: of two workers one sees its row changed, and a dead one's runs out.
        if PinRow.objects.filter(id=row.id, due=row.due, state=row.state).update(due=now + _LEASE) == 1:
            work(row)
            count += 1
    return count


def _repair(row: PinRow, stores: Stores, now: datetime) -> None:
    root = Cid.parse(row.cid)
    try:
        blocks = _fill(root, row, stores)
        stores[row.store].pin(root, announce=row.announced)
    except (Refusal, OSError) as error:
        step = _BACKOFF[min(row.attempts, len(_BACKOFF) - 1)]
        PinRow.objects.filter(id=row.id).update(
            state=PinState.BROKEN, cause=str(error)[:_CAUSE], attempts=row.attempts + 1, due=now + step
        )
        return
    PinRow.objects.filter(id=row.id).update(
        state=PinState.PINNED, cause="", attempts=0, blocks=blocks, audited=now,
        due=now + content_limits().audit_every,
    )  # fmt: skip


def _fill(root: Cid, row: PinRow, stores: Stores) -> int:
    # A copy that an audit found wanting is read whole: `has` would be satisfied by altered bytes.
    target = _Mending(stores[row.store], [store for name, store in stores.items() if name != row.store])
    doubted = row.state == PinState.BROKEN and row.audited is not None
    blocks = 0
    for cid in dag_cids(root, target):
        if doubted or not target.has(cid):
            target.get_block(cid)
        blocks += 1
    return blocks


class _Mending:
    """A store that, asked for a block it lacks or holds altered, takes it from another copy and keeps it."""

    def __init__(self, target: ContentStore, others: list[ContentStore]) -> None:
        self._target = target
        self._others = others

    def has(self, cid: Cid) -> bool:
        return self._target.has(cid)

    def get_block(self, cid: Cid) -> bytes:
        try:
            return self._target.get_block(cid)
        except StoreRefusal as refusal:
            if refusal.code not in {"store.missing", "store.mismatch", "store.unreadable"}:
                raise
        data = self._elsewhere(cid)
        self._target.put_block(cid, data)
        return data

    def _elsewhere(self, cid: Cid) -> bytes:
        for store in self._others:
            try:
                return store.get_block(cid)
            except (StoreRefusal, OSError):
                continue
        document = Document.objects.filter(sha256=cid.sha256.hex).first() if cid.codec is Codec.RAW else None
        if document is not None:
            return document.content
        raise PinRefusal(
            "pin.lost", f"No copy holds the block {cid}.", limit=1, actual=0,
            todo="Start the stores that are down, or make the package again from the plaintext.",
        )  # fmt: skip


def _audit(row: PinRow, store: ContentStore, now: datetime) -> None:
    try:
        for cid in _sample(list(dag_cids(Cid.parse(row.cid), store))):
            store.get_block(cid)
    except (Refusal, OSError) as error:
        PinRow.objects.filter(id=row.id).update(
            state=PinState.BROKEN, cause=f"the audit found: {error}"[:_CAUSE], audited=now, due=now, attempts=0
        )
        return
    PinRow.objects.filter(id=row.id).update(audited=now, due=now + content_limits().audit_every)


def _sample(cids: list[Cid]) -> Iterator[Cid]:
    # From the system's randomness: a store that could guess the sample would keep only that.
    yield from secrets.SystemRandom().sample(cids, min(SAMPLE_BLOCKS, len(cids)))


def _kept_by_others(row: PinRow, doomed: set[Cid], store: ContentStore) -> set[Cid]:
    kept: set[Cid] = set()
    for text in PinRow.objects.filter(store=row.store).exclude(id=row.id).values_list("cid", flat=True):
        root = Cid.parse(text)
        if store.has(root):
            kept |= doomed.intersection(dag_cids(root, store))
    return kept
