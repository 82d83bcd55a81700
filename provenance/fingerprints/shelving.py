"""From the records of a file to the rows of the shelves, as arrays.

| shelf | row | columns beside batch, file, ordinal | entries |
|---|---|---|---|
| files | file of 32 bytes or more | digest (4 x u64), units | its SHA-256 |
| segments | text segment with a signature | slots (32 x u64), words, exact (2 x u64) | 14 bands |
| images | view of an image with quality 50 or more | hash (4 x u64), dhash, exact, role | none: buckets of the hash |
| documents | text file | limit, kept, units, exact (zero) | the hashes of its sketch |
| rows | table, again without a column | limit, kept, units, exact | the hashes of its row sketch |
| columns | telling column of a table | limit, kept, units, exact (zero) | the hashes of its sketch |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

import numpy as np

from provenance.fingerprints import keys
from provenance.fingerprints.algorithm import Algorithm, FingerprintRefusal, Kind
from provenance.fingerprints.bottomk import BottomK
from provenance.fingerprints.hashing import U64
from provenance.fingerprints.image import registered_views
from provenance.fingerprints.matches import IndexedFile
from provenance.fingerprints.records import (
    DHASH_BYTES,
    NO_EXACT,
    PDQ_BYTES,
    ImageRecord,
    RecordFingerprint,
    TableRecord,
    TextDocument,
    TextSegment,
)
from provenance.fingerprints.registry import ALGORITHMS, EARLIER
from provenance.fingerprints.shelf import BATCH, Segment, new_segment
from provenance.fingerprints.text import BANDS, band_keys

FILES, SEGMENTS, IMAGES, DOCUMENTS, ROWS, COLUMNS = "files", "segments", "images", "documents", "rows", "columns"
SHELVES = (FILES, SEGMENTS, IMAGES, DOCUMENTS, ROWS, COLUMNS)
ROLE = "role"
SMALLEST_FILE = 32
DIGEST_WORDS = 4


@dataclass(slots=True)
class _Rows:
    """Rows of one shelf while they are collected: the columns that all shelves have, and raw bytes of the others."""

    files: list[int] = field(default_factory=list)
    ordinals: list[int] = field(default_factory=list)
    numbers: dict[str, list[int]] = field(default_factory=dict)
    raw: dict[str, list[bytes]] = field(default_factory=dict)
    sketches: list[BottomK] = field(default_factory=list)

    def add(self, file: int, ordinal: int, *, raw: dict[str, bytes], numbers: dict[str, int]) -> None:
        self.files.append(file)
        self.ordinals.append(ordinal)
        for name, value in numbers.items():
            self.numbers.setdefault(name, []).append(value)
        for name, data in raw.items():
            self.raw.setdefault(name, []).append(data)

    def add_sketch(self, file: int, ordinal: int, *, sketch: BottomK, units: int, exact: bytes) -> None:
        if not sketch.raw:
            return
        figures = {"limit": sketch.limit, "kept": sketch.values.size, "units": units}
        self.add(file, ordinal, raw={"exact": exact}, numbers=figures)
        self.sketches.append(sketch)

    def columns(self, batch: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
        count = len(self.files)
        out: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
            BATCH: np.full(count, batch, dtype=np.uint32),
            "file": np.array(self.files, dtype=np.int64),
            "ordinal": np.array(self.ordinals, dtype=np.uint32),
        }
        for name, values in self.numbers.items():
            out[name] = np.array(values, dtype=np.uint8 if name == ROLE else np.uint64)
        for name, data in self.raw.items():
            out[name] = words_of(b"".join(data), len(data[0]))
        return out


def words_of(data: bytes, width: int) -> U64:
    """Return concatenated items of `width` bytes as 64-bit words, one item a row; eight bytes are a plain number."""
    flat = np.frombuffer(data, dtype="<u8")
    return flat if width == 8 else flat.reshape(-1, width // 8)


def new_segments(files: Iterable[IndexedFile], batch: int) -> tuple[dict[str, Segment], dict[str, int]]:
    """Return (segment of each shelf, units of each kind) of what one addition brings. Raises FingerprintRefusal."""
    rows = {name: _Rows() for name in SHELVES}
    units: Counter[str] = Counter()
    for file in files:
        count = 0
        for record in file.records():
            require_known(record, file.kind)
            count += record.units
            _shelve(rows, file.file, record)
        count = 1 if file.kind is Kind.FILE else count
        units[file.kind] += count
        if file.size >= SMALLEST_FILE:
            rows[FILES].add(file.file, 0, raw={"digest": file.sha256}, numbers={"units": count})
    return {name: _segment(name, found, batch) for name, found in rows.items() if found.files}, dict(units)


def require_known(record: RecordFingerprint, kind: Kind) -> Algorithm:
    """Return the algorithm of a record, the current one or an earlier one that is comparable with it.

    Raises FingerprintRefusal for any other.
    """
    for algorithm in (*ALGORITHMS.values(), *EARLIER):
        if algorithm.kind is kind and record.tag == algorithm.tag:
            return algorithm
    raise FingerprintRefusal(
        "fingerprint.algorithm",
        f"A {kind} fingerprint was made by an algorithm that is not the registered one.",
        limit=ALGORITHMS[kind].name if kind in ALGORITHMS else None,
        actual=record.tag.hex(),
        todo="Compute the fingerprint again.",
    )


def _shelve(rows: dict[str, _Rows], file: int, record: RecordFingerprint) -> None:
    match record:
        case TextSegment():
            if record.signature:
                raw = {"slots": record.signature, "exact": record.exact}
                rows[SEGMENTS].add(file, record.ordinal, raw=raw, numbers={"words": record.words})
        case TextDocument():
            rows[DOCUMENTS].add_sketch(file, record.ordinal, sketch=record.sketch, units=record.words, exact=NO_EXACT)
        case ImageRecord():
            _shelve_image(rows[IMAGES], file, record)
        case TableRecord():
            rows[ROWS].add_sketch(file, 0, sketch=record.sketch, units=record.rows, exact=record.exact)
            for unnumbered in record.unnumbered:
                rows[ROWS].add_sketch(file, 0, sketch=unnumbered, units=record.rows, exact=NO_EXACT)
            for sums in record.sum_sketches:
                rows[ROWS].add_sketch(file, 0, sketch=sums, units=record.rows, exact=NO_EXACT)
            for column in record.columns:
                if column.telling:
                    rows[COLUMNS].add_sketch(
                        file, column.position, sketch=column.sketch, units=record.rows, exact=NO_EXACT
                    )
        case _:
            assert_never(record)


def _shelve_image(rows: _Rows, file: int, record: ImageRecord) -> None:
    for role, view in registered_views(record):
        raw = {"hash": view.pdq[:PDQ_BYTES], "dhash": view.dhash[:DHASH_BYTES], "exact": record.exact}
        rows.add(file, record.ordinal, raw=raw, numbers={ROLE: role})


def _segment(name: str, found: _Rows, batch: int) -> Segment:
    if len(found.files) > keys.MOST_ROWS:
        raise FingerprintRefusal(
            "index.batch", "An addition has too many rows.", limit=keys.MOST_ROWS, actual=len(found.files)
        )
    columns = found.columns(batch)
    count = len(found.files)
    entries = np.empty(0, dtype=np.uint64)
    if name == SEGMENTS:
        slots = columns["slots"].astype(np.uint64, copy=False)
        entries = keys.build(band_keys(slots).ravel(), np.repeat(np.arange(count, dtype=np.uint64), BANDS))
    elif name == FILES:
        entries = keys.build(columns["digest"][:, 0].astype(np.uint64), np.arange(count, dtype=np.uint64))
    elif found.sketches:
        sizes = [sketch.values.size for sketch in found.sketches]
        hashes = np.concatenate([sketch.values for sketch in found.sketches])
        entries = keys.build(hashes, np.repeat(np.arange(count, dtype=np.uint64), sizes))
    return new_segment(columns, entries)
