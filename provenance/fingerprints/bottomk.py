"""Bottom-k sketches: the smallest hashes of a set, from which containment and Jaccard similarity are read.

A set of hashes below a limit is complete, so any two sketches agree exactly on everything below the smaller of their
limits; the share that they have in common there estimates the share of the whole (Cohen and Kaplan 2007). It does not
matter in which order or in how many batches the hashes came, nor how often. How many hashes are kept grows with the
set, so that an excerpt of one percent is still found in a big one:

    kept = min(ceiling, max(floor, min(dense_floor, hashes below dense_limit), hashes below sparse_limit))
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.hashing import MASK_64, U64

_HEAD = struct.Struct("<QQI")
_PENDING = 8_192
_PLACE_BITS = 12
_PLACES = 1 << _PLACE_BITS
_PLAIN_SHARE = 16
_PLACE_MASK = np.uint64(_PLACES - 1)


@dataclass(frozen=True, slots=True)
class Size:
    """How many hashes a sketch keeps; limits are 64-bit hash values."""

    floor: int
    ceiling: int
    dense_floor: int = 0
    dense_limit: int = 0
    sparse_limit: int = 0

    def kept(self, hashes: U64) -> int:
        """Return how many of these sorted, distinct hashes are kept."""
        dense = min(self.dense_floor, int(np.searchsorted(hashes, np.uint64(self.dense_limit))))
        sparse = int(np.searchsorted(hashes, np.uint64(self.sparse_limit)))
        return min(self.ceiling, max(self.floor, dense, sparse))


@dataclass(frozen=True, slots=True)
class BottomK:
    """Every hash of the set that is at most `limit`, ascending, as little-endian 64-bit integers.

    `distinct` is how many distinct hashes the whole set has: exact if fewer than 8,192 were added, else estimated.
    """

    limit: int
    distinct: int
    raw: bytes

    def __post_init__(self) -> None:
        values = self.values
        if values.size > 1 and not bool((values[1:] > values[:-1]).all()):
            raise FingerprintRefusal("sketch.order", "The hashes of a sketch are not distinct and ascending.")
        if values.size and int(values[-1]) > self.limit:
            raise FingerprintRefusal("sketch.limit", "A sketch holds a hash above its own limit.")

    @property
    def values(self) -> U64:
        """The hashes."""
        return np.frombuffer(self.raw, dtype="<u8")

    def to_bytes(self) -> bytes:
        return _HEAD.pack(self.limit, self.distinct, len(self.raw) // 8) + self.raw

    @classmethod
    def from_bytes(cls, data: bytes, at: int) -> tuple[Self, int]:
        """Read a sketch at a position; return it and the position behind it. Raises FingerprintRefusal."""
        if len(data) < at + _HEAD.size:
            raise FingerprintRefusal("sketch.short", "A sketch ends in its header.")
        limit, distinct, count = _HEAD.unpack_from(data, at)
        start = at + _HEAD.size
        end = start + 8 * count
        if len(data) < end:
            raise FingerprintRefusal("sketch.short", "A sketch ends early.", limit=end, actual=len(data))
        return cls(limit, distinct, data[start:end]), end


@dataclass(slots=True)
class BottomKBuilder:
    """Takes hashes in batches and keeps the smallest; memory is bounded by the size's ceiling."""

    size: Size
    _kept: U64 = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    _pending: list[U64] = field(default_factory=list)
    _waiting: int = 0
    _limit: int = MASK_64
    _added: int = 0
    _distinct: int = 0
    # What is kept, each hash at a place of its own as far as it goes: a look, and not a sort, says what is known.
    _places: U64 | None = None

    @property
    def limit(self) -> int:
        """No hash above it will be kept."""
        return self._limit

    def add(self, hashes: U64) -> None:
        self._added += hashes.size
        if self._limit == MASK_64 and hashes.size > _PENDING:
            # The first few say what can be kept at all, so that the rest need not be sorted.
            self._take(hashes[:_PENDING])
            self._prune()
            hashes = hashes[_PENDING:]
        self._take(hashes)

    def _take(self, hashes: U64) -> None:
        below = self._news(hashes)
        if below.size == 0:
            return
        self._pending.append(below.copy() if below.base is not None or below is hashes else below)
        self._waiting += below.size
        if self._waiting >= max(_PENDING, 4 * self._kept.size):
            self._prune()

    def _news(self, hashes: U64) -> U64:
        """Leave out what cannot change the sketch, as far as that is cheaper than sorting it."""
        below = hashes if self._limit == MASK_64 else hashes[hashes <= np.uint64(self._limit)]
        if not 0 < self._kept.size <= _PLACES // 4 or below.size * _PLAIN_SHARE <= hashes.size:
            return below
        if self._places is None:
            self._places = np.full(_PLACES, self._kept[0])
            self._places[self._place_of(self._kept)] = self._kept
        unknown: U64 = below[self._places[self._place_of(below)] != below]
        return unknown

    def _place_of(self, hashes: U64) -> U64:
        """Return where a hash is looked for among those that are kept, which spread over all up to the limit."""
        return (hashes >> np.uint64(max(0, self._limit.bit_length() - _PLACE_BITS))) & _PLACE_MASK

    def finish(self) -> BottomK:
        """Return the sketch of everything added so far."""
        self._prune()
        kept = self._kept.size
        if self._limit == MASK_64 or kept < 2:
            distinct = kept
        elif self._added < _PENDING:
            distinct = self._distinct
        else:
            distinct = max(kept, (kept - 1) * (1 << 64) // (self._limit + 1))
        return BottomK(self._limit, distinct, self._kept.astype("<u8").tobytes())

    def _prune(self) -> None:
        if not self._pending:
            return
        merged, kept = self._smallest(np.concatenate([self._kept, *self._pending]))
        self._pending.clear()
        self._waiting = 0
        self._distinct = merged.size
        if kept < merged.size:
            merged = merged[:kept].copy()
            self._limit = int(merged[-1])
        self._kept = merged
        self._places = None

    def _smallest(self, hashes: U64) -> tuple[U64, int]:
        """Return distinct values, ascending, and how many of them are kept: all values, or enough of the smallest."""
        enough = 2 * self.size.floor
        if self._added >= _PENDING and hashes.size > 2 * enough:
            few = distinct_values(np.partition(hashes, enough)[:enough])
            kept = self.size.kept(few)
            if kept < few.size:
                return few, kept
        every = distinct_values(hashes)
        return every, self.size.kept(every)


def distinct_values(hashes: U64) -> U64:
    """Return the distinct values, ascending; numpy's own `unique` hashes first, which is slower for these."""
    ordered = np.sort(hashes)
    if ordered.size < 2:
        return ordered
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]


def containment(part: BottomK, whole: BottomK) -> tuple[int, int]:
    """Return (common, of): how many hashes of `part` below both limits are in `whole`, and how many there are."""
    limit = np.uint64(min(part.limit, whole.limit))
    mine = part.values
    mine = mine[: np.searchsorted(mine, limit, side="right")]
    return int(np.isin(mine, whole.values, assume_unique=True).sum()), int(mine.size)
