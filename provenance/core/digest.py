"""SHA-256 digests as values, and commitments that a salt keeps from being guessed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from provenance.core.refusal import Refusal

DIGEST_BYTES = 32
SALT_BYTES = 16

_HEX = re.compile(r"[0-9a-f]{64}")
_SALT_HEX = re.compile(r"[0-9a-f]{32}")


class DigestRefusal(Refusal):
    """Something that should be a SHA-256 digest or a salt is not."""


@dataclass(frozen=True, slots=True, order=True)
class Sha256:
    """A SHA-256 digest (FIPS 180-4): 32 bytes, written as 64 lower-case hex digits without a prefix."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != DIGEST_BYTES:
            raise DigestRefusal(
                "digest.length", "A SHA-256 digest has 32 bytes.", limit=DIGEST_BYTES, actual=len(self.raw)
            )

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview) -> Self:
        """Return the digest of `data`."""
        return cls(hashlib.sha256(data).digest())

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """Read 64 lower-case hex digits; upper case and `0x` are refused, so that equal digests are equal texts.

        Raises DigestRefusal.
        """
        if _HEX.fullmatch(text) is None:
            raise DigestRefusal(
                "digest.hex",
                "A SHA-256 digest is written as 64 lower-case hex digits.",
                limit=2 * DIGEST_BYTES,
                actual=text[:80],
                todo="Remove a 0x prefix and write a to f in lower case.",
            )
        return cls(bytes.fromhex(text))

    @property
    def hex(self) -> str:
        """64 lower-case hex digits."""
        return self.raw.hex()

    def __bytes__(self) -> bytes:
        return self.raw

    def __str__(self) -> str:
        return self.hex


def salted_commitment(salt: bytes, data: bytes) -> Sha256:
    """Return SHA-256(salt ‖ data) for a salt of exactly 16 random bytes.

    The salt hides guessable data: whoever forgets it erases the link between data and commitment. Its fixed
    length keeps two (salt, data) pairs from sharing one preimage. Raises DigestRefusal.
    """
    if len(salt) != SALT_BYTES:
        raise DigestRefusal("salt.length", "A salt has 16 bytes.", limit=SALT_BYTES, actual=len(salt))
    return Sha256.of(salt + data)


def salt_from_hex(text: str) -> bytes:
    """Read a salt written as 32 lower-case hex digits. Raises DigestRefusal."""
    if _SALT_HEX.fullmatch(text) is None:
        raise DigestRefusal(
            "salt.hex", "A salt is written as 32 lower-case hex digits.", limit=2 * SALT_BYTES, actual=text[:80]
        )
    return bytes.fromhex(text)
