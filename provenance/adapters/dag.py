"""What every content store does with DAGs and CARs, whatever holds its blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from provenance.core.car import CarReader
from provenance.core.cid import Cid, Codec
from provenance.core.unixfs.dagpb import decode_node


class _Blocks(Protocol):
    def get_block(self, cid: Cid) -> bytes: ...

    def has(self, cid: Cid) -> bool: ...


def car_blocks(chunks: Iterable[bytes]) -> CarReader:
    """Read a CAR that arrives in pieces of any size; iterating the result checks each block."""
    return CarReader(ChunkReader(chunks).read)


def dag_cids(root: Cid, store: _Blocks) -> Iterator[Cid]:
    """Yield every distinct CID of a DAG, parents first. Leaves are named by their parents, not read."""
    seen: set[Cid] = set()
    waiting = [root]
    while waiting:
        cid = waiting.pop()
        if cid in seen:
            continue
        seen.add(cid)
        yield cid
        if cid.codec is Codec.DAG_PB:
            waiting.extend(link.cid for link in reversed(decode_node(store.get_block(cid)).links))


def absent_blocks(root: Cid, store: _Blocks) -> Iterator[Cid]:
    """Yield the CIDs of a DAG that the store lacks; what hangs under an absent node stays unknown."""
    seen: set[Cid] = set()
    waiting = [root]
    while waiting:
        cid = waiting.pop()
        if cid in seen:
            continue
        seen.add(cid)
        if not store.has(cid):
            yield cid
        elif cid.codec is Codec.DAG_PB:
            waiting.extend(link.cid for link in reversed(decode_node(store.get_block(cid)).links))


class ChunkReader:
    """A `read(n)` over pieces that arrive in other sizes; holds at most one piece."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, and no bytes at the end; a negative size reads everything."""
        if size < 0:
            return b"".join((bytes(self._rest), *self._chunks))
        while not self._rest:
            piece = next(self._chunks, None)
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)
