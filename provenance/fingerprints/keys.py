"""Sorted keys: from 40 bits of a hash to the rows that have it, in 8 bytes an entry.

An entry is `key << 24 | row`, and the entries of a segment are one sorted array, so a look-up is two binary searches
and the rows of a key lie side by side, the earliest first. Two different hashes share 40 bits once in 10^12; whoever
looks up checks what it finds against the rows themselves.
"""

from __future__ import annotations

import numpy as np

from provenance.fingerprints.hashing import U64, Positions

ROW_BITS = 24
MOST_ROWS = 1 << ROW_BITS
MOST_PER_KEY = 4096

_ROW_MASK = np.uint64(MOST_ROWS - 1)
_SHIFT = np.uint64(ROW_BITS)


def build(hashes: U64, rows: U64) -> U64:
    """Return the sorted entries of hashes and the rows that have them."""
    return np.sort((hashes << _SHIFT) | rows)


def find(entries: U64, wanted: U64) -> tuple[Positions, Positions]:
    """Return (index into `wanted`, row) of every entry with a wanted key, at most 4,096 rows for each."""
    keys = wanted << _SHIFT
    start = np.searchsorted(entries, keys)
    near = entries.take(start, mode="clip") if entries.size else keys
    some = np.flatnonzero((start < entries.size) & (near >> _SHIFT == keys >> _SHIFT))
    if some.size == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    start = start[some]
    count = np.minimum(np.searchsorted(entries, keys[some] | _ROW_MASK, side="right") - start, MOST_PER_KEY)
    return np.repeat(some, count), (entries[ranges(start, count)] & _ROW_MASK).astype(np.int64)


def ranges(start: Positions, count: Positions) -> Positions:
    """Return the positions start, start + 1, … of `count` items each, one range after the other."""
    ends = np.cumsum(count)
    return np.arange(int(ends[-1]) if ends.size else 0) + np.repeat(start - ends + count, count)


def merge(entries: U64, others: U64, offset: int) -> U64:
    """Return the entries of two segments, the rows of the second one moved up by `offset`."""
    return np.sort(np.concatenate([entries, others + np.uint64(offset)]))


def keep(entries: U64, new_rows: Positions) -> U64:
    """Return the entries of the rows that stay; `new_rows` gives the new number of each row, -1 for those that go."""
    moved = new_rows[(entries & _ROW_MASK).astype(np.int64)]
    stays = moved >= 0
    return np.sort((entries[stays] & ~_ROW_MASK) | moved[stays].astype(np.uint64))
