"""All 256-bit hashes within 31 bits of a wanted one, exactly: multi-index hashing (Norouzi, Punjani and Fleet 2012).

A hash is cut into 16 parts of 16 bits. Two hashes at most 31 bits apart have a part in which they are at most one bit
apart (31 / 16 rounded down), so it is enough to look at the rows whose part equals the wanted one or differs in one of
its bits: 16 x 17 buckets, and then to count bits. Rows that are 32 to 63 bits apart are returned where these buckets
hold them: all but a few percent up to 48 bits, two thirds at 63.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from provenance.fingerprints.hashing import U64, Positions
from provenance.fingerprints.keys import ranges

PARTS = 16
PART_BITS = 16
WORDS = 4
SMALLEST = 32_768

Buckets = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Among:
    """A small number for each row, and for each number whether rows with it are looked at."""

    labels: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.bool_]


_PROBES = np.array([0, *(1 << bit for bit in range(PART_BITS))], dtype=np.uint16)
_SIZE = 1 << PART_BITS
_PART_STARTS = np.arange(PARTS, dtype=np.int64)[:, None] * (_SIZE + 1)


def build(hashes: U64) -> tuple[Buckets, Buckets]:
    """Return (bucket starts, rows by bucket) of hashes of shape (n, 4); both flat, 16 parts one after the other."""
    parts = hashes.view(np.uint16).reshape(-1, PARTS)
    starts = np.zeros((PARTS, _SIZE + 1), dtype=np.uint32)
    rows = np.empty((PARTS, hashes.shape[0]), dtype=np.uint32)
    for part in range(PARTS):
        codes = parts[:, part]
        starts[part, 1:] = np.cumsum(np.bincount(codes, minlength=_SIZE))
        rows[part] = np.argsort(codes, kind="stable")
    return starts.ravel(), rows.ravel()


def find(
    hashes: U64, buckets: tuple[Buckets, Buckets] | None, wanted: U64, most: int, *, among: Among | None = None
) -> tuple[Positions, Positions]:
    """Return (row, distance) of hashes at most `most` bits from `wanted`, of shape (4,).

    Complete up to 31 bits; without buckets every row is compared, and it is complete up to `most`. `among` narrows it
    to rows with certain labels.
    """
    if buckets is not None:
        candidates = _candidates(buckets, wanted, hashes.shape[0])
        if among is not None:
            candidates = candidates[among.flags[among.labels[candidates]]]
    elif among is not None:
        candidates = np.flatnonzero(among.flags[among.labels]).astype(np.uint32)
    else:
        every = _bits_apart(hashes, wanted)
        rows = np.flatnonzero(every <= most)
        return rows, every[rows]
    distances = _bits_apart(hashes[candidates], wanted)
    close = distances <= most
    rows, first = np.unique(candidates[close], return_index=True)
    return rows.astype(np.int64), distances[close][first]


def _bits_apart(hashes: U64, wanted: U64) -> Positions:
    return np.asarray(np.bitwise_count(hashes ^ wanted).sum(axis=1, dtype=np.int64))


def _candidates(buckets: tuple[Buckets, Buckets], wanted: U64, count: int) -> npt.NDArray[np.uint32]:
    starts, rows = buckets
    codes = wanted.view(np.uint16)[:, None] ^ _PROBES[None, :]
    at = _PART_STARTS + codes
    begin = starts[at].astype(np.int64)
    sizes = starts[at + 1].astype(np.int64) - begin
    begin += np.arange(PARTS, dtype=np.int64)[:, None] * count
    return rows[ranges(begin.ravel(), sizes.ravel())]
