"""How the command line speaks: results on standard output, progress on standard error, one line per refusal."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any, TextIO

from provenance.core.refusal import Refusal


@dataclass(slots=True)
class Console:
    """`json_output` prints results as one JSON value; progress is shown only where somebody watches."""

    json_output: bool = False
    quiet: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    _shown: float = 0.0
    _width: int = 0

    def result(self, value: Any, *lines: str) -> None:
        """Print a result: `value` for programs, `lines` for people."""
        self.clear()
        if self.json_output:
            print(json.dumps(value, indent=2, ensure_ascii=False), file=self.out)
            return
        for line in lines:
            print(line, file=self.out)

    def refuse(self, refusal: Refusal) -> None:
        """Print a refusal: one line for people; for programs `{"error": problem details}` instead of a result."""
        self.clear()
        if self.json_output:
            print(json.dumps({"error": refusal.as_problem()}, indent=2, ensure_ascii=False), file=self.out)
        print(f"cadastre: {' '.join(str(refusal).split())}", file=self.err)

    def say(self, sentence: str) -> None:
        """Say what is going on."""
        if not self.quiet:
            self.clear()
            print(sentence, file=self.err)

    def progress(self, words: str) -> None:
        """Show a line that replaces itself, at most ten times a second, on a terminal only."""
        now = time.monotonic()
        if self.quiet or not self.err.isatty() or now - self._shown < 0.1:
            return
        self._shown = now
        print("\r" + words.ljust(self._width), end="", file=self.err, flush=True)
        self._width = len(words)

    def clear(self) -> None:
        """Remove the progress line."""
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=self.err, flush=True)
            self._width = 0


def size_in_words(count: int) -> str:
    """Return bytes as people write them: 1,234 bytes, 12.3 MB."""
    for unit, size, least in (("TB", 10**12, 10**12), ("GB", 10**9, 10**9), ("MB", 10**6, 10**6), ("kB", 1000, 10**4)):
        if count >= least:
            return f"{count / size:.1f} {unit}"
    return f"{count:,} bytes"
