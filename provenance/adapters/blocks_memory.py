"""A content store in memory: for tests, for the verifier's scratch space, and as the plainest reading of the port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from provenance.adapters.dag import absent_blocks, car_blocks
from provenance.core.cid import Cid, verify_block
from provenance.ports import Stored, StoreHealth, StoreRefusal


class MemoryBlocks:
    """Blocks in a dictionary. `capacity` bytes, None without a limit."""

    def __init__(self, name: str = "memory", *, capacity: int | None = None) -> None:
        self.name = name
        self._capacity = capacity
        self._blocks: dict[Cid, bytes] = {}
        self._bytes = 0
        self._pins: dict[Cid, bool] = {}

    def put_block(self, cid: Cid, data: bytes | bytearray | memoryview) -> None:
        """See ContentStore."""
        verify_block(cid, data)
        if cid in self._blocks:
            return
        if self._capacity is not None and self._bytes + len(data) > self._capacity:
            raise StoreRefusal(
                "store.full", f"The store {self.name} has no room for the block.",
                limit=self._capacity, actual=self._bytes + len(data), todo="Add capacity or unpin data.",
            )  # fmt: skip
        self._blocks[cid] = bytes(data)
        self._bytes += len(data)

    def get_block(self, cid: Cid) -> bytes:
        """See ContentStore."""
        try:
            return self._blocks[cid]
        except KeyError:
            raise StoreRefusal("store.missing", f"The store {self.name} does not hold the block {cid}.") from None

    def has(self, cid: Cid) -> bool:
        """See ContentStore."""
        return cid in self._blocks

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
        self._pins[root] = announce

    def unpin(self, root: Cid) -> None:
        """See ContentStore."""
        self._pins.pop(root, None)

    def pins(self) -> Iterator[Cid]:
        """See ContentStore."""
        yield from tuple(self._pins)

    def announced(self, root: Cid) -> bool:
        """See ContentStore."""
        return self._pins.get(root, False)

    def delete(self, cids: Iterable[Cid]) -> int:
        """See ContentStore."""
        gone = [self._blocks.pop(cid) for cid in cids if cid in self._blocks]
        self._bytes -= sum(map(len, gone))
        return len(gone)

    def health(self) -> StoreHealth:
        """See ContentStore."""
        free = None if self._capacity is None else self._capacity - self._bytes
        return StoreHealth(ok=True, blocks=len(self._blocks), bytes=self._bytes, free=free)
