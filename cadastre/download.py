"""`cadastre get`: from a license bundle to checked files.

1. Fetch the package's blocks by CID, several at a time, into a block directory beside the files. What is there stays:
   a second run fetches the rest.
2. Open the grant, then the private manifest (`manifest.age`), whose root must be the public manifest's.
3. Decrypt each file, compare its length and SHA-256 with its record, and rename it into place.
4. Delete the blocks.

Bytes come from the site, a block directory, a CAR file or a Kubo node: it makes no difference, every block is re-hashed.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage

from cadastre.folder_check import LIST_NAME
from cadastre.license_bundle import LicenseBundle
from provenance.adapters.blocks_local import LocalBlocks
from provenance.core.canonical import canonical_bytes, parse_canonical
from provenance.core.cid import Cid, Codec
from provenance.core.digest import Sha256
from provenance.core.merkle import MerkleTree, leaf_hash
from provenance.core.refusal import Refusal
from provenance.core.unixfs.dagpb import decode_node
from provenance.core.unixfs.reading import fetch, list_directory, read_file, resolve

PARALLEL = 8
PIECE = 1 << 20


class DownloadRefusal(Refusal):
    """The bytes that arrived are not those that were licensed, or cannot be written."""


@dataclass(frozen=True, slots=True)
class Download:
    """What was written: `files` and `bytes` of plaintext, `root` the CID that all stored bytes hashed to."""

    folder: Path
    root: str
    files: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is: blocks fetched of those known so far, then files written of all."""

    blocks: int = 0
    blocks_known: int = 0
    files: int = 0
    files_total: int = 0


def download(
    bundle: LicenseBundle,
    *,
    get_block: Callable[[Cid], bytes],
    identity: str | None,
    folder: Path,
    progress: Callable[[Progress], None] = lambda _progress: None,
) -> Download:
    """Fetch, decrypt and check the package of a bundle into `folder`. Raises DownloadRefusal, BundleRefusal, CidRefusal."""
    started = time.monotonic()
    package = bundle.package()
    root = Cid.parse(package["root"])
    scratch = folder / ".cadastre"
    store = LocalBlocks(scratch / "blocks", name="download", durable=False)
    _fetch_dag(root, get_block, store, progress)
    if package["kind"] == "sealed":
        if identity is None:
            raise DownloadRefusal("download.identity", "The data is locked and no identity was given to open it.")
        key = pyrage.x25519.Identity.from_str(bundle.content_key(identity))
        records, stored = _private_records(root, store, key)
    else:
        key = None
        records = _public_records(bundle, get_block)
        stored = {record["path"]: record["path"] for record in records}
    _check_root(records, bundle.manifest())
    total = 0
    for number, record in enumerate(records):
        progress(Progress(files=number, files_total=len(records)))
        total += _write_file(folder, record, _open(root, stored[record["path"]], store, key))
    progress(Progress(files=len(records), files_total=len(records)))
    (folder / LIST_NAME).write_bytes(canonical_bytes(records))
    shutil.rmtree(scratch)
    return Download(folder=folder, root=str(root), files=len(records), bytes=total, seconds=time.monotonic() - started)


def _fetch_dag(
    root: Cid, get_block: Callable[[Cid], bytes], store: LocalBlocks, progress: Callable[[Progress], None]
) -> None:
    known = {root}
    waiting = [root]
    done = 0
    running: dict[Future[bytes], Cid] = {}

    def obtain(cid: Cid) -> bytes:
        if store.has(cid):
            return store.get_block(cid)
        block = get_block(cid)
        store.put_block(cid, block)  # re-hashes
        return block

    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < 2 * PARALLEL:
                    cid = waiting.pop()
                    running[pool.submit(obtain, cid)] = cid
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    cid = running.pop(future)
                    block = future.result()
                    done += 1
                    if cid.codec is Codec.DAG_PB:
                        fresh = [link.cid for link in decode_node(block).links if link.cid not in known]
                        known.update(fresh)
                        waiting.extend(reversed(fresh))
                progress(Progress(blocks=done, blocks_known=len(known)))
        finally:
            for future in running:
                future.cancel()


def _private_records(
    root: Cid, store: LocalBlocks, key: pyrage.x25519.Identity
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    names = {entry.name: entry.cid for entry in list_directory(root, store.get_block)}
    records: list[dict[str, Any]] = []
    stored: dict[str, str] = {}
    part = 0
    while (name := "manifest.age" if part == 0 else f"manifest-{part}.age") in names:
        sealed = b"".join(read_file(names[name], store.get_block))
        document = parse_canonical(pyrage.decrypt(sealed, [key]))
        if not isinstance(document, dict) or document.get("schema") != "cadastre.private-manifest/1":
            raise DownloadRefusal("download.manifest", f"{name} is not a private manifest.")
        records.extend(document["records"])  # type: ignore[arg-type]  # JSON by its schema
        stored.update(document["names"])  # type: ignore[arg-type]  # the same
        part += 1
    if not records:
        raise DownloadRefusal("download.manifest", "The package holds no list of its files.")
    return records, stored


def _public_records(bundle: LicenseBundle, get_block: Callable[[Cid], bytes]) -> list[dict[str, Any]]:
    manifest = bundle.manifest()
    if manifest["files"] is not None:
        return list(manifest["files"])
    records: list[dict[str, Any]] = []
    for digest in manifest["file_lists"] or []:
        if digest in bundle.documents:
            document = bundle.document(digest)
        else:
            cid = Cid.of_digest(Sha256.from_hex(digest))
            document = parse_canonical(fetch(cid, get_block))
        records.extend(document["records"])
    return records


def _check_root(records: Sequence[dict[str, Any]], manifest: dict[str, Any]) -> None:
    ordered = sorted(records, key=lambda record: str(record["path"]).encode())
    root = MerkleTree(leaf_hash(canonical_bytes(record)) for record in ordered).root.hex()
    if root != manifest["files_root"]:
        raise DownloadRefusal(
            "download.files_root", "The list of files is not the one that was registered.",
            limit=manifest["files_root"], actual=root,
        )  # fmt: skip


def _open(root: Cid, name: str, store: LocalBlocks, key: pyrage.x25519.Identity | None) -> Iterator[bytes]:
    pieces = read_file(resolve(root, name, store.get_block), store.get_block)
    return pieces if key is None else _decrypted(pieces, key)


def _decrypted(pieces: Iterator[bytes], key: pyrage.x25519.Identity) -> Iterator[bytes]:
    # pyrage decrypts from file to file: a pipe and a thread turn that into pieces, with flat memory.
    read_end, write_end = os.pipe()
    with ThreadPoolExecutor(max_workers=1) as pool, os.fdopen(read_end, "rb") as output:

        def work() -> None:
            with os.fdopen(write_end, "wb") as into:
                pyrage.decrypt_io(io.BufferedReader(_Pieces(pieces), PIECE), into, [key])

        future = pool.submit(work)
        while piece := output.read(PIECE):
            yield piece
        try:
            future.result()
        except (pyrage.DecryptError, OSError) as error:  # a broken piece in mid-file is an OSError
            raise DownloadRefusal("download.decrypt", "A file cannot be decrypted with the key of this license.") from error


class _Pieces(io.RawIOBase):
    """A readable file over pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                self._rest = memoryview(next(self._pieces))
            except StopIteration:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _write_file(folder: Path, record: dict[str, Any], pieces: Iterator[bytes]) -> int:
    target = folder / str(record["path"])
    if not target.resolve().is_relative_to(folder.resolve()):
        raise DownloadRefusal("download.path", "A file name leaves the folder; nothing is written.", actual=str(record["path"]))
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    size = 0
    partial = target.with_name(target.name + ".part")
    with partial.open("wb") as file:
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            file.write(piece)
    if (size, digest.hexdigest()) != (record["bytes"], record["sha256"]):
        partial.unlink()
        raise DownloadRefusal(
            "download.file", f"{record['path']} is not the file that was registered.",
            limit=record["sha256"], actual=digest.hexdigest(),
        )  # fmt: skip
    partial.replace(target)
    return size
