"""64-bit hashes of many byte ranges at once, in numpy, the same on every machine and in every version.

None of the hashes of polars, pyarrow or Python is stable across versions, and a call per word or cell costs more than
everything else together. A range is read as little-endian 8-byte windows, folded one after the other:

1. h = seed + length * LENGTH
2. for each window w, its bytes beyond the range as zero: h = (h ^ w) * FOLD; h = h ^ (h >> 29)
3. mix(h): two rounds of multiply and shift (the finalizer of SplitMix64)

Ranges longer than 256 bytes are hashed by BLAKE2b with an 8-byte digest, keyed by the seed, so that no input makes the
windows loop long. Not a cryptographic hash: seeds are public, and a fingerprint is evidence, never a commitment.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]

WINDOW = 8
LONGEST = 256
MASK_64 = (1 << 64) - 1

_LENGTH = np.uint64(0x9E3779B97F4A7C15)
_FOLD = np.uint64(0xC2B2AE3D27D4EB4F)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_UNMIX_A, _UNMIX_B = (np.uint64(pow(int(factor), -1, 1 << 64)) for factor in (_MIX_A, _MIX_B))
_S29, _S27, _S30, _S31 = (np.uint64(n) for n in (29, 27, 30, 31))
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(WINDOW + 1)], dtype=np.uint64)


def mix(values: U64) -> U64:
    """Return a bijection of 64-bit values in which every bit of the input moves about half of the output bits."""
    out = values >> _S30
    out ^= values
    out *= _MIX_A
    shifted = out >> _S27
    out ^= shifted
    out *= _MIX_B
    np.right_shift(out, _S31, out=shifted)
    out ^= shifted
    return out


def unmix(values: U64) -> U64:
    """Return what `mix` made these of."""
    out: U64 = values ^ (values >> _S31) ^ (values >> np.uint64(62))
    out *= _UNMIX_B
    out ^= (out >> _S27) ^ (out >> np.uint64(54))
    out *= _UNMIX_A
    out ^= (out >> _S30) ^ (out >> np.uint64(60))
    return out


def windows(data: bytes) -> U64:
    """Return a view in which item i is the 8 bytes from position i; `data` must end with 8 bytes of padding."""
    return np.ndarray((len(data) - WINDOW + 1,), dtype="<u8", buffer=data, offset=0, strides=(1,))


def hash_ranges(data: bytes, starts: Positions, lengths: Positions, seed: int, *, first: U64 | None = None) -> U64:
    """Return the hash of each `data[start : start + length]`; `data` must end with 8 bytes of padding.

    `first` are the windows at `starts`, if the caller has read them already.
    """
    view = windows(data)
    seeds = np.uint64(seed) + np.arange(LONGEST + 1, dtype=np.uint64) * _LENGTH
    out = _MASKS.take(lengths, mode="clip")
    out &= view[starts] if first is None else first
    out ^= seeds.take(lengths, mode="clip")
    out *= _FOLD
    out ^= out >> _S29
    rest = np.flatnonzero(lengths > WINDOW)
    at = WINDOW
    while rest.size:
        some = slice(None) if rest.size == lengths.size else rest
        left = lengths[some] - at
        part = view[starts[some] + at]
        part &= _MASKS.take(left, mode="clip")
        part ^= out[some]
        part *= _FOLD
        part ^= part >> _S29
        out[some] = part
        at += WINDOW
        rest = rest[(left > WINDOW) & (lengths[some] <= LONGEST)]
    out = mix(out)
    if int(lengths.max(initial=0)) <= LONGEST:
        return out
    for index in np.flatnonzero(lengths > LONGEST).tolist():
        start = int(starts[index])
        out[index] = hash_long(data[start : start + int(lengths[index])], seed)
    return out


def hash_long(data: bytes, seed: int) -> int:
    """Return the hash of a range longer than 256 bytes."""
    key = seed.to_bytes(8, "little")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8, key=key).digest(), "little")
