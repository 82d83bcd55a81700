"""Private manifests: the file list of sealed data, encrypted with the files and stored in their package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from provenance.core.canonical import DOCUMENT_LIMIT, Json, document_bytes, parse_canonical
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.file_record import FileRecord, packed
from provenance.core.manifest import Manifest, ManifestRefusal

SCHEMA = "cadastre.private-manifest/1"


@dataclass(frozen=True, slots=True)
class PrivateManifest:
    """The file list of sealed data, or a part of it; stored in the package, encrypted with the files."""

    manifest: Sha256
    version: int
    records: tuple[FileRecord, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a decrypted part. A stored name that is not its record's own is refused."""
        fields = Fields.of(
            parse_canonical(data),
            "private manifest",
            ("manifest", "version", "names", "records"),
            schema=SCHEMA,
        )
        records = tuple(map(FileRecord.from_document, fields.items("records", most=DOCUMENT_LIMIT)))
        names: dict[str, Json] = {record.path: record.stored_name for record in records}
        if fields.members["names"] != names:
            raise ManifestRefusal("manifest.names", "The stored names are not those of the files.")
        return cls(fields.digest("manifest"), fields.integer("version", low=1), records)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, before encryption."""
        return document_bytes(
            {
                "schema": SCHEMA,
                "manifest": self.manifest.hex,
                "version": self.version,
                "names": {record.path: record.stored_name for record in self.records},
                "records": [record.to_document() for record in self.records],
            }
        )


def private_manifests(manifest: Manifest, records: Sequence[FileRecord]) -> list[PrivateManifest]:
    """Return the private manifest of sealed data in as many parts as it needs. Raises ManifestRefusal."""
    manifest.check_files(records)
    digest = manifest.digest
    overhead = len(PrivateManifest(digest, manifest.version, ()).to_bytes())
    # Half of the limit, because a path stands in `names` again and its entry there is shorter than its record.
    parts = packed(records, overhead, DOCUMENT_LIMIT // 2)
    return [PrivateManifest(digest, manifest.version, tuple(part)) for part in parts]
