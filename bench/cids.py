"""Content identifiers against plain SHA-256: the CID costs the hash, one pass, and little memory.

Each figure comes from a process of its own; the three kinds of work take turns, so that whatever else the machine does
hits them alike. The file lies in the page cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil

from bench.result import Result
from provenance.core.unixfs.file import hash_file

MIB = 1_048_576
SIZE = 512 * MIB
RUNS = 5
MEMORY_LIMIT = 64.0
WORKS = ("sha256", "cid1", "cid2")


def run(size: int = SIZE, runs: int = RUNS) -> list[Result]:
    """Return speed with one thread and two, and the memory that the work takes."""
    with tempfile.TemporaryDirectory(prefix="cadastre-bench-") as folder:
        path = Path(folder) / "file"
        with path.open("wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
        taken = [{work: _apart(work, path) for work in WORKS} for _ in range(runs)]
    seconds = {work: median(each[work]["seconds"] for each in taken) for work in WORKS}
    # Of each round by itself: whatever else the machine does then slows its three works alike.
    ratios = {work: median(each["sha256"]["seconds"] / each[work]["seconds"] for each in taken) for work in WORKS}
    memory = max(each[work]["memory"] for each in taken for work in WORKS[1:])
    mib = size / MIB
    note = f"{mib:.0f} MiB, medians of {runs} rounds, a process for each work"
    speeds = [
        Result(
            name,
            mib / seconds[work],
            mib / seconds["sha256"],
            ratios[work],
            "MiB/s",
            f"against SHA-256 on one thread; {note}",
        )
        for name, work in (("CID, 1 thread", "cid1"), ("CID, 2 threads", "cid2"))
    ]
    ratio = MEMORY_LIMIT / max(memory, 0.1)
    return [*speeds, Result("memory of a CID", memory, MEMORY_LIMIT, ratio, "MiB above idle", "the most of all runs")]


def _apart(work: str, path: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", "bench.cids", work, path], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _sha256(descriptor: int, size: int) -> None:
    digest, buffer = hashlib.sha256(), bytearray(MIB)
    view, at = memoryview(buffer), 0
    while at < size:
        count = os.preadv(descriptor, [view], at)
        digest.update(view[:count])
        at += count
    digest.digest()


def _cid(threads: int) -> Callable[[int, int], object]:
    return lambda descriptor, size: hash_file(lambda view, at: os.preadv(descriptor, [view], at), size, threads=threads)


def main() -> None:
    """Do one work over one file and print what it took."""
    works = {"sha256": _sha256, "cid1": _cid(1), "cid2": _cid(2)}
    work, path = works[sys.argv[1]], Path(sys.argv[2])
    with path.open("rb") as file:
        idle = psutil.Process().memory_info().rss / 1024
        started = time.perf_counter()
        work(file.fileno(), path.stat().st_size)
        seconds = time.perf_counter() - started
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) / 1024
    print(json.dumps({"seconds": seconds, "memory": memory}))


if __name__ == "__main__":
    main()
