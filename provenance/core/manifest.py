"""Public manifests: a version of a dataset *is* this document.

At most 1 MiB of canonical JSON, so that its SHA-256 on chain is also its raw CIDv1. It names the owner's address, which
makes a stolen digest useless to anybody else. Prices and splits are documents of their own. The keys stand in
docs/formats.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import date
from enum import StrEnum
from typing import Self

from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.canonical import DOCUMENT_LIMIT, Json, canonical_bytes, document_bytes, parse_canonical
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.file_record import MEDIA_TYPE, FileRecord, file_lists, files_root, records_of_list
from provenance.core.refusal import Refusal
from provenance.core.rights import Rights

SCHEMA = "cadastre.manifest/1"
PARENTS_LIMIT = 16
SOURCES_LIMIT = 200

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_KEYS = (
    "owner", "version", "previous", "title", "creator", "description", "kind", "visibility", "totals", "media_types",
    "languages", "collected", "parents", "rights", "files_root", "files", "file_lists",
)  # fmt: skip


class ManifestRefusal(Refusal):
    """A manifest does not say what a version must say, or its parts contradict each other."""


class DataKind(StrEnum):
    """What most of the data is."""

    IMAGE = "image"
    TABLE = "table"
    TEXT = "text"
    AUDIO = "audio"
    MIXED = "mixed"


class Visibility(StrEnum):
    """Whether the bytes are for everybody or for licensees."""

    OPEN = "open"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the plaintext files."""

    files: int
    bytes: int
    records: int

    @classmethod
    def of(cls, records: Sequence[FileRecord]) -> Self:
        """Count file records."""
        return cls(len(records), sum(each.size for each in records), sum(each.records for each in records))

    def to_document(self) -> dict[str, Json]:
        return {"files": self.files, "bytes": self.bytes, "records": self.records}


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the creator says about a version; everything else in a manifest is counted from the files."""

    owner: Account
    version: int
    previous: Sha256 | None
    title: str
    creator: str
    description: str
    kind: DataKind
    languages: tuple[str, ...]
    collected_from: date | None
    collected_to: date | None
    parents: tuple[Asset, ...]
    rights: tuple[Rights, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Description):
    """One version. Open data carries its records in `files`, or names the lists that hold them in `file_lists`."""

    visibility: Visibility
    totals: Totals
    media_types: tuple[str, ...]
    files_root: Sha256
    files: tuple[FileRecord, ...] | None
    file_lists: tuple[Sha256, ...] | None

    def __post_init__(self) -> None:
        _checked(self)

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a manifest. Raises ManifestRefusal, FieldRefusal and what its parts raise."""
        fields = Fields.of(value, "manifest", _KEYS, schema=SCHEMA)
        totals = Fields.of(fields.members["totals"], "totals", ("files", "bytes", "records"))
        collected = Fields.of(fields.members["collected"], "collected", ("from", "to"))
        return cls(
            owner=fields.account("owner"),
            version=fields.integer("version", low=1),
            previous=fields.digest_or_none("previous"),
            title=fields.text("title"),
            creator=fields.text("creator"),
            description=fields.text("description"),
            kind=fields.member("kind", DataKind),
            visibility=fields.member("visibility", Visibility),
            totals=Totals(totals.integer("files"), totals.integer("bytes"), totals.integer("records")),
            media_types=fields.sorted_texts("media_types"),
            languages=fields.sorted_texts("languages"),
            collected_from=collected.date_or_none("from"),
            collected_to=collected.date_or_none("to"),
            parents=_parents(fields),
            rights=tuple(map(Rights.from_document, fields.items("rights", most=SOURCES_LIMIT))),
            files_root=fields.digest("files_root"),
            files=_records(fields),
            file_lists=_lists(fields),
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the canonical bytes of a manifest."""
        return cls.from_document(parse_canonical(data))

    def to_document(self) -> dict[str, Json]:
        return {
            "schema": SCHEMA,
            "owner": str(self.owner),
            "version": self.version,
            "previous": None if self.previous is None else self.previous.hex,
            "title": self.title,
            "creator": self.creator,
            "description": self.description,
            "kind": self.kind.value,
            "visibility": self.visibility.value,
            "totals": self.totals.to_document(),
            "media_types": list(self.media_types),
            "languages": list(self.languages),
            "collected": {"from": _day(self.collected_from), "to": _day(self.collected_to)},
            "parents": [str(parent) for parent in self.parents],
            "rights": [each.to_document() for each in self.rights],
            "files_root": self.files_root.hex,
            "files": None if self.files is None else [record.to_document() for record in self.files],
            "file_lists": None if self.file_lists is None else [each.hex for each in self.file_lists],
        }

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, at most 1 MiB. Raises CanonicalRefusal."""
        return document_bytes(self.to_document())

    @property
    def digest(self) -> Sha256:
        """What stands on chain."""
        return Sha256.of(self.to_bytes())

    @property
    def bases(self) -> tuple[str, ...]:
        """The rights bases that occur, sorted: what `rights.attested` says."""
        return tuple(sorted({each.basis.value for each in self.rights}))

    def check_files(self, records: Sequence[FileRecord]) -> None:
        """Accept `records` only as all files of this version, in order. Raises ManifestRefusal, FileRecordRefusal."""
        root = files_root(records)
        if root != self.files_root:
            raise ManifestRefusal(
                "manifest.files_root",
                "The files are not those of this version.",
                limit=self.files_root.hex,
                actual=root.hex,
            )
        if Totals.of(records) != self.totals:
            raise ManifestRefusal(
                "manifest.totals",
                "The totals do not fit the files.",
                limit=str(self.totals.to_document()),
                actual=str(Totals.of(records).to_document()),
            )


def make_manifest(
    about: Description, records: Sequence[FileRecord], *, visibility: Visibility
) -> tuple[Manifest, list[bytes]]:
    """Return the manifest of a version with these files, and the file lists beside it when open records do not fit.

    `records` stand in order (`sorted_records`). Raises ManifestRefusal, FileRecordRefusal, CanonicalRefusal.
    """
    root, totals = files_root(records), Totals.of(records)
    media_types = tuple(sorted({record.media_type for record in records}))

    def manifest(files: tuple[FileRecord, ...] | None, lists: tuple[Sha256, ...] | None) -> Manifest:
        said = {each.name: getattr(about, each.name) for each in fields_of(Description)}
        return Manifest(
            **said,
            visibility=visibility,
            totals=totals,
            media_types=media_types,
            files_root=root,
            files=files,
            file_lists=lists,
        )

    if visibility is Visibility.SEALED:
        return manifest(None, None), []
    room = DOCUMENT_LIMIT - len(manifest(None, ()).to_bytes())
    if sum(len(canonical_bytes(record.to_document())) + 1 for record in records) < room:
        return manifest(tuple(records), None), []
    lists = list(file_lists(records))
    return manifest(None, tuple(map(Sha256.of, lists))), lists


def all_records(manifest: Manifest, lists: Sequence[Json]) -> tuple[FileRecord, ...]:
    """Return the records of open data, from the manifest or from its parsed lists in order; check them all."""
    if manifest.files is not None:
        return manifest.files
    records = tuple(record for each in lists for record in records_of_list(each))
    manifest.check_files(records)
    return records


def _checked(manifest: Manifest) -> None:
    for name, value, least, most in (
        ("title", manifest.title, 1, 200),
        ("creator", manifest.creator, 1, 100),
        ("description", manifest.description, 0, 4000),
    ):
        if not least <= len(value) <= most:
            raise ManifestRefusal(
                f"manifest.{name}", f"The {name} has {least} to {most:,} characters.", limit=most, actual=len(value)
            )
    if (manifest.version == 1) != (manifest.previous is None):
        raise ManifestRefusal(
            "manifest.previous", "Every version but the first names the one before it.", actual=manifest.version
        )
    _check_counts(manifest)
    _check_lists(manifest)
    _check_files(manifest)


def _check_counts(manifest: Manifest) -> None:
    if manifest.version < 1 or manifest.totals.files < 1 or min(manifest.totals.bytes, manifest.totals.records) < 0:
        raise ManifestRefusal(
            "manifest.totals", "A version has at least one file.", limit=1, actual=manifest.totals.files
        )
    if not 1 <= len(manifest.rights) <= SOURCES_LIMIT:
        raise ManifestRefusal(
            "manifest.rights",
            "A version states the rights basis of each source, at least one.",
            limit=SOURCES_LIMIT,
            actual=len(manifest.rights),
        )
    if len(manifest.parents) > PARENTS_LIMIT:
        raise ManifestRefusal(
            "manifest.parents", "A dataset has too many parents.", limit=PARENTS_LIMIT, actual=len(manifest.parents)
        )
    begin, end = manifest.collected_from, manifest.collected_to
    if begin is not None and end is not None and begin > end:
        raise ManifestRefusal(
            "manifest.collected", "The period of collection ends before it begins.", limit=str(begin), actual=str(end)
        )


def _check_lists(manifest: Manifest) -> None:
    parents = tuple(str(parent) for parent in manifest.parents)
    for name, texts in (("media_types", manifest.media_types), ("languages", manifest.languages), ("parents", parents)):
        if list(texts) != sorted(set(texts)):
            raise ManifestRefusal("manifest.unsorted", f"The {name} are sorted, each once.")
    for name, texts, pattern in (
        ("media type", manifest.media_types, MEDIA_TYPE),
        ("language", manifest.languages, _LANGUAGE),
    ):
        wrong = next((text for text in texts if pattern.fullmatch(text) is None), None)
        if wrong is not None:
            raise ManifestRefusal("manifest.value", f"A {name} is malformed.", actual=wrong[:80])
    if any(parent.kind is not AssetKind.DATASET for parent in manifest.parents):
        raise ManifestRefusal("manifest.parents", "A parent is a dataset.")


def _check_files(manifest: Manifest) -> None:
    shown = [each for each in (manifest.files, manifest.file_lists) if each is not None]
    match manifest.visibility:
        case Visibility.SEALED:
            if shown:
                raise ManifestRefusal("manifest.sealed_files", "The files of sealed data are never public.")
        case Visibility.OPEN:
            if len(shown) != 1:
                raise ManifestRefusal(
                    "manifest.files", "Open data shows its files once: inside, or in lists.", limit=1, actual=len(shown)
                )
    if manifest.files is not None:
        manifest.check_files(manifest.files)


def _parents(fields: Fields) -> tuple[Asset, ...]:
    return tuple(Asset.parse(text, AssetKind.DATASET) for text in fields.sorted_texts("parents", most=PARENTS_LIMIT))


def _records(fields: Fields) -> tuple[FileRecord, ...] | None:
    if fields.members["files"] is None:
        return None
    return tuple(map(FileRecord.from_document, fields.items("files", most=DOCUMENT_LIMIT)))


def _lists(fields: Fields) -> tuple[Sha256, ...] | None:
    if fields.members["file_lists"] is None:
        return None
    texts = [text if isinstance(text, str) else "" for text in fields.items("file_lists", most=DOCUMENT_LIMIT)]
    return tuple(map(Sha256.from_hex, texts))


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
