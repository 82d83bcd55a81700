"""The saved state of a development chain, kept so that a kill at any moment costs seconds, not the chain.

anvil writes its state file in place: a kill can leave it empty or cut short. So whole states are copied aside,
to two generations in turn, each under its final name in one step; before a start, a file that does not read is
replaced by the newest copy that does. Blocks mined after that copy are gone, which is why stored transactions are
broadcast again in nonce order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AnvilState:
    """The state file that anvil writes, and the two copies beside it."""

    current: Path

    @property
    def generations(self) -> tuple[Path, Path]:
        """The two copies, in no order."""
        return self.current.with_suffix(".a.json"), self.current.with_suffix(".b.json")

    def recover(self) -> Path | None:
        """Leave a state at `current` that reads, or no file at all; the copy it was taken from, if it was."""
        self.current.parent.mkdir(parents=True, exist_ok=True)
        if _whole(self.current) is not None:
            return None
        self.current.unlink(missing_ok=True)
        for copy in sorted(filter(Path.exists, self.generations), key=_modified, reverse=True):
            if (content := _whole(copy)) is not None:
                _write_at_once(self.current, content)
                return copy
        return None

    def keep(self, *, seconds_apart: float = 5.0) -> bool:
        """Copy the current state over the older generation.

        False when there is nothing to copy: the file is absent, half written, or less than `seconds_apart` newer than
        the last copy (anvil writes it every second, changed or not).
        """
        if not self.current.exists():
            return False
        older, newer = sorted(self.generations, key=_modified)
        if _modified(self.current) <= _modified(newer) + seconds_apart:
            return False
        content = _whole(self.current)
        if content is None:
            return False
        _write_at_once(older, content)
        return True


def _modified(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _whole(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
        json.loads(content)
    except (FileNotFoundError, ValueError):
        return None
    return content


def _write_at_once(target: Path, content: bytes) -> None:
    partial = target.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(target)
