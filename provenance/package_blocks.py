"""Which CIDs belong to a package: walked once, kept as a sorted file, asked by binary search.

A package of 200 GiB has about 200,000 blocks, so the file has 6 MiB and an answer reads some pages of it. Files can be
made again from the store at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import tempfile
from pathlib import Path

from provenance.adapters.dag import dag_cids
from provenance.core.cid import Cid
from provenance.limits import var_dir
from provenance.ports import ContentStore

_WIDTH = 32


def holds(root: Cid, cid: Cid, store: ContentStore) -> bool:
    """Say whether `cid` is a block of the DAG under `root`. Raises StoreRefusal while the store lacks part of it."""
    if cid == root:
        return True
    path = _directory() / f"{root}.cids"
    if not path.exists():
        _walk(root, store, path)
    return _found(path, _entry(cid))


def _directory() -> Path:
    return var_dir() / "package-blocks"


def _walk(root: Cid, store: ContentStore, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f"{root}.lock").open("w") as lock:
        # A downloader asks with many connections at once; one of them walks.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        entries = sorted(_entry(cid) for cid in dag_cids(root, store))
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(b"".join(entries))
        Path(temporary).replace(path)


def _found(path: Path, entry: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as entries:
        low, high = 0, len(entries) // _WIDTH
        while low < high:
            middle = (low + high) // 2
            if entries[middle * _WIDTH : (middle + 1) * _WIDTH] < entry:
                low = middle + 1
            else:
                high = middle
        return entries[low * _WIDTH : (low + 1) * _WIDTH] == entry


def _entry(cid: Cid) -> bytes:
    # CIDs differ in length (identity CIDs carry their bytes); their digests do not.
    return hashlib.sha256(str(cid).encode()).digest()
