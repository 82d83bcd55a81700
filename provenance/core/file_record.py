"""The files of a version: one salted record each, and one Merkle root over them.

The record with its salt is the leaf, so that a leaf can be opened alone and the others stay unguessable. Whoever
forgets the salts erases the link between the root and the files.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from provenance.core.canonical import DOCUMENT_LIMIT, Json, canonical_bytes, document_bytes
from provenance.core.digest import SALT_BYTES, Sha256, salt_from_hex
from provenance.core.fields import Fields
from provenance.core.merkle import MerkleTree, leaf_hash, verify_inclusion
from provenance.core.refusal import Refusal

FILE_LIST_SCHEMA = "cadastre.file-list/1"
PATH_LIMIT = 1024
MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")

_KEYS = ("path", "bytes", "sha256", "media_type", "records", "salt")
_NAME_PREFIX = b"cadastre.name/1\x00"


class FileRecordRefusal(Refusal):
    """A file's record cannot stand in a manifest, or is not the one that a root commits to."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One plaintext file: relative path, size in bytes, digest, media type, records in it, and 16 random bytes."""

    path: str
    size: int
    sha256: Sha256
    media_type: str
    records: int
    salt: bytes

    def __post_init__(self) -> None:
        check_path(self.path)
        if MEDIA_TYPE.fullmatch(self.media_type) is None:
            raise FileRecordRefusal("file.media_type", "The media type is malformed.", actual=self.media_type[:80])
        if min(self.size, self.records) < 0:
            raise FileRecordRefusal("file.size", "A file has no fewer than no bytes.", actual=self.size)
        if len(self.salt) != SALT_BYTES:
            raise FileRecordRefusal("file.salt", "A salt has 16 bytes.", limit=SALT_BYTES, actual=len(self.salt))

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a record. Raises FileRecordRefusal, FieldRefusal, DigestRefusal."""
        fields = Fields.of(value, "file record", _KEYS)
        return cls(
            fields.text("path", most=PATH_LIMIT),
            fields.integer("bytes"),
            fields.digest("sha256"),
            fields.text("media_type", most=127),
            fields.integer("records"),
            salt_from_hex(fields.text("salt", most=80)),
        )

    def to_document(self) -> dict[str, Json]:
        return {
            "path": self.path,
            "bytes": self.size,
            "sha256": self.sha256.hex,
            "media_type": self.media_type,
            "records": self.records,
            "salt": self.salt.hex(),
        }

    @property
    def leaf_hash(self) -> bytes:
        """The RFC 6962 hash of the record's canonical bytes."""
        return leaf_hash(canonical_bytes(self.to_document()))

    @property
    def stored_name(self) -> str:
        """The opaque name under which a sealed package stores the file."""
        digest = hashlib.sha256(_NAME_PREFIX + self.salt + b"\x00" + self.path.encode()).hexdigest()
        return f"{digest[:32]}.age"


@dataclass(frozen=True, slots=True)
class FileOpening:
    """One record shown to somebody who holds only the root: its place among `count` leaves, and the proof."""

    index: int
    count: int
    record: FileRecord
    proof: tuple[bytes, ...]

    def verify(self, files_root: Sha256) -> None:
        """Accept the record only as one of those that the root commits to. Raises MerkleRefusal."""
        verify_inclusion(self.record.leaf_hash, self.index, self.count, self.proof, files_root.raw)


def check_path(path: str) -> None:
    """Refuse a path that would mean different things on different machines, or leave its folder.

    Raises FileRecordRefusal.
    """
    try:
        length = len(path.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise _path_refusal("is not valid UTF-8", path) from error
    if length > PATH_LIMIT:
        raise FileRecordRefusal(
            "file.path_too_long", "A path is too long.", limit=PATH_LIMIT, actual=length, todo="Shorten the path."
        )
    if any(unicodedata.category(character) == "Cc" for character in path):
        raise _path_refusal("contains a control character, such as a line break", path)
    if any(segment in {"", ".", ".."} for segment in path.split("/")):
        raise _path_refusal("is absolute or has an empty, '.' or '..' segment", path)
    if unicodedata.normalize("NFC", path) != path:
        raise _path_refusal("is not in Unicode's composed form (NFC)", path)


def sorted_records(records: Iterable[FileRecord]) -> list[FileRecord]:
    """Return the records in the order of the tree: by the UTF-8 bytes of their paths, each once."""
    ordered = sorted(records, key=lambda record: record.path.encode())
    for before, after in pairwise(ordered):
        if before.path == after.path:
            raise _path_refusal("is there twice", after.path)
    return ordered


def files_root(records: Sequence[FileRecord]) -> Sha256:
    """Return the root over records that are in order. Raises FileRecordRefusal when they are not, or there are none."""
    return Sha256(_tree(records).root)


def open_file(records: Sequence[FileRecord], index: int) -> FileOpening:
    """Return the opening of one of the records. Raises FileRecordRefusal, MerkleRefusal."""
    tree = _tree(records)
    return FileOpening(index, len(records), records[index], tuple(tree.inclusion_proof(index)))


def file_lists(records: Iterable[FileRecord], *, limit: int = DOCUMENT_LIMIT) -> Iterator[bytes]:
    """Yield `cadastre.file-list/1` documents that hold the records in order, each as full as it may be."""
    for part in packed(records, len(_list_document([])), limit):
        yield document_bytes(_list_document(part), limit=limit)


def records_of_list(document: Json) -> tuple[FileRecord, ...]:
    """Read a file list. Raises FieldRefusal and what records raise."""
    fields = Fields.of(document, "file list", ("records",), schema=FILE_LIST_SCHEMA)
    return tuple(map(FileRecord.from_document, fields.items("records", most=DOCUMENT_LIMIT)))


def packed(records: Iterable[FileRecord], overhead: int, limit: int) -> Iterator[list[FileRecord]]:
    """Yield runs of records whose canonical bytes, with commas and `overhead`, do not exceed `limit`."""
    part: list[FileRecord] = []
    size = overhead
    for record in records:
        cost = len(canonical_bytes(record.to_document())) + 1
        if part and size + cost > limit:
            yield part
            part, size = [], overhead
        part.append(record)
        size += cost
    if part:
        yield part


def _list_document(records: Sequence[FileRecord]) -> dict[str, Json]:
    return {"schema": FILE_LIST_SCHEMA, "records": [record.to_document() for record in records]}


def _tree(records: Sequence[FileRecord]) -> MerkleTree:
    if not records:
        raise FileRecordRefusal("files.none", "A version has at least one file.", limit=1, actual=0)
    if list(records) != sorted_records(records):
        raise FileRecordRefusal("files.unsorted", "File records stand in the order of their paths' UTF-8 bytes.")
    return MerkleTree(record.leaf_hash for record in records)


def _path_refusal(why: str, path: str) -> FileRecordRefusal:
    return FileRecordRefusal("file.path", f"A path {why}.", actual=ascii(path)[:120], todo="Rename the file.")
