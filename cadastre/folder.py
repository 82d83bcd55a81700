"""Files and folders on this machine, as datasets see them: relative paths, sizes, CIDs."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provenance.core.refusal import Refusal
from provenance.core.unixfs.directory import build_tree
from provenance.core.unixfs.file import hash_file
from provenance.core.unixfs.profile import Node


class FolderRefusal(Refusal):
    """A path is not a file or folder that can be read as a dataset."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to publish: where it lies, its path inside the dataset (NFC), its bytes."""

    location: Path
    path: str
    size: int

    def sha256(self) -> str:
        """Return the SHA-256 of its bytes, as hex."""
        with self.location.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(path: Path) -> list[LocalFile]:
    """List a file, or every file below a folder, by path. Hidden files are left out, links are refused.

    Raises FolderRefusal when there is nothing to list.
    """
    if path.is_file():
        return [LocalFile(path, unicodedata.normalize("NFC", path.name), path.stat().st_size)]
    found, _ = _walk(path)
    if not found:
        raise FolderRefusal("folder.empty", f"{path} holds no files.", todo="Hidden files are not counted.")
    named = ((unicodedata.normalize("NFC", each.relative_to(path).as_posix()), each) for each in found)
    files = [LocalFile(each, name, each.stat().st_size) for name, each in named]
    return sorted(files, key=lambda file: file.path.encode("utf-8", "surrogateescape"))


def cid_of(path: Path, *, threads: int = 2, progress: Callable[[str], None] = lambda _path: None) -> Node:
    """Return the UnixFS root of a file or folder under `unixfs-v1-2025`, as `ipfs add -r` of a current Kubo names it.

    Hidden files are left out, as Kubo does. Links are refused. Raises FolderRefusal, UnixFsRefusal.
    """
    if path.is_file():
        return _hash(path, threads, progress)
    files, empty = _walk(path)
    nodes = [(each.relative_to(path).as_posix(), _hash(each, threads, progress)) for each in files]
    return build_tree(nodes, empty_directories=[each.relative_to(path).as_posix() for each in empty])


def _hash(path: Path, threads: int, progress: Callable[[str], None]) -> Node:
    progress(str(path))
    with path.open("rb") as file:
        descriptor = file.fileno()
        return hash_file(
            lambda buffer, offset: os.preadv(descriptor, [buffer], offset),
            os.fstat(descriptor).st_size,
            threads=threads,
        )


def _walk(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the visible files below a folder, and the visible folders without anything visible in them."""
    if not root.is_dir():
        raise FolderRefusal("folder.missing", f"{root} is neither a file nor a folder.")
    files: list[Path] = []
    empty: list[Path] = []
    for folder, folders, names in os.walk(root, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(folder)
        visible = [here / name for name in names if not name.startswith(".")]
        for each in [*visible, *(here / name for name in folders)]:
            if each.is_symlink() or not (each.is_file() or each.is_dir()):
                raise FolderRefusal(
                    "folder.link", f"{each} is a link, or neither file nor folder.",
                    todo="Put what it leads to in its place.",
                )  # fmt: skip
        files += visible
        if not visible and not folders and here != root:
            empty.append(here)
    return files, empty


def _raise(error: OSError) -> None:
    raise error
