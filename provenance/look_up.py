"""Is this in the register? Exact, near, or no match found; never "not used", because only what is here was searched.

Anybody may ask with a file or its SHA-256. Nothing of it is kept, and the answer names datasets, never a file. Trade
limits the rate.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from provenance.core.refusal import Refusal
from provenance.fingerprints.matches import Closeness, IndexedFile, RecordMatch
from provenance.fingerprints.registry import ALGORITHMS, Kind, pack, sketch_file, sniff_kind
from provenance.limits import content_limits, scratch_dir
from provenance.media import HEAD_BYTES
from provenance.models import Submission, SubmissionState, SubmittedFile
from provenance.previews import image_size
from provenance.registered_index import current_index, submission_named
from provenance.uploads import Readable

FILE_BYTES = 64 * 1_048_576

_PIECE = 1_048_576
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REGISTERED = (SubmissionState.REGISTERED, SubmissionState.FINAL)


class LookUpRefusal(Refusal):
    """What was asked for cannot be looked up."""


class Likeness(StrEnum):
    """The three answers."""

    EXACT = "exact"
    NEAR = "near"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Found:
    """A dataset that holds it, or something like it: CAIP-19 id, title, and how close its closest record is."""

    dataset: str
    title: str
    likeness: Likeness


@dataclass(frozen=True, slots=True)
class Searched:
    """What the answer covers: how many datasets, up to which version of the index, by which algorithms, and when."""

    datasets: int
    index_version: int
    algorithms: tuple[str, ...]
    time: datetime


@dataclass(frozen=True, slots=True)
class LookUp:
    """The answer; `found` is sorted, exact ones first."""

    result: Likeness
    found: tuple[Found, ...]
    searched: Searched


def look_up_digest(sha256: str, *, now: datetime) -> LookUp:
    """Look for a file by its SHA-256 alone: exact, or no match found. Raises LookUpRefusal."""
    if _DIGEST.fullmatch(sha256) is None:
        raise LookUpRefusal(
            "look_up.sha256", "A SHA-256 is 64 lower-case hex digits.", limit=64, actual=sha256[:80],
            todo="Run `sha256sum` over the file, or drop the file itself.",
        )  # fmt: skip
    return _answer(_holding(sha256), now, algorithms=("sha256",))


def look_up_file(data: Readable, *, now: datetime) -> LookUp:
    """Look for a file of at most 64 MiB by its SHA-256 and by what it looks like. Raises LookUpRefusal and Refusal."""
    directory = scratch_dir()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=directory, prefix="look-up-") as kept:
        digest, size, head = hashlib.sha256(), 0, b""
        while piece := data.read(_PIECE):
            size += len(piece)
            if size > FILE_BYTES:
                raise LookUpRefusal(
                    "look_up.too_large", "The file is too large to be looked up.", limit=FILE_BYTES, actual=size,
                    todo="Ask by its SHA-256, or for a part of it.",
                )  # fmt: skip
            digest.update(piece)
            head = head or piece[:HEAD_BYTES]
            kept.write(piece)
        kept.flush()
        if not size:
            raise LookUpRefusal("look_up.empty", "The file is empty.", limit=1, actual=0)
        return _search(Path(kept.name), digest.digest(), size, sniff_kind(head), now)


def _search(path: Path, digest: bytes, size: int, kind: Kind, now: datetime) -> LookUp:
    if kind is Kind.IMAGE:
        image_size(path, pixels=content_limits().image_pixels)
    payload = pack(sketch_file(kind, lambda: path.open("rb"), size))
    index, _ = current_index()
    file = IndexedFile(0, kind, size, digest, (payload,))
    (found,) = index.search([file], exclude_owner="")
    algorithms = ("sha256", *((ALGORITHMS[kind].name,) if kind in ALGORITHMS else ()))
    return _answer([*_holding(digest.hex()), *_named(found.matches)], now, algorithms=algorithms)


def _holding(sha256: str) -> list[tuple[Submission, Likeness]]:
    rows = SubmittedFile.objects.filter(sha256=sha256, size__gt=0, submission__state__in=_REGISTERED).select_related(
        "submission"
    )
    return [(row.submission, Likeness.EXACT) for row in rows[:1000]]


def _named(matches: Iterable[RecordMatch]) -> list[tuple[Submission, Likeness]]:
    closest: dict[str, Closeness] = {}
    for match in matches:
        closest[match.dataset] = min(match.closeness, closest.get(match.dataset, Closeness.REVIEW))
    found = ((submission_named(name), closeness) for name, closeness in closest.items())
    return [
        (row, Likeness.EXACT if closeness is Closeness.EXACT else Likeness.NEAR)
        for row, closeness in found
        if row is not None and row.state in _REGISTERED
    ]


def _answer(hits: Iterable[tuple[Submission, Likeness]], now: datetime, *, algorithms: tuple[str, ...]) -> LookUp:
    best: dict[str, Found] = {}
    for row, likeness in hits:
        known = best.get(row.dataset)
        if known is None or likeness is Likeness.EXACT:
            best[row.dataset] = Found(row.dataset, row.title, likeness)
    found = tuple(sorted(best.values(), key=lambda each: (each.likeness, each.dataset)))
    index, version = current_index()
    datasets = len({batch.dataset for batch in index.batches.items if not batch.gone})
    searched = Searched(datasets, version, algorithms, now)
    return LookUp(found[0].likeness if found else Likeness.NONE, found, searched)
