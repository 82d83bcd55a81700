"""The similarity index as the database has it: every reserved submission, in memory, kept up to date by difference.

The database is the truth: `Submission.indexed` says what is in the index. A process keeps one index and, when
the version or the count of removals has moved, reconciles it: what is gone is taken out, what is new is added. A copy
on disk only saves time at the start; it may be deleted.

All versions of a dataset go under one name, the id of the submission that its first version came from.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from uuid import UUID

from django.db.models import Count, F, QuerySet

from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.index import SimilarityIndex
from provenance.fingerprints.matches import IndexedFile
from provenance.fingerprints.registry import Kind
from provenance.limits import index_dir
from provenance.models import FingerprintRow, IndexState, Submission, SubmittedFile

SAVE_AFTER = 64

_FILES_TOGETHER = 8  # a part of sketches has up to 4 MiB


@dataclass(frozen=True, slots=True)
class Standing:
    """Version and count of removals, as the database says."""

    version: int
    removals: int


class _Kept:
    """The index of this process."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.index: SimilarityIndex | None = None
        self.standing: Standing | None = None
        self.place: str = ""


_KEPT = _Kept()


class SubmittedFiles:
    """The files of a submission as the index takes them, read from the database as they are walked through.

    May be walked through again. Files are numbered in the order of `files`.
    """

    def __init__(self, submission: Submission) -> None:
        files = submission.files.only("id", "path", "kind", "size", "sha256").order_by("path", "id")
        self.files: list[SubmittedFile] = list(files)
        self._sketches = FingerprintRow.objects.filter(submission=submission)
        counted = self._sketches.values("file").annotate(parts=Count("id"))
        self._parts: dict[UUID, int] = {row["file"]: row["parts"] for row in counted}

    def __iter__(self) -> Iterator[IndexedFile]:
        for start in range(0, len(self.files), _FILES_TOGETHER):
            some = self.files[start : start + _FILES_TOGETHER]
            whole = [file.id for file in some if self._parts.get(file.id) == 1]
            payloads = dict(self._sketches.filter(file__in=whole).values_list("file", "payload"))
            for number, file in enumerate(some, start):
                parts: Iterable[bytes] = ()
                if file.id in payloads:
                    parts = (bytes(payloads[file.id]),)
                elif file.id in self._parts:
                    parts = _Parts(file)
                yield IndexedFile(number, Kind(file.kind or Kind.FILE), file.size, bytes.fromhex(file.sha256), parts)


class _Parts:
    """The parts of a large file's sketches, one in memory at a time."""

    def __init__(self, file: SubmittedFile) -> None:
        # In the order of their index: sorting would copy every payload.
        ordered = FingerprintRow.objects.filter(file=file).order_by("algorithm", "part")
        self._rows = ordered.values_list("payload", flat=True)

    def __iter__(self) -> Iterator[bytes]:
        return map(bytes, self._rows.iterator(chunk_size=1))


def standing() -> Standing:
    """Return where the index stands, beginning it at the first call."""
    row, _ = IndexState.objects.get_or_create(id=1)
    return Standing(row.version, row.removals)


def name_of(submission: Submission) -> str:
    """Return the name that all versions of the submission's dataset share in the index."""
    if submission.version > 1 and submission.dataset:
        first = Submission.objects.filter(dataset=submission.dataset, version=1, purpose="version").first()
        if first is not None:
            return str(first.id)
    return str(submission.id)


def submission_named(name: str) -> Submission | None:
    """Return the submission that a name in the index belongs to."""
    return Submission.objects.filter(id=UUID(name)).first()


def current_index() -> tuple[SimilarityIndex, int]:
    """Return the index and the version that it holds; searches need no transaction."""
    with _KEPT.lock:
        now = standing()
        place = str(index_dir())
        if _KEPT.index is None or _KEPT.place != place:
            _KEPT.index, _KEPT.standing, _KEPT.place = _load(), None, place
        if now != _KEPT.standing:
            _KEPT.index, _KEPT.standing = _reconciled(_KEPT.index), now
        return _KEPT.index, max(now.version, _KEPT.index.version)


def save_if_grown() -> bool:
    """Write the index to disk when it has grown; return whether it was. One process at a time."""
    index, _ = current_index()
    directory = index_dir()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        known = {(batch.dataset, batch.version) for batch in _load().batches.items if not batch.gone}
        here = {(batch.dataset, batch.version) for batch in index.batches.items if not batch.gone}
        # What was taken out must leave the disk at once; what came in can be added again at the next start.
        if not known - here and len(here - known) < SAVE_AFTER:
            return False
        index.compacted().save(directory / "segments")
    return True


def reserve(submission: Submission, *, after: int) -> bool:
    """Put a submission into the index if its version is still `after`; call it in the transaction that passes it."""
    standing()
    if IndexState.objects.filter(id=1, version=after).update(version=after + 1) != 1:
        return False
    Submission.objects.filter(id=submission.id).update(indexed=after + 1)
    submission.indexed = after + 1
    return True


def remove(submission: Submission) -> None:
    """Take a submission out of the index; call it in the transaction that gives it up or erases it. Safe twice.

    Other versions of its dataset go under the same name, which leaves the index as a whole: they get new places.
    """
    standing()
    if not Submission.objects.filter(id=submission.id, indexed__isnull=False).update(indexed=None):
        return
    submission.indexed = None
    name = name_of(submission)
    others = _reserved().filter(dataset=submission.dataset).exclude(dataset="")
    siblings = [row for row in others if name_of(row) == name]
    IndexState.objects.filter(id=1).update(version=F("version") + len(siblings), removals=F("removals") + 1)
    version = IndexState.objects.get(id=1).version
    for place, row in enumerate(siblings, start=version - len(siblings) + 1):
        Submission.objects.filter(id=row.id).update(indexed=place)


def _load() -> SimilarityIndex:
    try:
        return SimilarityIndex.load(index_dir() / "segments")
    except FingerprintRefusal:
        # Written by other algorithms: sketches in the database say which they were made by, and are made again.
        return SimilarityIndex.empty()


def _reconciled(index: SimilarityIndex) -> SimilarityIndex:
    wanted: dict[str, dict[int, UUID]] = {}
    for row in _reserved():
        wanted.setdefault(name_of(row), {})[row.indexed or 0] = row.id
    held: dict[str, set[int]] = {}
    for batch in index.batches.items:
        if not batch.gone:
            held.setdefault(batch.dataset, set()).add(batch.version)
    for name, versions in held.items():
        if not versions <= wanted.get(name, {}).keys():
            index = index.without(name)
            held[name] = set()
    missing = sorted(
        (version, name, row)
        for name, versions in wanted.items()
        for version, row in versions.items()
        if version not in held.get(name, set())
    )
    for version, name, added in missing:
        index = _with(index, version, name, Submission.objects.get(id=added))
    return index


def _with(index: SimilarityIndex, version: int, name: str, submission: Submission) -> SimilarityIndex:
    return index.added(version=version, owner=str(submission.party), dataset=name, files=SubmittedFiles(submission))


def _reserved() -> QuerySet[Submission]:
    return Submission.objects.filter(indexed__isnull=False).order_by("indexed")
