"""Heads of a log that this machine has seen, so that nobody can show it another log later.

1. Whoever is shown two logs is shown, sooner or later, two signed heads that do not continue each other.
2. `verify` keeps the head of every bundle that did not fail, and compares heads of the same size.
3. `log` demands a proof that the head the site shows now continues every head that was kept, and those of others.
4. What is proved to be part of a newer head needs no keeping. Where heads contradict each other, nothing is forgotten.

One file, `heads.json`, beside the profile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from provenance.core.audit import Audit, NotChecked
from provenance.core.bundle import Bundle
from provenance.core.checkpoint import Checkpoint, VerifierKey, open_checkpoint
from provenance.core.merkle import MerkleRefusal, consistency_proof, verify_consistency
from provenance.core.refusal import Refusal
from provenance.core.tiles import Tile, TileReader

FILE_NAME = "heads.json"


class HeadsRefusal(Refusal):
    """The kept heads cannot be read."""


class SplitView(Refusal):
    """Two heads that the same key signed do not continue each other; `notes` are both, as they were signed."""

    notes: tuple[str, str] = ("", "")


@dataclass
class Heads:
    """The signed heads of one log that were seen here, by size."""

    home: Path
    vkey: VerifierKey
    notes: dict[int, str] = field(default_factory=dict)

    @classmethod
    def load(cls, home: Path, vkey: VerifierKey) -> Self:
        """Read the kept heads of the log with this key. Raises HeadsRefusal."""
        heads = cls(home, vkey)
        try:
            for note in _stored(home).get(str(vkey), []):
                heads.add(note)
        except (Refusal, ValueError, AttributeError, TypeError) as error:
            raise HeadsRefusal(
                "heads.unreadable", f"{home / FILE_NAME} does not hold heads of a log.", todo="Move it away."
            ) from error
        return heads

    def add(self, note: str) -> Checkpoint:
        """Add a signed head. Raises SplitView when another one of its size was seen, CheckpointRefusal."""
        head = open_checkpoint(note, [self.vkey])
        known = self.notes.setdefault(head.size, note)
        if open_checkpoint(known, [self.vkey]).root != head.root:
            raise _split(known, note, "They are of the same size and have different roots.", head.size)
        return head

    def prove(self, note: str, fetch: Callable[[Tile], bytes]) -> Checkpoint:
        """Check that a signed head continues every other one, by proofs made from its tiles; keep it alone.

        Raises SplitView, CheckpointRefusal, and what `fetch` raises.
        """
        head = self.add(note)
        tiles = TileReader(head.size, fetch)
        for size, known in sorted(self.notes.items()):
            if size > head.size:
                raise _split(known, note, "The log that is shown now is shorter than one that was shown before.", size)
            root = open_checkpoint(known, [self.vkey]).root
            try:
                verify_consistency(size, root, head.size, head.root, consistency_proof(size, head.size, tiles.get_hash))
            except MerkleRefusal as error:
                raise _split(known, note, "What is shown now does not contain what was shown before.", size) from error
        self.notes = {head.size: note}
        return head

    def save(self) -> None:
        """Write the heads, at once and whole, beside those of other logs."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self.home / f"{FILE_NAME}.{os.getpid()}.partial"
        stored = {**_stored(self.home), str(self.vkey): [note for _, note in sorted(self.notes.items())]}
        partial.write_text(json.dumps(stored, indent=2))
        partial.replace(self.home / FILE_NAME)

    def check(self, case: Audit) -> str:
        """Say whether the heads of a bundle are those of the log that was seen here: a step of `verify`."""
        head = open_checkpoint(case.bundle.checkpoint, [self.vkey])
        shown = {anchor.size: anchor.root for anchor in case.bundle.anchors} | {head.size: head.root}
        common = sorted(self.notes.keys() & shown.keys())
        for size in common:
            if open_checkpoint(self.notes[size], [self.vkey]).root != shown[size]:
                raise _split(self.notes[size], case.bundle.checkpoint, "A head of the same size was seen here.", size)
        if not common:
            raise NotChecked("heads.none", "No head of these sizes was seen here before; `cadastre log` proves others.")
        return f"It is the log that was seen here before, up to entry {common[-1]:,}."


def note_in(path: Path) -> str:
    """Return the signed head in a file: a checkpoint as the log serves it, or that of a bundle. Raises Refusal."""
    data = path.read_bytes()
    return Bundle.parse(data).checkpoint if data.lstrip()[:1] == b"{" else data.decode("utf-8", "replace")


def add_all(heads: Heads, paths: Iterable[Path]) -> None:
    """Add the heads in files that others gave. Raises Refusal."""
    for path in paths:
        heads.add(note_in(path))


def _stored(home: Path) -> dict[str, list[str]]:
    try:
        return dict(json.loads((home / FILE_NAME).read_text()))
    except FileNotFoundError:
        return {}


def _split(known: str, note: str, words: str, size: int) -> SplitView:
    refusal = SplitView(
        "log.split_view", f"The log's key signed two heads that do not continue each other. {words}", actual=size,
        todo="Keep both: they are signed, and prove it to anybody.",
    )  # fmt: skip
    refusal.notes = (known, note)
    return refusal
