"""MurmurHash3 x64 128, first 64 bits: how a HAMT directory spreads names (multihash murmur3-x64-64).

Source: Austin Appleby's MurmurHash3_x64_128, seed 0. Not a cryptographic hash.
"""

from __future__ import annotations

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_C1 = 0x87C3_7B91_1142_53D5
_C2 = 0x4CF5_AD43_2745_937F
_BLOCK = 16


def murmur3_x64_64(data: bytes) -> bytes:
    """Return the first 64 bits of the hash, big-endian: 8 bytes."""
    h1 = h2 = 0
    whole = len(data) - len(data) % _BLOCK
    for at in range(0, whole, _BLOCK):
        h1 ^= _mixed_low(int.from_bytes(data[at : at + 8], "little"))
        h1 = (_rotated(h1, 27) + h2) * 5 + 0x52DC_E729 & _MASK
        h2 ^= _mixed_high(int.from_bytes(data[at + 8 : at + 16], "little"))
        h2 = (_rotated(h2, 31) + h1) * 5 + 0x3849_5AB5 & _MASK
    tail = data[whole:]
    h2 ^= _mixed_high(int.from_bytes(tail[8:], "little"))
    h1 ^= _mixed_low(int.from_bytes(tail[:8], "little"))
    h1 ^= len(data)
    h2 ^= len(data)
    h1 = h1 + h2 & _MASK
    h2 = h2 + h1 & _MASK
    return (_finished(h1) + _finished(h2) & _MASK).to_bytes(8, "big")


def _mixed_low(word: int) -> int:
    return _rotated(word * _C1 & _MASK, 31) * _C2 & _MASK


def _mixed_high(word: int) -> int:
    return _rotated(word * _C2 & _MASK, 33) * _C1 & _MASK


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _MASK


def _finished(word: int) -> int:
    word ^= word >> 33
    word = word * 0xFF51_AFD7_ED55_8CCD & _MASK
    word ^= word >> 33
    word = word * 0xC4CE_B9FE_1A85_EC53 & _MASK
    return word ^ word >> 33
