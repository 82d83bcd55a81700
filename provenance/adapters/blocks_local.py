"""A content store in a directory: one file per block, readable without this program.

    blocks/<last two characters of the CID>/<CID>      the block
    pins/<CID>                                         {"announce": true|false}
    tmp/                                               what is being written

1. A block is written under `tmp` and renamed into place, so no reader sees half of it.
2. `pin` makes the DAG durable (fsync of its files and directories) before it writes the pin. Until then a power cut may
   lose blocks, and whoever put them puts them again: every stage that writes blocks is resumable.
3. A block that is read is re-hashed; one that was altered on disk is refused, and putting it again heals it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from provenance.adapters.dag import absent_blocks, car_blocks, dag_cids
from provenance.core.cid import Cid, CidRefusal, verify_block
from provenance.ports import Stored, StoreHealth, StoreRefusal

DEFAULT_RESERVE = 64 * 1_048_576
_ABANDONED_SECONDS = 3600
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LocalBlocks:
    """A block directory. The last `reserve` bytes of the disk are left to the database, which must not fail first."""

    def __init__(
        self, root: Path | str, *, name: str = "local", reserve: int = DEFAULT_RESERVE, durable: bool = True
    ) -> None:
        self.name = name
        self._root = Path(root)
        self._reserve = reserve
        self._durable = durable
        for part in ("blocks", "pins", "tmp"):
            (self._root / part).mkdir(parents=True, exist_ok=True)
        self._sweep_abandoned()

    def put_block(self, cid: Cid, data: bytes | bytearray | memoryview) -> None:
        """See ContentStore. The same bytes on disk already are left alone; others are replaced."""
        verify_block(cid, data)
        path = self._path(cid)
        with suppress(FileNotFoundError):
            if path.stat().st_size == len(data) and path.read_bytes() == data:
                return
        self._check_room(len(data))
        path.parent.mkdir(exist_ok=True)
        self._write(path, data)

    def get_block(self, cid: Cid) -> bytes:
        """See ContentStore."""
        try:
            data = self._path(cid).read_bytes()
        except FileNotFoundError:
            raise StoreRefusal("store.missing", f"The store {self.name} does not hold the block {cid}.") from None
        except OSError as error:
            raise StoreRefusal(
                "store.unreadable", f"The store {self.name} cannot read the block {cid}: {error.strerror}.",
                todo="Check the disk; the audit fetches the block from another copy.",
            ) from error  # fmt: skip
        try:
            verify_block(cid, data)
        except CidRefusal as error:
            raise StoreRefusal(
                "store.mismatch", f"The store {self.name} holds other bytes under {cid}.",
                limit=error.limit, actual=error.actual, todo="Put the block again from another copy.",
            ) from error  # fmt: skip
        return data

    def has(self, cid: Cid) -> bool:
        """See ContentStore."""
        return self._path(cid).exists()

    def put_car(self, chunks: Iterable[bytes]) -> Stored:
        """See ContentStore."""
        car = car_blocks(chunks)
        blocks = size = 0
        for cid, data in car:
            self.put_block(cid, data)
            blocks, size = blocks + 1, size + len(data)
        return Stored(car.roots, blocks, size)

    def pin(self, root: Cid, *, announce: bool) -> None:
        """See ContentStore."""
        for cid in absent_blocks(root, self):
            raise StoreRefusal("store.incomplete", f"The store {self.name} lacks the block {cid} of the DAG {root}.")
        if self._durable:
            self._make_durable(root)
        self._write(self._pin_path(root), json.dumps({"announce": announce}).encode())
        if self._durable:
            _sync(self._root / "pins")

    def unpin(self, root: Cid) -> None:
        """See ContentStore."""
        self._pin_path(root).unlink(missing_ok=True)

    def pins(self) -> Iterator[Cid]:
        """See ContentStore."""
        for entry in sorted((self._root / "pins").iterdir()):
            yield Cid.parse(entry.name)

    def announced(self, root: Cid) -> bool:
        """See ContentStore."""
        try:
            return json.loads(self._pin_path(root).read_bytes())["announce"] is True
        except FileNotFoundError:
            return False

    def delete(self, cids: Iterable[Cid]) -> int:
        """See ContentStore."""
        gone = 0
        for cid in cids:
            try:
                self._path(cid).unlink()
            except FileNotFoundError:
                continue
            gone += 1
        return gone

    def health(self) -> StoreHealth:
        """See ContentStore. Counts no blocks: a listing of millions of files is not a health check."""
        try:
            free = shutil.disk_usage(self._root).free - self._reserve
        except OSError as error:
            return StoreHealth(ok=False, cause=f"The directory of the store {self.name} is unreachable: {error}.")
        if free <= 0:
            return StoreHealth(ok=False, free=0, cause=f"The disk of the store {self.name} is full.")
        return StoreHealth(ok=True, free=free)

    def _path(self, cid: Cid) -> Path:
        text = str(cid)
        return self._root / "blocks" / text[-2:] / text

    def _pin_path(self, root: Cid) -> Path:
        return self._root / "pins" / str(root)

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(self._root).free
        if free - self._reserve < size:
            raise self._full(free)

    def _full(self, free: int) -> StoreRefusal:
        return StoreRefusal(
            "store.full", f"The disk of the store {self.name} is full.",
            limit=self._reserve, actual=free, todo="Free space or move the store; the work goes on by itself.",
        )  # fmt: skip

    def _write(self, path: Path, data: bytes | bytearray | memoryview) -> None:
        handle, temporary = tempfile.mkstemp(dir=self._root / "tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except OSError as error:
            Path(temporary).unlink(missing_ok=True)
            if error.errno in _NO_ROOM:
                raise self._full(0) from error
            raise

    def _make_durable(self, root: Cid) -> None:
        folders: set[Path] = set()
        for cid in dag_cids(root, self):
            path = self._path(cid)
            _sync(path)
            folders.add(path.parent)
        for folder in folders:
            _sync(folder)
        _sync(self._root / "blocks")

    def _sweep_abandoned(self) -> None:
        # Left by processes that were killed between steps; younger ones may belong to a living process.
        oldest = time.time() - _ABANDONED_SECONDS
        for entry in os.scandir(self._root / "tmp"):
            with suppress(FileNotFoundError):
                if entry.stat().st_mtime < oldest:
                    Path(entry.path).unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
