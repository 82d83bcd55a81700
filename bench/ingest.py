"""Taking data in: the whole way in against its slowest stage alone.

It runs the real functions over a real database and block store in a temporary folder: upload rows, inspection
(hash, scan, fingerprint, preview), copy check, sealing, chunking, storing, documents. Every stage alone runs over the
same files in the same number of processes.

A stage alone keeps every core busy, and so does the whole way in, which therefore cannot take less than the sum of its
stages. `bound` is slowest / sum of their processor time: the ratio if nothing else cost anything. It was .66 when the
ratio was .50, so .8 is out of reach until fingerprints cost more or sealing and hashing less; docs/algorithms/ingest.md
has the figures.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pyrage

from bench.real_data import prose
from bench.result import Result
from provenance.adapters.blocks_local import LocalBlocks
from provenance.adapters.scanner import SignatureScanner
from provenance.core.unixfs.file import FileHasher
from provenance.fingerprints.registry import Kind, sketch_file, to_bytes

MIB = 1_048_576
SIZE = 1024 * MIB
FILES = 16
WORKERS = 2
MEMORY_LIMIT = 128 * MIB


def run() -> list[Result]:
    """Return every measurement of this file; about two minutes."""
    return whole_ingest()


def whole_ingest(size: int = SIZE, files: int = FILES, workers: int = WORKERS) -> list[Result]:
    """Measure `size` bytes of prose from uploaded to packaged against the slowest of its stages alone."""
    folder = Path(tempfile.mkdtemp(prefix="cadastre-bench-"))
    try:
        sources = _sources(folder, size // files, files)
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_open, initargs=(str(folder),)) as pool:
            list(pool.map(_idle, range(workers * 4)))
            measured = {name: _stage_alone(pool, name, sources) for name in STAGES}
            alone = {name: spent.seconds for name, spent in measured.items()}
            cpu = {name: spent.cpu * 1000 / (size / MIB) for name, spent in measured.items()}
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_open, initargs=(str(folder),)) as pool:
            list(pool.map(_idle, range(workers * 4)))
            whole = _Whole(folder, sources)
            began = time.process_time()
            seconds = _timed(lambda: whole.take_in(pool))
            whole_cpu = (whole.cpu + time.process_time() - began) * 1000 / (size / MIB)
        slowest = max(alone, key=lambda name: alone[name])
        stages = ", ".join(f"{name} {spent:.2f}" for name, spent in sorted(cpu.items(), key=lambda item: item[1]))
        bound = cpu[slowest] / sum(cpu.values())
        return [
            Result(
                f"ingest of {size // MIB} MiB",
                size / MIB / seconds,
                size / MIB / alone[slowest],
                alone[slowest] / seconds,
                "MiB/s",
                f"{files} sealed texts, {workers} workers, against {slowest} alone in as many; bound: {bound:.2f}",
            ),
            Result(
                "ingest and its stages",
                size / MIB / seconds,
                size / MIB / sum(alone.values()),
                sum(alone.values()) / seconds,
                "MiB/s",
                "against all stages alone, one after the other: below 1 is what copy check, database and waiting cost",
            ),
            Result(
                "CPU of ingest",
                whole_cpu,
                sum(cpu.values()),
                sum(cpu.values()) / whole_cpu,
                "ms/MiB",
                f"of all processes, against the sum of the stages: {stages}",
            ),
            Result(
                "memory of an ingest worker",
                whole.memory / MIB,
                MEMORY_LIMIT / MIB,
                MEMORY_LIMIT / max(whole.memory, 1),
                "MiB above idle",
                "peak of the larger worker, against the limit",
            ),
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Spent:
    """Seconds from beginning to end, and of all processors together."""

    seconds: float
    cpu: float


def _stage_alone(pool: ProcessPoolExecutor, name: str, sources: Sequence[Path]) -> _Spent:
    cpu: list[float] = []
    seconds = _timed(lambda: cpu.extend(pool.map(_stage, [(name, str(path)) for path in sources])))
    return _Spent(seconds, sum(cpu))


class _Whole:
    """One submission on its way from uploaded to packaged."""

    def __init__(self, folder: Path, sources: Sequence[Path]) -> None:
        _open(str(folder))
        from django.core.management import call_command
        from django.utils import timezone

        from provenance import submissions
        from provenance.models import FileState, SubmittedFile
        from provenance.uploads import scratch_path

        call_command("migrate", verbosity=0)
        self.memory, self.cpu = 0, 0.0
        self._party, now = uuid4(), timezone.now()
        row = submissions.open_submission(by=self._party, owner="eip155:31337:0x" + "a1" * 20, now=now)
        rights = [{"source": "bench", "basis": "synthetic", "model": "none"}]
        submissions.describe_submission(
            by=self._party, submission=row.id, now=now, title="Bench", creator="Bench", rights=rights
        )
        self.files = []
        for path in sources:
            size = path.stat().st_size
            file = submissions.add_file(by=self._party, submission=row.id, path=path.name, size=size, now=now)
            scratch_path(file).unlink()
            os.link(path, scratch_path(file))
            SubmittedFile.objects.filter(id=file.id).update(received=size, state=FileState.UPLOADED)
            self.files.append(file.id)
        submissions.seal_file_list(by=self._party, submission=row.id, now=now)
        row.refresh_from_db()
        self._row = row

    def take_in(self, pool: ProcessPoolExecutor) -> None:
        """Inspect, compare, seal, store, package."""
        from django.utils import timezone

        from provenance import bootstrap, publication
        from provenance.models import ContentKey, KeyState, SubmissionState

        stores = bootstrap.content_stores()
        self._note(pool.map(_inspect, self.files))
        for _ in range(2):
            publication.advance(self._row, now=timezone.now(), stores=stores)
        identity = pyrage.x25519.Identity.generate()
        ContentKey.objects.update(state=KeyState.MADE, recipient=str(identity.to_public()), wrapped=b"bench")
        self._note(pool.map(_store, self.files))
        publication.advance(self._row, now=timezone.now(), stores=stores)
        if self._row.state != SubmissionState.PACKAGED:
            raise AssertionError(f"the submission is {self._row.state}: {self._row.refusal}")

    def _note(self, taken: Iterable[tuple[int, float]]) -> None:
        for memory, cpu in taken:
            self.memory, self.cpu = max(self.memory, memory), self.cpu + cpu


@dataclass(slots=True)
class _Process:
    idle: int = 0


_HERE = _Process()


def _open(folder: str) -> None:
    os.environ |= {"CADASTRE_VAR": folder, "DJANGO_SETTINGS_MODULE": "marketplace.settings", "CADASTRE_COPIES": "1"}
    import django

    django.setup()
    import marketplace.celery  # doorbells ring at the broker of the settings
    from provenance import bootstrap, ingest, packaging

    # Everything that a worker imports stands before the work begins, as in a worker that has been up for a while.
    _ = (marketplace.celery.app, bootstrap.scanner(), ingest.inspect_file, packaging.store_file)
    _HERE.idle = psutil.Process().memory_info().rss


def _idle(_: int) -> int:
    time.sleep(0.05)
    return _HERE.idle


def _above_idle() -> int:
    return max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - _HERE.idle)


def _inspect(file: UUID) -> tuple[int, float]:
    from django.utils import timezone

    from provenance import bootstrap, ingest
    from provenance.models import SubmittedFile

    row = SubmittedFile.objects.select_related("submission").get(id=file)
    began = time.process_time()
    ingest.inspect_file(row, clock=timezone.now, scanner=bootstrap.scanner())
    return _above_idle(), time.process_time() - began


def _store(file: UUID) -> tuple[int, float]:
    from django.utils import timezone

    from provenance import bootstrap, packaging
    from provenance.models import SubmittedFile

    row = SubmittedFile.objects.select_related("submission").get(id=file)
    began = time.process_time()
    packaging.store_file(row, bootstrap.content_store(), clock=timezone.now)
    return _above_idle(), time.process_time() - began


def _stage(wanted: tuple[str, str]) -> float:
    name, path = wanted
    began = time.process_time()
    STAGES[name](Path(path))
    return time.process_time() - began


def _fingerprint(path: Path) -> None:
    for record in sketch_file(Kind.TEXT, lambda: path.open("rb"), path.stat().st_size):
        to_bytes(record)


def _scan(path: Path) -> None:
    scan = SignatureScanner().scan(path.name)
    for piece in _pieces(path):
        scan.feed(piece)
    scan.finish()


def _seal(path: Path) -> None:
    class Nowhere:
        def write(self, data: bytes) -> int:
            return len(data)

        def flush(self) -> None:
            return None

    with path.open("rb") as source:
        pyrage.encrypt_io(source, Nowhere(), [pyrage.x25519.Identity.generate().to_public()])


def _keep(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent.parent) as folder:
        hasher = FileHasher(LocalBlocks(folder, reserve=0).put_block)
        for piece in _pieces(path):
            hasher.update(piece)
        hasher.finish()


def _sha256(path: Path) -> None:
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
    digest.hexdigest()


STAGES: Mapping[str, Callable[[Path], None]] = {
    "hash": _sha256,
    "scan": _scan,
    "fingerprint": _fingerprint,
    "seal": _seal,
    "chunk and store": _keep,
}


def _sources(folder: Path, size: int, count: int) -> list[Path]:
    """Write `count` texts of `size` bytes: sentences of real prose, in an order of its own for each."""
    (folder / "sources").mkdir()
    sentences = [part.encode() for text in prose(200).values() for part in text.split(". ") if part.strip()]
    paths = []
    for number in range(count):
        order = random.Random(number)
        path = folder / "sources" / f"{number:02d}.txt"
        with path.open("wb") as file:
            while file.tell() < size:
                file.write(b". ".join(order.choices(sentences, k=2000)) + b"\n")
            file.truncate(size)
        paths.append(path)
    return paths


def _pieces(path: Path) -> Iterable[bytes]:
    with path.open("rb", buffering=0) as source:
        while piece := source.read(MIB):
            yield piece


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
