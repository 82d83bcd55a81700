"""Comparing files at hand with a bundle: open data by its public list, sealed data by the list that came with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from provenance.core.bundle import Bundle
from provenance.core.canonical import canonical_bytes
from provenance.core.file_record import FileRecord
from provenance.core.manifest import Manifest, all_records
from provenance.core.package import Package
from provenance.core.refusal import Refusal

OWN_FOLDER = ".cadastre"
"""Below a downloaded folder: what is not data."""

LIST_NAME = "files.json"
"""In there: the records of the files with their salts, which open the file root of sealed data."""


class FolderCheckRefusal(Refusal):
    """Files at hand are not those that were registered."""


def write_list(folder: Path, records: Sequence[FileRecord]) -> None:
    """Write the records beside the files."""
    path = folder / OWN_FOLDER / LIST_NAME
    path.write_bytes(canonical_bytes([record.to_document() for record in records]))


def check_folder(folder: Path, bundle: bytes) -> Callable[[Manifest, Package], str]:
    """Return the check of the verifier's last step for the files below `folder`; `bundle` is what it verifies."""

    def check(manifest: Manifest, _package: Package) -> str:
        records = _records(folder, Bundle.parse(bundle), manifest)
        for record in records:
            _compare(folder, record)
        return f"{len(records):,} files have the registered SHA-256."

    return check


def kept_whole(folder: Path, bundle: Bundle, manifest: Manifest) -> Sequence[FileRecord] | None:
    """Return the records of the files if every one lies below `folder` as it was registered, else None."""
    if not (folder / OWN_FOLDER / LIST_NAME).is_file():
        return None  # no download into it ever ended
    try:
        records = _records(folder, bundle, manifest)
        for record in records:
            _compare(folder, record)
    except Refusal:
        return None
    return records


def _records(folder: Path, bundle: Bundle, manifest: Manifest) -> Sequence[FileRecord]:
    lists = manifest.file_lists or ()
    if manifest.files is not None or (lists and all(digest in bundle.documents for digest in lists)):
        return all_records(manifest, [bundle.document(digest) for digest in lists])
    path = folder / OWN_FOLDER / LIST_NAME
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FolderCheckRefusal(
            "files.list", "The list of the files is not at hand.", actual=str(path),
            todo="Download again: it comes with the files.",
        ) from error  # fmt: skip
    records = [FileRecord.from_document(record) for record in found]
    manifest.check_files(records)
    return records


def _compare(folder: Path, record: FileRecord) -> None:
    path = folder / record.path
    if not path.is_file():
        raise FolderCheckRefusal("files.missing", f"{record.path} is not at hand.")
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != record.sha256.hex:
        raise FolderCheckRefusal("files.sha256", f"{record.path} was altered.", limit=record.sha256.hex, actual=actual)
