"""What a search says: one record of the searched files resembles one record of one registered dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from provenance.fingerprints.algorithm import Kind
from provenance.fingerprints.records import RecordFingerprint, unpack


class Closeness(IntEnum):
    """How close two records are; a smaller one is closer."""

    EXACT = 0
    NEAR = 1
    REVIEW = 2


class Part(StrEnum):
    """What of a file was compared."""

    FILE = "file"
    SEGMENT = "segment"
    DOCUMENT = "document"
    IMAGE = "image"
    ROWS = "rows"
    COLUMNS = "columns"


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file as the index takes it: `file` is the caller's number for it (below 2^63).

    `parts` are its packed records in pieces of whole records, in order. It is walked through more than once, so a large
    file's parts may be an object that reads them from where they are kept each time.
    """

    file: int
    kind: Kind
    size: int
    sha256: bytes
    parts: Iterable[bytes]

    def records(self) -> Iterator[RecordFingerprint]:
        """Yield the records. Raises FingerprintRefusal."""
        for part in self.parts:
            yield from unpack(part)


@dataclass(frozen=True, slots=True)
class RecordMatch:
    """A record of a searched file and the closest one of a dataset of another owner.

    `units` are the words, images, rows or files of the searched record that the match covers, `other_units` those of
    the other one. `distance` is, for images, bits of PDQ that differ (of 256); for segments, slots that differ (of
    128); for documents, rows and columns, basis points that are not covered; for files, zero.
    """

    file: int
    ordinal: int
    kind: Kind
    part: Part
    dataset: str
    owner: str
    other_file: int
    other_ordinal: int
    closeness: Closeness
    distance: int
    units: int
    other_units: int


@dataclass(frozen=True, slots=True)
class SearchedFile:
    """A file that was searched, how many words, images, rows or files it has, and what its records resemble."""

    file: IndexedFile
    units: int
    matches: tuple[RecordMatch, ...]
