"""A shelf: the rows of one kind of sketch, in a few immutable segments of numpy arrays.

Rows are only ever appended. A new batch is a segment of its own, merged with its neighbors when they are of like size,
so that there are few segments and each row is copied a logarithmic number of times. A shelf is a value: adding to it
gives another one, and whoever still searches the old one is not disturbed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from provenance.fingerprints import hamming, keys
from provenance.fingerprints.hashing import U64, Positions

Columns = Mapping[str, npt.NDArray[np.generic]]

BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows as arrays of equal length (`columns`), sorted `entries` (see `keys`), and buckets if it has many hashes."""

    columns: Columns
    entries: U64
    buckets: tuple[hamming.Buckets, hamming.Buckets] | None = None

    @property
    def size(self) -> int:
        """How many rows."""
        return int(self.columns[BATCH].shape[0])

    @property
    def hashes(self) -> U64:
        """The 256-bit hashes of an image shelf, of shape (n, 4)."""
        return self.columns["hash"].astype(np.uint64, copy=False)


def new_segment(columns: Columns, entries: U64) -> Segment:
    """Return a segment; one of many hashes gets buckets."""
    size = columns[BATCH].shape[0]
    if "hash" in columns and size >= hamming.SMALLEST:
        hashes = np.ascontiguousarray(columns["hash"].astype(np.uint64, copy=False))
        return Segment(columns, entries, hamming.build(hashes))
    return Segment(columns, entries)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Segments, the oldest rows first."""

    segments: tuple[Segment, ...] = ()

    @property
    def size(self) -> int:
        """How many rows."""
        return sum(segment.size for segment in self.segments)

    def appended(self, segment: Segment) -> Shelf:
        """Return the shelf with one more segment, small neighbors merged."""
        if segment.size == 0:
            return self
        segments = [*self.segments, segment]
        while len(segments) > 1:
            older, newer = segments[-2:]
            if older.size > 4 * newer.size or older.size + newer.size > keys.MOST_ROWS:
                break
            segments[-2:] = [_merged(older, newer)]
        return Shelf(tuple(segments))

    def compacted(self) -> Shelf:
        """Return the shelf in as few segments as rows allow."""
        segments: list[Segment] = []
        for segment in self.segments:
            if segments and segments[-1].size + segment.size <= keys.MOST_ROWS:
                segments[-1] = _merged(segments[-1], segment)
            else:
                segments.append(segment)
        return Shelf(tuple(segments))

    def without(self, batches: Positions) -> Shelf:
        """Return the shelf without the rows of these batches; nothing of them stays in any array."""
        kept = (_without(segment, batches) for segment in self.segments)
        return Shelf(tuple(segment for segment in kept if segment.size))

    def save(self, directory: Path) -> None:
        """Write each segment's arrays as .npy files into a directory of its own."""
        for number, segment in enumerate(self.segments):
            folder = directory / f"{number:04d}"
            folder.mkdir(parents=True)
            for name, array in _arrays(segment):
                np.save(folder / f"{name}.npy", array, allow_pickle=False)

    @classmethod
    def load(cls, directory: Path) -> Shelf:
        """Map what `save` wrote into memory; pages are read when they are searched."""
        folders = sorted(directory.iterdir()) if directory.is_dir() else []
        return cls(tuple(_load_segment(folder) for folder in folders))


def _arrays(segment: Segment) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    yield from segment.columns.items()
    yield "_entries", segment.entries
    if segment.buckets is not None:
        yield "_starts", segment.buckets[0]
        yield "_rows", segment.buckets[1]


def _load_segment(folder: Path) -> Segment:
    arrays = {
        file.stem: np.load(file, mmap_mode="r" if file.stat().st_size > 128 else None, allow_pickle=False)
        for file in sorted(folder.glob("*.npy"))
    }
    entries = arrays.pop("_entries")
    starts, rows = arrays.pop("_starts", None), arrays.pop("_rows", None)
    return Segment(arrays, entries, None if starts is None or rows is None else (starts, rows))


def _merged(older: Segment, newer: Segment) -> Segment:
    columns = {name: np.concatenate([column, newer.columns[name]]) for name, column in older.columns.items()}
    return new_segment(columns, keys.merge(older.entries, newer.entries, older.size))


def _without(segment: Segment, batches: Positions) -> Segment:
    stays = ~np.isin(segment.columns[BATCH], batches)
    if stays.all():
        return segment
    new_rows = np.where(stays, np.cumsum(stays) - 1, -1)
    columns = {name: column[stays] for name, column in segment.columns.items()}
    return new_segment(columns, keys.keep(segment.entries, new_rows))
