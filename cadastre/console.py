"""How the command line speaks: results on standard output, progress on standard error, one line per refusal."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TextIO

from provenance.core.refusal import Refusal

WATCHED_SECONDS, PIPED_SECONDS = 0.1, 10.0
"""How often progress is shown at most: on a terminal, and in a pipe or a file."""


@dataclass(slots=True)
class Console:
    """`json_output` prints results as one JSON value; progress goes to standard error, whoever reads it."""

    json_output: bool = False
    quiet: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    _began: float = field(default_factory=monotonic)
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

    def agreed(self, value: Any, question: str) -> bool:
        """Show a value and ask; anything but yes is no."""
        self.clear()
        print(json.dumps(value, indent=2, ensure_ascii=False), file=self.err)
        print(f"{question} [y/N] ", end="", file=self.err, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def progress(self, words: str) -> None:
        """Show how far it is: on a terminal a line that replaces itself, elsewhere a line now and then."""
        now, is_watched = monotonic(), self.err.isatty()
        since = self._shown if is_watched else max(self._shown, self._began)
        if self.quiet or now - since < (WATCHED_SECONDS if is_watched else PIPED_SECONDS):
            return
        self._shown = now
        if not is_watched:
            print(words, file=self.err, flush=True)
            return
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
