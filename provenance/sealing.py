"""One file from plaintext to stored blocks, with flat memory: read, seal, cut, hash, store in one pass.

Sealed data becomes a standard age file (https://age-encryption.org/v1) for the package's recipient, so that the
ordinary `age` tool opens it; open data is stored as it is. The plaintext is hashed again on the way: what is stored is
what was checked, even if somebody touched the disk in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, Self

import pyrage

from provenance.core.cid import Cid
from provenance.core.unixfs.file import FileHasher
from provenance.core.unixfs.profile import BlockSink, Buffer, Node

PIECE = 1_048_576

_BLOCKS_IN_FLIGHT = 4

Progress = Callable[[int], None]
"""Told the plaintext bytes read so far. What it raises ends the work."""


class Source(Protocol):
    """A binary file opened for reading."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The DAG of what was stored (`node.size` counts stored bytes), and digest and size of the plaintext."""

    node: Node
    sha256: str
    size: int


def store_stream(source: Source, *, recipient: str | None, sink: BlockSink, progress: Progress) -> StoredFile:
    """Store everything that `source` yields; sealed to an age recipient, or open when it is None.

    `sink` is called from another thread, one block at a time, in order; what it raises is raised here.
    """
    reader = _Reader(source, progress)
    with _InOrder(sink) as stored:
        hasher = FileHasher(stored)
        if recipient is None:
            while piece := reader.read(PIECE):
                hasher.update(piece)
        else:
            _seal(reader, _Writer(hasher), recipient)
        node = hasher.finish()
    return StoredFile(node, reader.digest.hexdigest(), reader.size)


def seal_bytes(data: bytes, recipient: str) -> bytes:
    """Return a small document as an age file."""
    sealed: bytes = pyrage.encrypt(data, [pyrage.x25519.Recipient.from_str(recipient)])
    return sealed


def _seal(reader: _Reader, writer: _Writer, recipient: str) -> None:
    try:
        pyrage.encrypt_io(reader, writer, [pyrage.x25519.Recipient.from_str(recipient)])
    except pyrage.EncryptError as error:
        # age wraps what its streams raise into a text of its own; ours says what happened, and is caught by type.
        raise reader.failure or writer.failure or error from error


class _Reader:
    """Reads ahead in large pieces, because age asks for 8 KiB at a time, and hashes what passes."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self._source = source
        self._progress = progress
        self._rest = memoryview(b"")
        self.failure: BaseException | None = None
        self.digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = PIECE) -> bytes:
        if not self._rest:
            try:
                self._rest = memoryview(self._next())
            except BaseException as failure:
                self.failure = failure
                raise
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def _next(self) -> bytes:
        piece = self._source.read(PIECE)
        self.digest.update(piece)
        self.size += len(piece)
        self._progress(self.size)
        return piece


class _Writer:
    def __init__(self, hasher: FileHasher) -> None:
        self._hasher = hasher
        self.failure: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            self._hasher.update(data)
        except BaseException as failure:
            self.failure = failure
            raise
        return len(data)

    def flush(self) -> None:
        return None


class _InOrder:
    """A sink that stores in another thread while the next block is sealed; holds four blocks at most."""

    def __init__(self, sink: BlockSink) -> None:
        self._sink = sink
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._flying: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._wait(0)
        finally:
            self._pool.shutdown(cancel_futures=True)

    def __call__(self, cid: Cid, block: Buffer) -> None:
        # The buffer is the hasher's own and is reused, so the thread gets a copy.
        self._flying.append(self._pool.submit(self._sink, cid, bytes(block)))
        self._wait(_BLOCKS_IN_FLIGHT)

    def _wait(self, left: int) -> None:
        while len(self._flying) > left:
            self._flying.pop(0).result()
