"""Comparing files at hand with a bundle: open data by its public list, sealed data by the list inside its package."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cadastre.license_bundle import LicenseBundle
from provenance.core.canonical import canonical_bytes
from provenance.core.manifest import Manifest
from provenance.core.merkle import MerkleTree, leaf_hash
from provenance.core.package import Package
from provenance.core.refusal import Refusal

LIST_NAME = ".cadastre-files.json"
"""Written beside downloaded files: their records with salts, which open the file root of sealed data."""


class FolderCheckRefusal(Refusal):
    """Files at hand are not those that were registered."""


def check_folder(folder: Path, bundle_data: bytes) -> Callable[[Manifest, Package], str]:
    """Return the check of the verifier's last step for the files below `folder`."""
    bundle = LicenseBundle.read(bundle_data)

    def check(manifest: Manifest, _package: Package) -> str:
        document = bundle.manifest()
        records = _records(folder, document)
        root = MerkleTree(leaf_hash(canonical_bytes(record)) for record in sorted(records, key=_path)).root.hex()
        if root != document["files_root"]:
            raise FolderCheckRefusal("files.root", "The list of files is not the registered one.", limit=document["files_root"], actual=root)
        for record in records:
            _compare(folder, record)
        return f"{len(records):,} files have the registered SHA-256."

    return check


def _records(folder: Path, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    if manifest["files"] is not None:
        return list(manifest["files"])
    path = folder / LIST_NAME
    if not path.exists():
        raise FolderCheckRefusal("files.list", "The list of the files is not at hand.", todo=f"Download again: {LIST_NAME} comes with the files.")
    return list(json.loads(path.read_bytes()))


def _compare(folder: Path, record: dict[str, Any]) -> None:
    path = folder / str(record["path"])
    if not path.is_file():
        raise FolderCheckRefusal("files.missing", f"{record['path']} is not at hand.")
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != record["sha256"]:
        raise FolderCheckRefusal("files.sha256", f"{record['path']} was altered.", limit=record["sha256"], actual=actual)


def _path(record: dict[str, Any]) -> bytes:
    return str(record["path"]).encode()
