"""Keccak-256, the hash of Ethereum. It is not SHA3-256 of FIPS 202 (`hashlib.sha3_256`): the padding differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Hasher(Protocol):
    """What a constructor of hashlib's kind returns."""

    def digest(self) -> bytes:
        """Return the 32 bytes."""


class _Portable:
    """The same through eth-hash's backends, where the C module was not built: correct, about seven times slower."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def digest(self) -> bytes:
        from eth_hash.auto import keccak

        return keccak(self._data)


def _constructor() -> Callable[[bytes], Hasher]:
    try:
        # safe-pysha3's C module: 0.75 µs for a hash, against 5 µs through eth-hash and pycryptodome.
        from _pysha3 import keccak_256
    except ImportError:
        return _Portable
    fast: Callable[[bytes], Hasher] = keccak_256
    return fast


keccak_256 = _constructor()
"""data → hasher. For loops over millions; everything else calls `keccak256`."""


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 hash of `data`, 32 bytes."""
    return keccak_256(data).digest()
