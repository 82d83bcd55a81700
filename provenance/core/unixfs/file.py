"""From bytes to the DAG of a file, with flat memory whatever the size.

1. Cut the bytes into chunks of 1 MiB; each chunk is a raw leaf. An empty file is one empty leaf.
2. Pack leaves, 1,024 to a node; pack those nodes the same way, level by level, until one remains.
3. A node with one child stays a node, so all leaves lie at the same depth; only a file of one chunk is a bare leaf.

Source: Kubo's balanced builder under IPIP-499.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import local

from provenance.core.cid import Cid, Codec, HashFunction
from provenance.core.unixfs.dagpb import FsData, FsType, encode_data, encode_link, encode_node
from provenance.core.unixfs.profile import CHUNK_BYTES, FILE_WIDTH, BlockSink, Buffer, Node, UnixFsRefusal

ReadAt = Callable[[memoryview, int], int]
"""Fills a buffer from a file offset and returns the count of bytes, as `os.preadv(fd, [buffer], offset)` does."""

_BATCH_CHUNKS = 8


class _Level:
    """The children of the node that is being filled."""

    __slots__ = ("links", "sizes", "tsize")

    def __init__(self) -> None:
        self.links: list[bytes] = []
        self.sizes: list[int] = []
        self.tsize = 0


class FileDag:
    """Steps 2 and 3: takes named leaves in order, keeps at most 1,024 links per level, returns the root."""

    def __init__(self, sink: BlockSink | None = None) -> None:
        self._sink = sink
        self._levels: list[_Level] = []
        self._lone: Node | None = None

    def add_leaf(self, cid: Cid, size: int) -> None:
        """Append the next leaf: a raw block of `size` bytes."""
        self._push(0, Node(cid, size, size))

    def finish(self) -> Node:
        """Pack what is left and return the root of the file. Raises UnixFsRefusal without any leaf."""
        depth = 0
        while depth < len(self._levels):
            level = self._levels[depth]
            if depth == len(self._levels) - 1 and len(level.links) == 1 and self._lone is not None:
                return self._lone
            self._push(depth + 1, self._packed(depth))
            depth += 1
        raise UnixFsRefusal("unixfs.no_leaf", "A file DAG needs at least one leaf, if only an empty one.")

    def _push(self, depth: int, node: Node) -> None:
        if depth == len(self._levels):
            self._levels.append(_Level())
            self._lone = node
        level = self._levels[depth]
        if len(level.links) == FILE_WIDTH:
            # Packed only now: a full node gets a parent when a sibling arrives, and is the root when none does.
            self._push(depth + 1, self._packed(depth))
            level = self._levels[depth]
        level.links.append(encode_link(node.cid, "", node.tsize))
        level.sizes.append(node.size)
        level.tsize += node.tsize

    def _packed(self, depth: int) -> Node:
        level = self._levels[depth]
        size = sum(level.sizes)
        data = encode_data(FsData(FsType.FILE, file_size=size, block_sizes=tuple(level.sizes)))
        block = encode_node(level.links, data)
        cid = Cid.of(block, Codec.DAG_PB)
        if self._sink is not None:
            self._sink(cid, block)
        self._levels[depth] = _Level()
        return Node(cid, len(block) + level.tsize, size)


class FileHasher:
    """All three steps for bytes that arrive in pieces of any size. Holds at most one chunk.

    `sink` receives every block, leaves included, in order.
    """

    def __init__(self, sink: BlockSink | None = None) -> None:
        self._sink = sink
        self._dag = FileDag(sink)
        self._pending = bytearray()
        self._leaves = 0

    def update(self, data: Buffer) -> None:
        """Take the next bytes of the file. Whole chunks are hashed where they lie, without a copy."""
        view = memoryview(data).cast("B")
        at = 0
        if self._pending:
            at = min(CHUNK_BYTES - len(self._pending), len(view))
            self._pending += view[:at]
            if len(self._pending) == CHUNK_BYTES:
                self._leaf(memoryview(self._pending))
                self._pending = bytearray()
        while len(view) - at >= CHUNK_BYTES:
            self._leaf(view[at : at + CHUNK_BYTES])
            at += CHUNK_BYTES
        self._pending += view[at:]

    def finish(self) -> Node:
        """Return the root of the file. Call it once."""
        if self._pending or self._leaves == 0:
            self._leaf(memoryview(self._pending))
        return self._dag.finish()

    def _leaf(self, chunk: memoryview) -> None:
        cid = Cid(Codec.RAW, HashFunction.SHA2_256, hashlib.sha256(chunk).digest())
        if self._sink is not None:
            self._sink(cid, chunk)
        self._dag.add_leaf(cid, len(chunk))
        self._leaves += 1


def hash_file(read_at: ReadAt, size: int, *, threads: int = 2, sink: BlockSink | None = None) -> Node:
    """Return the root of a file of `size` bytes that can be read at any offset, hashing chunks on several threads.

    hashlib releases the interpreter lock, so two threads on two cores take about half the time. Each holds one
    chunk. What is too short to share is hashed in the caller's thread: folders are full of small files. `sink` is
    called from those threads, leaves in no certain order. A file that ends before `size` bytes is refused as changed.
    Raises UnixFsRefusal.
    """
    chunks = max(1, -(-size // CHUNK_BYTES))
    buffers = local()

    def hash_batch(first: int) -> list[tuple[Cid, int]]:
        buffer: memoryview | None = getattr(buffers, "chunk", None)
        if buffer is None:
            buffer = buffers.chunk = memoryview(bytearray(CHUNK_BYTES))
        leaves: list[tuple[Cid, int]] = []
        for number in range(first, min(first + _BATCH_CHUNKS, chunks)):
            offset = number * CHUNK_BYTES
            chunk = buffer[: min(CHUNK_BYTES, size - offset)]
            _fill(chunk, offset, read_at, size)
            cid = Cid(Codec.RAW, HashFunction.SHA2_256, hashlib.sha256(chunk).digest())
            if sink is not None:
                sink(cid, chunk)
            leaves.append((cid, len(chunk)))
        return leaves

    dag = FileDag(sink)
    if threads == 1 or chunks <= _BATCH_CHUNKS:
        for first in range(0, chunks, _BATCH_CHUNKS):
            _add_all(dag, hash_batch(first))
        return dag.finish()
    waiting: deque[Future[list[tuple[Cid, int]]]] = deque()
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for first in range(0, chunks, _BATCH_CHUNKS):
            waiting.append(pool.submit(hash_batch, first))
            if len(waiting) > 2 * threads:
                _add_all(dag, waiting.popleft().result())
        while waiting:
            _add_all(dag, waiting.popleft().result())
    return dag.finish()


def _add_all(dag: FileDag, leaves: list[tuple[Cid, int]]) -> None:
    for cid, length in leaves:
        dag.add_leaf(cid, length)


def _fill(chunk: memoryview, offset: int, read_at: ReadAt, size: int) -> None:
    filled = 0
    while filled < len(chunk):
        count = read_at(chunk[filled:], offset + filled)
        if count <= 0:
            raise UnixFsRefusal(
                "file.changed",
                "The file became shorter while it was read.",
                limit=size,
                actual=offset + filled,
                todo="Read it again when nothing writes to it.",
            )
        filled += count
