"""The log as static files: hash tiles of height 8 and bundles of entries. Source: c2sp.org/tlog-tiles.

A tile at level L holds up to 256 hashes; its i-th hash covers 256^L entries. Full tiles never change; the partial
ones at the right edge are written anew, under another name, whenever a checkpoint of that size is signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from provenance.core.merkle import HASH_BYTES, GetHash, node_hash
from provenance.core.refusal import Refusal

HEIGHT = 8
WIDTH = 256
LEVEL_LIMIT = 63
ENTRY_LIMIT = 65_535
"""What the two-byte length of a bundle can say; entries themselves end at 16 KiB."""

_LEVELS = 8  # 256^8 = 2^64 entries
_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class TileRefusal(Refusal):
    """A tile or bundle is malformed, absent, or asked for under an impossible name."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A tile, or with level None a bundle of entries: number `index` of its level, `width` of 256 filled."""

    level: int | None
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        if self.level is not None and not 0 <= self.level <= LEVEL_LIMIT:
            raise TileRefusal(
                "tile.level", "A tile's level lies between 0 and 63.", limit=LEVEL_LIMIT, actual=self.level
            )
        if self.index < 0 or not 1 <= self.width <= WIDTH:
            raise TileRefusal("tile.width", "A tile holds between 1 and 256 hashes.", limit=WIDTH, actual=self.width)

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Read a path such as `tile/0/x001/234.p/112`. One tile has one path. Raises TileRefusal."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise TileRefusal("tile.path", "The path names no tile.", actual=path[:80])
        level, number, width = found.groups()
        tile = cls(
            None if level == "entries" else int(level),
            int(number.replace("x", "").replace("/", "")),
            WIDTH if width is None else int(width),
        )
        if tile.path != path:
            raise TileRefusal("tile.path", "The path is not how this tile is named.", limit=tile.path, actual=path[:80])
        return tile

    @property
    def path(self) -> str:
        """The path below the log's prefix."""
        level = "entries" if self.level is None else str(self.level)
        groups = [f"{self.index % 1000:03}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03}")
            rest //= 1000
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"

    @property
    def is_full(self) -> bool:
        """Whether the tile will never change."""
        return self.width == WIDTH


def new_tiles(old_size: int, new_size: int) -> Iterator[Tile]:
    """Yield the tiles, without bundles, to write when a log grows: those that gained a hash, lowest level first."""
    for level in range(_LEVELS):
        old, new = old_size >> HEIGHT * level, new_size >> HEIGHT * level
        if new == 0:
            return
        yield from _grown(level, old, new)


def new_bundles(old_size: int, new_size: int) -> Iterator[Tile]:
    """Yield the entry bundles to write when a log grows."""
    yield from _grown(None, old_size, new_size)


def tiles_of(size: int) -> Iterator[Tile]:
    """Yield every tile of a log of `size` entries, lowest level first."""
    yield from new_tiles(0, size)


def tile_bytes(tile: Tile, get_hash: GetHash) -> bytes:
    """Return the content of a hash tile: 32 bytes a hash. Raises TileRefusal for a bundle."""
    if tile.level is None:
        raise TileRefusal("tile.bundle", "A bundle holds entries, not hashes.", actual=tile.path)
    first = tile.index * WIDTH
    return b"".join(get_hash(tile.level * HEIGHT, first + offset) for offset in range(tile.width))


def bundle_bytes(entries: Iterable[bytes]) -> bytes:
    """Return a bundle: each entry behind its length in two big-endian bytes. Raises TileRefusal."""
    pieces: list[bytes] = []
    for entry in entries:
        if len(entry) > ENTRY_LIMIT:
            raise TileRefusal(
                "bundle.entry", "An entry is too long for a bundle.", limit=ENTRY_LIMIT, actual=len(entry)
            )
        pieces += (len(entry).to_bytes(2, "big"), entry)
    if not 1 <= len(pieces) // 2 <= WIDTH:
        raise TileRefusal("bundle.width", "A bundle holds 1 to 256 entries.", limit=WIDTH, actual=len(pieces) // 2)
    return b"".join(pieces)


def bundle_entries(data: bytes, width: int) -> list[bytes]:
    """Return the entries of a bundle that must hold exactly `width` of them. Raises TileRefusal."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + length]
        if at + 2 > len(data) or len(entry) != length:
            raise TileRefusal("bundle.truncated", "The bundle ends in the middle of an entry.", actual=len(entries))
        entries.append(entry)
        at += 2 + length
    if len(entries) != width:
        raise TileRefusal(
            "bundle.width", "The bundle holds another number of entries.", limit=width, actual=len(entries)
        )
    return entries


class TileReader:
    """Hashes of complete subtrees in a log of `size` entries, read from its tiles.

    `fetch` returns the bytes of a tile of exactly the width that this size implies. Tiles are kept after the first
    read. What they say is believed by nobody: proofs made from it are verified against a signed root.
    """

    def __init__(self, size: int, fetch: Callable[[Tile], bytes]) -> None:
        self._size = size
        self._fetch = fetch
        self._tiles: dict[Tile, bytes] = {}

    def get_hash(self, level: int, index: int) -> bytes:
        """Return the hash at (level, index), folding up to 7 levels inside one tile. Raises TileRefusal."""
        tile_level, rise = divmod(level, HEIGHT)
        first = index << rise
        filled = self._size >> HEIGHT * tile_level
        if first + (1 << rise) > filled:
            raise TileRefusal("tile.incomplete", "The log has no such complete subtree.", limit=filled, actual=first)
        number, offset = divmod(first, WIDTH)
        tile = Tile(tile_level, number, min(WIDTH, filled - number * WIDTH))
        data = self._read(tile)
        row = [data[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(offset, offset + (1 << rise))]
        return _folded(row)

    def _read(self, tile: Tile) -> bytes:
        found = self._tiles.get(tile)
        if found is None:
            found = self._fetch(tile)
            if len(found) != tile.width * HASH_BYTES:
                raise TileRefusal(
                    "tile.length", "A tile has another length.", limit=tile.width * HASH_BYTES, actual=len(found)
                )
            self._tiles[tile] = found
        return found


def _grown(level: int | None, old: int, new: int) -> Iterator[Tile]:
    if new <= old:
        return
    for index in range(old // WIDTH, (new + WIDTH - 1) // WIDTH):
        yield Tile(level, index, min(WIDTH, new - index * WIDTH))


def _folded(row: Sequence[bytes]) -> bytes:
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]
