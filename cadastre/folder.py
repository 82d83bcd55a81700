"""Files and folders on this machine, as datasets see them: relative paths, sizes, CIDs."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from provenance.core.refusal import Refusal
from provenance.core.unixfs.directory import build_directory, build_tree
from provenance.core.unixfs.file import hash_file
from provenance.core.unixfs.profile import Node


class FolderRefusal(Refusal):
    """A path is not a file or folder that can be read as a dataset."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to publish: where it lies, its path inside the dataset, its bytes."""

    location: Path
    path: str
    size: int

    def key(self, draft: str) -> str:
        """The idempotency key of its upload: the same file of the same draft is created once."""
        return hashlib.sha256(f"{draft}\0{self.path}\0{self.size}".encode()).hexdigest()


def files_of(path: Path) -> list[LocalFile]:
    """List a file, or every file below a folder, by path. Hidden files and what links lead to are left out.

    Raises FolderRefusal when there is nothing to list.
    """
    if path.is_file():
        return [LocalFile(location=path, path=unicodedata.normalize("NFC", path.name), size=path.stat().st_size)]
    if not path.is_dir():
        raise FolderRefusal("folder.missing", f"{path} is neither a file nor a folder.")
    found = sorted(_walk(path, path), key=lambda file: file.path.encode())
    if not found:
        raise FolderRefusal("folder.empty", f"{path} holds no files.", todo="Hidden files and links are not counted.")
    return found


def cid_of(path: Path, *, threads: int = 2, progress: Callable[[str], None] = lambda _path: None) -> Node:
    """Return the UnixFS root of a file or folder under `unixfs-v1-2025`, as `ipfs add` of a current Kubo names it.

    Links are refused and hidden files are left out, as Kubo does. Raises FolderRefusal.
    """
    if path.is_file():
        return _hash(path, threads, progress)
    if not path.is_dir():
        raise FolderRefusal("folder.missing", f"{path} is neither a file nor a folder.")
    files = [(file.path, file.location) for file in _walk(path, path, normalize=False)]
    if not files and not any(path.iterdir()):
        return build_directory({})
    nodes = [(name, _hash(location, threads, progress)) for name, location in files]
    return build_tree(nodes, empty_directories=_empty_folders(path))


def _hash(path: Path, threads: int, progress: Callable[[str], None]) -> Node:
    progress(str(path))
    with path.open("rb") as file:
        descriptor = file.fileno()

        def read_at(buffer: memoryview, offset: int) -> int:
            return os.preadv(descriptor, [buffer], offset)

        return hash_file(read_at, os.fstat(descriptor).st_size, threads=threads)


def _walk(root: Path, folder: Path, *, normalize: bool = True) -> Iterator[LocalFile]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _walk(root, entry, normalize=normalize)
        elif entry.is_file():
            name = entry.relative_to(root).as_posix()
            path = unicodedata.normalize("NFC", name) if normalize else name
            yield LocalFile(location=entry, path=path, size=entry.stat().st_size)


def _empty_folders(root: Path) -> Iterator[str]:
    for folder, _, files in os.walk(root):
        here = Path(folder)
        hidden = any(part.startswith(".") for part in here.relative_to(root).parts)
        inside = [name for name in [*files, *os.listdir(folder)] if not name.startswith(".")]
        if here != root and not hidden and not inside:
            yield here.relative_to(root).as_posix()
