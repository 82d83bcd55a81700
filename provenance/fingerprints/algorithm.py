"""Which algorithm fingerprints which kind of file, and the figures it is fixed by.

A sketch is comparable with another one only if both were made by the same algorithm with the same figures. So every
record carries the first four bytes of the digest of the document below, and a change of any figure is a new name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from provenance.core.canonical import canonical_bytes
from provenance.core.refusal import Refusal

TAG_BYTES = 4


class FingerprintRefusal(Refusal):
    """Bytes from which no fingerprint is made, or a fingerprint that cannot be read."""


class Kind(StrEnum):
    """What a file is compared as. A file of any other kind is compared by its SHA-256 alone: `FILE`."""

    TEXT = "text"
    IMAGE = "image"
    TABLE = "table"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A named algorithm with its figures; `digest` is the SHA-256 of their JCS document, `tag` its first 4 bytes."""

    kind: Kind
    name: str
    figures: tuple[tuple[str, int | str], ...]
    digest: str = field(init=False)
    tag: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(canonical_bytes({**self.parameters})).digest()
        object.__setattr__(self, "digest", digest.hex())
        object.__setattr__(self, "tag", digest[:TAG_BYTES])

    @property
    def parameters(self) -> dict[str, int | str]:
        """The document that `digest` covers."""
        return {"algorithm": self.name, **dict(self.figures)}
