"""`cadastre get`: from a license bundle to checked files.

1. Fetch the package's blocks by CID, several at a time, into a block directory beside the files. What is there, and
   still is what its CID says, stays: a second run fetches the rest. If every file is there already, nothing is fetched.
2. Open the grant, then the private manifest (`manifest.age`), whose root must be the public manifest's.
3. Decrypt each file, compare its length and SHA-256 with its record, and move it into place.
4. Delete the blocks.

Where blocks come from makes no difference, because every one is re-hashed. What is not data lies in `.cadastre` below
the folder; afterwards it holds the list of the files, which `cadastre verify --files` compares with the bundle.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, BinaryIO, Protocol, Self

import pyrage

from cadastre.folder_check import OWN_FOLDER, kept_whole, write_list
from cadastre.license_bundle import LicenseBundle
from provenance.adapters.blocks_local import LocalBlocks
from provenance.core.canonical import parse_canonical
from provenance.core.cid import Cid, Codec
from provenance.core.digest import Sha256
from provenance.core.file_record import FileRecord
from provenance.core.manifest import Manifest, all_records
from provenance.core.package import Package, PackageKind, manifest_name
from provenance.core.private_manifest import PrivateManifest
from provenance.core.refusal import Refusal
from provenance.core.unixfs.dagpb import decode_node
from provenance.core.unixfs.reading import list_directory, read_file, walk_files
from provenance.ports import StoreRefusal

PARALLEL = 8


class DownloadRefusal(Refusal):
    """The bytes that arrived are not those that were licensed, or cannot be written."""


class Source(Protocol):
    """Where stored bytes come from. It may lie: everything is re-hashed."""

    def block(self, cid: Cid, /) -> bytes:
        """Return a block of a package."""

    def document(self, digest: Sha256, /) -> bytes:
        """Return a public document."""


@dataclass(frozen=True, slots=True)
class Download:
    """What was written: `files` and `bytes` of plaintext, `root` the CID that all stored bytes hashed to.

    `was_there`: an earlier run had written all of it; every file was compared again, and nothing was fetched.
    """

    folder: Path
    root: str
    files: int
    bytes: int
    seconds: float
    was_there: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is: blocks fetched of those known so far, then files written of all."""

    blocks: int = 0
    blocks_known: int = 0
    files: int = 0
    files_total: int = 0


Tell = Callable[[Progress], None]


def download(
    bundle: LicenseBundle,
    *,
    source: Source,
    identity: str | None,
    folder: Path,
    progress: Tell = lambda _progress: None,
) -> Download:
    """Fetch, decrypt and check the package of a bundle into `folder`.

    Raises DownloadRefusal, BundleRefusal, CidRefusal, and what the source raises.
    """
    started = time.monotonic()
    package, manifest = bundle.package(), bundle.manifest()
    there = kept_whole(folder, bundle.bundle, manifest)
    if there is not None:
        return _written(folder, package, there, started, was_there=True)
    key = _content_key(bundle, package, identity)
    store = block_folder(folder)
    fetch_dag(package.root, source.block, store, progress)
    if key is None:
        records = _public_records(bundle, manifest, source)
    else:
        records = _private_records(package, manifest, store, key)
    stored = dict(walk_files(package.root, store.get_block))
    for number, record in enumerate(records):
        progress(Progress(files=number, files_total=len(records)))
        name = record.path if key is None else record.stored_name
        if name not in stored:
            raise DownloadRefusal("download.missing", "The package lacks a registered file.", actual=record.path)
        _write_file(folder, record, read_file(stored[name], store.get_block), key)
    progress(Progress(files=len(records), files_total=len(records)))
    write_list(folder, records)
    shutil.rmtree(folder / OWN_FOLDER / "store")
    return _written(folder, package, records, started)


def block_folder(folder: Path) -> LocalBlocks:
    """Return where blocks lie until the files of `folder` are written."""
    return LocalBlocks(folder / OWN_FOLDER / "store", name=str(folder), reserve=0, durable=False)


def fetch_dag(root: Cid, get_block: Callable[[Cid], bytes], store: LocalBlocks, progress: Tell) -> None:
    """Step 1. Raises what `get_block` raises, and CidRefusal for bytes that are not the block's."""
    known, waiting = {root}, [root]
    done = 0
    with _Fetchers(lambda cid: _obtained(cid, get_block, store)) as fetchers:
        while waiting or fetchers.running:
            while waiting and fetchers.running < 2 * PARALLEL:
                fetchers.begin(waiting.pop())
            fresh = [cid for cid in dict.fromkeys(fetchers.next_links()) if cid not in known]
            known.update(fresh)
            waiting.extend(reversed(fresh))
            done += 1
            progress(Progress(blocks=done, blocks_known=len(known)))


class _Fetchers:
    """Threads that fetch. Daemons, and not a pool: Ctrl-C does not wait for a network that stands still.

    After a refusal what is on its way still arrives, for the next run.
    """

    def __init__(self, obtain: Callable[[Cid], list[Cid]]) -> None:
        self.running = 0
        self._obtain = obtain
        self._wanted: SimpleQueue[Cid | None] = SimpleQueue()
        self._ended: SimpleQueue[list[Cid] | Exception] = SimpleQueue()

    def __enter__(self) -> Self:
        for _ in range(PARALLEL):
            Thread(target=self._work, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_about: object) -> None:
        with suppress(Empty):
            while True:
                self._wanted.get_nowait()
                self.running -= 1
        for _ in range(PARALLEL):
            self._wanted.put(None)
        if kind is not None and issubclass(kind, Exception):
            for _ in range(self.running):
                self._ended.get()

    def begin(self, cid: Cid) -> None:
        self._wanted.put(cid)
        self.running += 1

    def next_links(self) -> list[Cid]:
        """Return what the next block links to that has arrived. Raises what it was refused with."""
        found = self._ended.get()
        self.running -= 1
        if isinstance(found, Exception):
            raise found
        return found

    def _work(self) -> None:
        while (cid := self._wanted.get()) is not None:
            try:
                self._ended.put(self._obtain(cid))
            except Exception as error:  # noqa: BLE001  # raised again where it is waited for
                self._ended.put(error)


def _obtained(cid: Cid, get_block: Callable[[Cid], bytes], store: LocalBlocks) -> list[Cid]:
    """Have a block in the store, and return what it links to. What an earlier run left is re-hashed, too."""
    try:
        data = store.get_block(cid)
    except StoreRefusal:
        data = get_block(cid)
        store.put_block(cid, data)
    return [link.cid for link in decode_node(data).links] if cid.codec is Codec.DAG_PB else []


def _written(
    folder: Path, package: Package, records: Sequence[FileRecord], started: float, *, was_there: bool = False
) -> Download:
    size = sum(record.size for record in records)
    return Download(folder, str(package.root), len(records), size, time.monotonic() - started, was_there)


def _content_key(bundle: LicenseBundle, package: Package, identity: str | None) -> pyrage.x25519.Identity | None:
    match package.kind:
        case PackageKind.OPEN:
            return None
        case PackageKind.SEALED:
            if identity is None:
                raise DownloadRefusal(
                    "download.identity", "The data is locked and there is no identity to open it.",
                    todo="Run: cadastre login",
                )  # fmt: skip
            key = bundle.content_key(identity)
            if str(key.to_public()) != package.recipient:
                raise DownloadRefusal(
                    "download.key", "The granted key is not the package's.", limit=package.recipient,
                    actual=str(key.to_public()), todo="Fetch the bundle again.",
                )  # fmt: skip
            return key


def _private_records(
    package: Package, manifest: Manifest, store: LocalBlocks, key: pyrage.x25519.Identity
) -> Sequence[FileRecord]:
    """Step 2. Records have relative paths that stay below a folder."""
    records = [record for part in _private_manifests(package, store, key) for record in part.records]
    manifest.check_files(records)
    return records


def _public_records(bundle: LicenseBundle, manifest: Manifest, source: Source) -> Sequence[FileRecord]:
    lists = [parse_canonical(_document(bundle, digest, source)) for digest in manifest.file_lists or ()]
    return all_records(manifest, lists)


def _private_manifests(package: Package, store: LocalBlocks, key: pyrage.x25519.Identity) -> Iterator[PrivateManifest]:
    names = {entry.name: entry.cid for entry in list_directory(package.root, store.get_block)}
    for part in range(len(names)):
        name = manifest_name(part)
        if name not in names:
            break
        sealed = b"".join(read_file(names[name], store.get_block))
        try:
            found = PrivateManifest.parse(pyrage.decrypt(sealed, [key]))
        except pyrage.DecryptError as error:
            raise _not_opened(name) from error
        if (found.manifest, found.version) != (package.manifest, package.version):
            raise DownloadRefusal(
                "download.manifest", "The package holds the files of another version.", limit=package.manifest.hex,
                actual=found.manifest.hex,
            )  # fmt: skip
        yield found


def _document(bundle: LicenseBundle, digest: Sha256, source: Source) -> bytes:
    data = bundle.bundle.documents.get(digest)
    found = source.document(digest) if data is None else data
    if Sha256.of(found) != digest:
        raise DownloadRefusal(
            "download.document", "A list of files was altered.", limit=digest.hex, actual=Sha256.of(found).hex
        )
    return found


def _write_file(folder: Path, record: FileRecord, stored: Iterator[bytes], key: pyrage.x25519.Identity | None) -> None:
    """Step 3. Nothing appears under the file's name before it is checked."""
    target = folder / record.path
    if record.path.partition("/")[0] == OWN_FOLDER:
        raise DownloadRefusal("download.path", f"{OWN_FOLDER} is used for the download itself.", actual=record.path)
    if not target.resolve().is_relative_to(folder.resolve()):
        raise DownloadRefusal(
            "download.path", "A link on the way leads out of the folder; nothing is written.", actual=record.path,
            todo="Download into an empty folder.",
        )  # fmt: skip
    partial = folder / OWN_FOLDER / "part"
    with partial.open("wb") as file:
        written = _Hashing(file)
        if key is None:
            for piece in stored:
                written.write(piece)
        else:
            _decrypt(stored, written, key, record.path)
    if (written.size, written.digest.hexdigest()) != (record.size, record.sha256.hex):
        partial.unlink()
        raise DownloadRefusal(
            "download.file", f"{record.path} is not the file that was registered.", limit=record.sha256.hex,
            actual=written.digest.hexdigest(),
        )  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(target)


def _decrypt(stored: Iterator[bytes], written: _Hashing, key: pyrage.x25519.Identity, path: str) -> None:
    pieces = _Pieces(stored)
    try:
        pyrage.decrypt_io(pieces, written, [key])
    except (pyrage.DecryptError, OSError) as error:  # age reports a damaged piece in the middle as an OSError
        if pieces.refusal is not None:
            raise pieces.refusal from error
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _not_opened(path) from error


def _not_opened(name: str) -> DownloadRefusal:
    return DownloadRefusal("download.decrypt", f"{name} cannot be decrypted with the key of this license.")


@dataclass(slots=True)
class _Hashing:
    """A file that is hashed while it is written."""

    file: BinaryIO
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


class _Pieces:
    """A readable file over pieces of bytes; age asks for a few KiB at a time."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self.refusal: Refusal | None = None

    def read(self, size: int) -> bytes:
        while not self._rest:
            try:
                piece = next(self._pieces, None)
            except Refusal as refusal:
                self.refusal = refusal  # age would only say that it could not read
                raise
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)
