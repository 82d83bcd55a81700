"""`python -m bench [NAME…]`: run all pieces, or some, and print one table of ratios.

Each piece runs in a process of its own, three times (once where it takes minutes or repeats inside); of each result the
run with the median ratio is shown. Figures are of this machine in this run: compare ratios, never absolute numbers.
Everything is kept in bench/results/NAME.json.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from platform import machine, python_version

from bench.result import Result

FOLDER = Path(__file__).parent / "results"
PATIENCE = 1200
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True)
class Piece:
    """A function `module:name` that returns results, and how often it is run."""

    function: str
    words: str
    runs: int = 3
    one_thread: bool = False

    def call(self) -> list[Result]:
        """Run it once, in this process."""
        module, _, name = self.function.partition(":")
        results: list[Result] = getattr(importlib.import_module(module), name)()
        return results


PIECES = {
    "cid": Piece("bench.cids:run", "content identifiers against SHA-256", runs=1),
    "ingest": Piece("bench.ingest:whole_ingest", "1 GiB taken in, against its slowest stage", runs=1),
    "text": Piece("bench.fingerprints:bench_text", "text signatures against datasketch", one_thread=True),
    "images": Piece("bench.fingerprints:bench_pdq", "PDQ of large JPEGs against the naive path", one_thread=True),
    "tables": Piece("bench.fingerprints:bench_table", "table fingerprints against parsing", one_thread=True),
    "index": Piece("bench.fingerprints:bench_index", "look-ups in a large index", one_thread=True),
    "payouts": Piece("bench.settlement:payout_trees", "the payout tree of a million payees"),
    "settlement": Piece("bench.settlement:voucher_lines", "a settlement of a million voucher lines", runs=1),
    "proofs": Piece("bench.proofs:run", "proofs in a log of a million entries"),
    "reads": Piece("bench.reads:run", "hot JSON reads against plain REST framework"),
    "purchases": Piece("bench.purchases:run", "purchases, fifty at once", runs=1),
}

TARGETS = {
    "CID, 1 thread": 0.95,
    "CID, 2 threads": 1.7,
    "memory of a CID": 1.0,
    "ingest of 1024 MiB": 0.8,
    "memory of an ingest worker": 1.0,
    "text signatures from bytes": 20.0,
    "text signatures from str, NFKC and casefold": 10.0,
    "text look-up": 1.0,
    "PDQ of a 12-megapixel JPEG": 10.0,
    "table hashing": 1.0,
    "table from bytes": 0.5,  # hashing no dearer than parsing
    "payout tree": 25.0,
    "hot read, list of 50": 2.0,
    "hot read, one dataset": 2.0,
}
"""Ratios to reach. What has none is printed to be watched."""


def measure(name: str, piece: Piece) -> list[dict[str, object]]:
    """Run a piece as often as it says and return its results as they are kept.

    Raises CalledProcessError, and TimeoutExpired for a run of more than twenty minutes, so that the others get theirs.
    """
    environment = {**os.environ, **(ONE_THREAD if piece.one_thread else {})}
    words = [sys.executable, "-m", "bench", "--once", name]
    runs = []
    for number in range(piece.runs):
        print(f"{name}: {piece.words} ({number + 1} of {piece.runs})", file=sys.stderr, flush=True)
        done = subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=PATIENCE)
        runs.append([Result(**each) for each in json.loads(done.stdout.splitlines()[-1])])
    return [_median(same) for same in zip(*runs, strict=True)]


def _median(same: Sequence[Result]) -> dict[str, object]:
    ordered = sorted(same, key=lambda each: each.ratio)
    shown = ordered[len(ordered) // 2]
    target = TARGETS.get(shown.name)
    met = None if target is None else shown.ratio >= target
    return {**asdict(shown), "target": target, "met": met, "ratios": [each.ratio for each in same]}


def keep(name: str, results: Sequence[dict[str, object]]) -> None:
    """Write a piece's results beside those of the other pieces."""
    FOLDER.mkdir(exist_ok=True)
    taken = datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    where = {"python": python_version(), "machine": machine(), "processors": os.cpu_count()}
    document = {"piece": name, "taken": taken, **where, "results": results}
    (FOLDER / f"{name}.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def table(results: Sequence[dict[str, object]]) -> str:
    """Return the results as a table for people."""
    head = ("", "ours", "peer", "unit", "ratio", "target", "")
    rows = [head, *(_row(each) for each in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for row, result in zip(rows, [None, *results], strict=True):
        cells = (
            cell.rjust(width) if 0 < at < 6 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip() + (f"  {result['note']}" if result else ""))
    return "\n".join(lines)


def _row(result: dict[str, object]) -> tuple[str, ...]:
    target, met = result["target"], {None: "–", True: "✓", False: "✕"}[result["met"]]  # type: ignore[index]
    wanted = "" if target is None else f"≥ {target:g}"
    figures = (f"{result['ours']:,.4g}", f"{result['peer']:,.4g}")
    return str(result["name"]), *figures, str(result["unit"]), f"{result['ratio']:.2f}", wanted, met


def main(words: Sequence[str] | None = None) -> int:
    """Run what is named and return 1 if a piece failed; a missed target is shown, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, as ratios in one run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"pieces: {', '.join(PIECES)} (default: all)")
    parser.add_argument("--once", choices=PIECES, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.once:
        print(json.dumps([asdict(each) for each in PIECES[options.once].call()]))
        return 0
    unknown = set(options.names) - PIECES.keys()
    if unknown:
        parser.error(f"no such piece: {', '.join(sorted(unknown))}")
    shown: list[dict[str, object]] = []
    failed: list[str] = []
    for name in options.names or PIECES:
        try:
            results = measure(name, PIECES[name])
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            failed.append(name)
            continue
        keep(name, results)
        shown += results
    print(table(shown))
    for name in failed:
        print(f"{name} failed; what it said stands above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
