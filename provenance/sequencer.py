"""Puts statements into the log, in order, once each, and publishes the log as static files.

1. Take the statements that are due, oldest first.
2. Sign each into an entry that names the latest earlier entry about its subject.
3. In one transaction: move `LogState.size` from what was read to what follows (compare-and-set: of two sequencers one
   wins, the other has done nothing), insert the entries, complete the tiles, keep the signed checkpoint, and tell the
   intake rows their index.
4. Publish: new tiles and bundles first, the checkpoint last, so that a reader of a checkpoint finds what it covers.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max

from provenance.core.checkpoint import Checkpoint, VerifierKey, open_checkpoint, sign_checkpoint
from provenance.core.entry import Entry, make_entry
from provenance.core.merkle import HASH_BYTES, Frontier, Subtree
from provenance.core.refusal import Refusal
from provenance.core.tiles import HEIGHT, WIDTH, new_bundles, new_tiles, tile_bytes
from provenance.intake import people_of, statement_of
from provenance.models import IntakeStatement, LogEntry, LogState, LogTile
from provenance.ports import KeyRing
from provenance.queries import entry_bundle, log_state, tile_reader

log = logging.getLogger(__name__)

BATCH = 256
_LOCK_FILE = ".lock"


class SequencerRefusal(Refusal):
    """The log cannot be extended: it is another log's, or signed by another key."""


def sequence_due(ring: KeyRing, now: dt.datetime, *, limit: int = BATCH) -> int:
    """Put up to `limit` due statements into the log; return how many entries were made.

    0 also when another sequencer was faster. Raises SequencerRefusal when this key is not the log's, or when the
    database is behind what was published.
    """
    state = _own_state(ring)
    due = _untold(IntakeStatement.objects.filter(sequenced__isnull=True, cause="").order_by("id")[:limit])
    if not due:
        return 0
    _refuse_to_fork(state)
    made = list(_entries(due, state.size, ring))
    if not made:
        return 0
    frontier = Frontier(state.size, tuple(map(bytes.fromhex, state.compact_range)))
    grown, completed = frontier.grow([entry.leaf_hash for _, entry in made])
    note = sign_checkpoint(
        Checkpoint(state.origin, grown.size, grown.root),
        VerifierKey.parse(state.vkey),
        lambda m: ring.ed25519_sign("log", m),
    )
    try:
        with transaction.atomic():
            _extend(state, grown, note, now)
            _insert(made, state.size, now)
            complete_tiles(completed)
    except (_LostRaceError, IntegrityError):
        log.info("another sequencer extended the log beyond %d", state.size)
        return 0
    return len(made)


def publish(now: dt.datetime, *, everything: bool = False) -> int:
    """Write the static files of the signed log below CADASTRE_LOG_DIR; return the published size.

    `everything` writes all files again. One publisher at a time: a checkpoint never goes back.
    """
    folder = Path(settings.CADASTRE_LOG_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        state = log_state()
        size = state.checkpoint_size
        if not state.checkpoint:
            return 0
        is_lost = everything or not (folder / "checkpoint").exists()
        published = 0 if is_lost else state.published_size
        if published < size:
            reader = tile_reader(size)
            for tile in new_bundles(published, size):
                _write(folder / tile.path, entry_bundle(tile.index, tile.width))
            for tile in new_tiles(published, size):
                _write(folder / tile.path, tile_bytes(tile, reader.get_hash))
        _write(folder / "vkey", state.vkey.encode() + b"\n")
        _write(folder / "checkpoint", state.checkpoint.encode())
        LogState.objects.filter(id=1, published_size__lt=size).update(published_size=size, updated_at=now)
    return size


def publish_due(now: dt.datetime) -> int:
    """Publish if the signed log is longer than its files; return the published size."""
    state = log_state()
    folder = Path(settings.CADASTRE_LOG_DIR)
    if state.published_size >= state.checkpoint_size and (folder / "checkpoint").exists():
        return state.published_size
    return publish(now)


def log_key(ring: KeyRing) -> VerifierKey:
    """Return the log's verifier key: its name is the origin."""
    return VerifierKey(settings.CADASTRE_LOG_ORIGIN, ring.ed25519_public("log"))


class _LostRaceError(Exception):
    """Another sequencer was faster; its entries stand."""


def _own_state(ring: KeyRing) -> LogState:
    state = log_state()
    vkey, service = str(log_key(ring)), ring.ed25519_public("service").hex()
    if not state.vkey:
        LogState.objects.filter(id=1, vkey="").update(vkey=vkey, service_key=service)
        state = log_state()
    if (state.vkey, state.service_key) != (vkey, service):
        # Going on would sign one log with two keys, and no verifier would follow.
        raise SequencerRefusal(
            "log.other_key", "This log belongs to another key or origin.", limit=state.vkey, actual=vkey,
            todo="Restore the key store and CADASTRE_LOG_ORIGIN that belong to this database.",
        )  # fmt: skip
    return state


def _untold(due: Iterable[IntakeStatement]) -> list[IntakeStatement]:
    """Leave out what the log says already: facts of the chain are told again after a rebuild or a restored backup."""
    rows = list(due)
    told = dict(LogEntry.objects.filter(fact__in=[row.fact for row in rows]).values_list("fact", "index"))
    for row in rows:
        if row.fact in told:
            IntakeStatement.objects.filter(pk=row.pk, sequenced__isnull=True).update(sequenced=told[row.fact])
    return [row for row in rows if row.fact not in told]


def published_checkpoint(state: LogState) -> Checkpoint | None:
    """Return the head that stands below CADASTRE_LOG_DIR, if it is of this log and its key signed it."""
    try:
        note = (Path(settings.CADASTRE_LOG_DIR) / "checkpoint").read_text(encoding="utf-8")
        return open_checkpoint(note, [VerifierKey.parse(state.vkey)])
    except (FileNotFoundError, UnicodeDecodeError, Refusal):
        return None


def head_beyond(state: LogState) -> Checkpoint | None:
    """Return the published head that the database does not reach or contradicts, or None when all is in order.

    A database that was restored from a backup is behind: whoever has the published head would hold a proof against us.
    """
    published = published_checkpoint(state)
    if published is None or published.size < state.size:
        return None
    return None if (published.size, published.root.hex()) == (state.size, state.root) else published


def _refuse_to_fork(state: LogState) -> None:
    published = head_beyond(state)
    if published is not None:
        raise SequencerRefusal(
            "log.behind", "The database is behind the log that was published.", limit=published.size,
            actual=state.size, todo="Run: manage.py rebuild",
        )  # fmt: skip


def _entries(due: Sequence[IntakeStatement], size: int, ring: KeyRing) -> Iterator[tuple[IntakeStatement, Entry]]:
    latest = _latest_entries({row.subject for row in due})
    index = size
    key = ring.ed25519_public("service")
    for row in due:
        try:
            entry = make_entry(
                statement_of(row), key=key, sign=lambda message: ring.ed25519_sign("service", message),
                previous=latest.get(row.subject), people=people_of(row),
            )  # fmt: skip
            entry.to_bytes()
        except Refusal as refusal:
            # It was checked on its way in, so this is a fault of ours; it must not hold up everybody else's facts.
            log.exception("statement %s cannot be sequenced", row.fact)
            IntakeStatement.objects.filter(pk=row.pk, sequenced__isnull=True).update(cause=str(refusal))
            continue
        yield row, entry
        latest[row.subject] = index
        index += 1


def _latest_entries(subjects: set[str]) -> dict[str, int]:
    rows = LogEntry.objects.filter(subject__in=subjects).values("subject").annotate(latest=Max("index")).order_by()
    return {row["subject"]: row["latest"] for row in rows}


def _extend(state: LogState, grown: Frontier, note: str, now: dt.datetime) -> None:
    moved = LogState.objects.filter(id=1, size=state.size, root=state.root).update(
        size=grown.size,
        root=grown.root.hex(),
        compact_range=[peak.hex() for peak in grown.peaks],
        checkpoint=note,
        checkpoint_size=grown.size,
        updated_at=now,
    )
    if moved != 1:
        raise _LostRaceError


def _insert(made: Sequence[tuple[IntakeStatement, Entry]], size: int, now: dt.datetime) -> None:
    LogEntry.objects.bulk_create(
        LogEntry(
            index=size + offset,
            subject=entry.statement.subject,
            type=entry.statement.type,
            fact=entry.statement.fact,
            previous=entry.previous,
            leaf_hash=entry.leaf_hash,
            envelope=entry.to_bytes(),
            logged_at=now,
        )
        for offset, (_, entry) in enumerate(made)
    )
    for offset, (row, _) in enumerate(made):
        told = IntakeStatement.objects.filter(pk=row.pk, sequenced__isnull=True, cause="").update(
            sequenced=size + offset
        )
        if told != 1:
            raise _LostRaceError


def complete_tiles(completed: Sequence[Subtree]) -> None:
    """Append the hashes of subtrees that fill a tile of the level above; call it in the transaction of the entries."""
    for subtree in completed:
        level, inside = divmod(subtree.level, HEIGHT)
        if inside or level == 0:
            continue
        number, offset = divmod(subtree.index, WIDTH)
        row, _ = LogTile.objects.get_or_create(level=level, number=number, defaults={"hashes": b""})
        hashes = bytes(row.hashes)
        if len(hashes) != offset * HASH_BYTES:
            raise _LostRaceError
        row.hashes = hashes + subtree.hash
        row.save(update_fields=["hashes"])


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / _LOCK_FILE).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)
