"""Tiles, bundles, checkpoint and key below /log/: what a reader of a checkpoint needs is there before it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from provenance import sequencer
from provenance.adapters.keystore import SeedKeyRing
from provenance.core.checkpoint import VerifierKey, open_checkpoint
from provenance.core.merkle import inclusion_proof, leaf_hash, verify_inclusion
from provenance.core.tiles import WIDTH, Tile, TileReader, bundle_entries
from provenance.models import LogEntry
from provenance.queries import log_state
from provenance.sequencer import publish, sequence_due
from tests.log.conftest import Tell

pytestmark = pytest.mark.django_db


def _audit(folder: Path) -> int:
    """Read the log as a stranger does, from its files alone; return its size."""
    vkey = VerifierKey.parse((folder / "vkey").read_text())
    head = open_checkpoint((folder / "checkpoint").read_text(), [vkey])
    reader = TileReader(head.size, lambda tile: (folder / tile.path).read_bytes())
    for number in range((head.size + WIDTH - 1) // WIDTH):
        width = min(WIDTH, head.size - number * WIDTH)
        entries = bundle_entries((folder / Tile(None, number, width).path).read_bytes(), width)
        for offset in (0, width - 1):
            index = number * WIDTH + offset
            proof = inclusion_proof(index, head.size, reader.get_hash)
            verify_inclusion(leaf_hash(entries[offset]), index, head.size, proof, head.root)
    return head.size


def test_a_stranger_reads_the_whole_log_from_its_files(
    tell: Tell, ring: SeedKeyRing, now: datetime, log_folder: Path
) -> None:
    assert publish(now) == 0
    for size in (1, 5, 256, 259, 515):
        for number in range(log_state().size, size):
            tell(number)
        sequence_due(ring, now, limit=1000)
        assert publish(now) == size
        assert publish(now) == size
        assert _audit(log_folder) == size
    assert log_state().published_size == 515


def test_the_checkpoint_is_written_after_what_it_covers(
    tell: Tell, ring: SeedKeyRing, now: datetime, log_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(1)
    sequence_due(ring, now)
    written: list[str] = []
    write = sequencer._write
    monkeypatch.setattr(sequencer, "_write", lambda path, data: (written.append(path.name), write(path, data)))
    publish(now)
    assert written[-1] == "checkpoint"


def test_a_crash_while_publishing_is_made_good_by_the_next_try(
    tell: Tell, ring: SeedKeyRing, now: datetime, log_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        tell(number)
    sequence_due(ring, now, limit=1000)
    write = sequencer._write
    for allowed in range(4):
        left = [allowed]

        def failing(path: Path, data: bytes, left: list[int] = left) -> None:
            if not left[0]:
                raise OSError("no space left on device")
            left[0] -= 1
            write(path, data)

        monkeypatch.setattr(sequencer, "_write", failing)
        with pytest.raises(OSError, match="space"):
            publish(now)
        assert not (log_folder / "checkpoint").exists()
    monkeypatch.setattr(sequencer, "_write", write)
    publish(now)
    assert _audit(log_folder) == 300


def test_files_that_were_lost_are_written_again(tell: Tell, ring: SeedKeyRing, now: datetime, log_folder: Path) -> None:
    for number in range(3):
        tell(number)
    sequence_due(ring, now)
    publish(now)
    (log_folder / "checkpoint").unlink()
    (log_folder / Tile(0, 0, 3).path).unlink()
    publish(now)
    assert _audit(log_folder) == 3
    assert LogEntry.objects.count() == 3
