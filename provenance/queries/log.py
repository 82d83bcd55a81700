"""Entries, checkpoints and proofs from the database. Every proof is for the size of a checkpoint that is named."""

from __future__ import annotations

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from provenance.core.checkpoint import Checkpoint
from provenance.core.merkle import EMPTY_ROOT, HASH_BYTES
from provenance.core.merkle import consistency_proof as prove_consistency
from provenance.core.merkle import inclusion_proof as prove_inclusion
from provenance.core.tiles import WIDTH, Tile, TileReader, TileRefusal, bundle_bytes
from provenance.core.tlogproof import TlogProof
from provenance.models import LogEntry, LogState, LogTile
from provenance.queries.chain import QueryRefusal


def log_state() -> LogState:
    """Return the one row of the log, made empty at the first call."""
    state, _ = LogState.objects.get_or_create(
        id=1,
        defaults={"origin": settings.CADASTRE_LOG_ORIGIN, "root": EMPTY_ROOT.hex(), "updated_at": timezone.now()},
    )
    return state


def checkpoint(state: LogState | None = None) -> Checkpoint:
    """Return the signed head of the log, or the one in a row that was read. Raises QueryRefusal before the first."""
    state = state or log_state()
    if not state.checkpoint:
        raise QueryRefusal("log.empty", "The log has no signed checkpoint yet.")
    return Checkpoint.parse(state.checkpoint.split("\n\n", 1)[0] + "\n")


def entry(index: int) -> LogEntry:
    """Return an entry. Raises QueryRefusal."""
    found = LogEntry.objects.filter(index=index).first()
    if found is None:
        raise QueryRefusal("log.no_entry", "The log has no such entry.", limit=log_state().size, actual=index)
    return found


def entries_of(subject: str) -> QuerySet[LogEntry]:
    """Return the entries about a subject, oldest first."""
    return LogEntry.objects.filter(subject=subject).order_by("index")


def tile_reader(size: int) -> TileReader:
    """Return the hashes of the tree of `size` entries, from the database."""
    return TileReader(size, _tile)


def inclusion_proof(index: int, size: int) -> list[bytes]:
    """Return the proof that entry `index` is in the tree of `size` entries. Raises MerkleRefusal, TileRefusal."""
    return prove_inclusion(index, size, tile_reader(size).get_hash)


def consistency_proof(size1: int, size2: int) -> list[bytes]:
    """Return the proof that the tree of `size1` entries begins that of `size2`. Raises MerkleRefusal, TileRefusal."""
    return prove_consistency(size1, size2, tile_reader(size2).get_hash)


def entry_bundle(number: int, width: int = WIDTH) -> bytes:
    """Return the C2SP entry bundle `number` with its first `width` entries. Raises TileRefusal."""
    first = number * WIDTH
    rows = LogEntry.objects.filter(index__gte=first, index__lt=first + width).order_by("index")
    envelopes = [bytes(envelope) for envelope in rows.values_list("envelope", flat=True)]
    if len(envelopes) != width:
        raise TileRefusal("tile.incomplete", "The log is not that long.", limit=len(envelopes), actual=width)
    return bundle_bytes(envelopes)


def tlog_proof(index: int) -> str:
    """Return the C2SP proof file of an entry for the signed checkpoint. Raises QueryRefusal, MerkleRefusal."""
    state = log_state()
    if not state.checkpoint or index >= state.checkpoint_size:
        raise QueryRefusal(
            "log.not_signed", "No signed checkpoint covers the entry yet.", limit=state.checkpoint_size, actual=index,
            todo="Ask again in a second.",
        )  # fmt: skip
    return TlogProof(index, tuple(inclusion_proof(index, state.checkpoint_size)), state.checkpoint).text


def _tile(tile: Tile) -> bytes:
    first = tile.index * WIDTH
    if not tile.level:  # level 0 is the leaves; a bundle has no hashes and is never asked for here
        rows = LogEntry.objects.filter(index__gte=first, index__lt=first + tile.width).order_by("index")
        return b"".join(bytes(leaf) for leaf in rows.values_list("leaf_hash", flat=True))
    found = LogTile.objects.filter(level=tile.level, number=tile.index).first()
    return bytes(found.hashes)[: tile.width * HASH_BYTES] if found is not None else b""
