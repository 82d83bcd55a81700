"""Files and folders read back from blocks that anybody may have sent.

Needs only `get(cid) -> bytes`. Every block is re-hashed before it is looked at, every size that a parent states is
compared with what its child holds, and depth, fanout and block size are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provenance.core.cid import Cid, Codec, verify_block
from provenance.core.murmur3 import murmur3_x64_64
from provenance.core.unixfs.dagpb import FsData, FsNode, FsType, Link, decode_node
from provenance.core.unixfs.directory import DEPTH_LIMIT, split_path
from provenance.core.unixfs.hamt import HASH_TYPE, LEVELS, PREFIX_DIGITS, bit_field, slot_prefix
from provenance.core.unixfs.profile import BLOCK_LIMIT, HAMT_FANOUT, GetBlock, UnixFsRefusal

# 1,024 to the seventh chunks of one byte exceed any file that a 64-bit size can state.
_FILE_DEPTH_LIMIT = 16


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One name in a folder. `tsize` counts block bytes below it, as its folder states them."""

    name: str
    cid: Cid
    tsize: int


def fetch(cid: Cid, get: GetBlock) -> bytes:
    """Return the block that `cid` names, re-hashed. Raises CidRefusal, UnixFsRefusal."""
    block = get(cid)
    if len(block) > BLOCK_LIMIT:
        raise UnixFsRefusal("block.too_large", "A block is too large.", limit=BLOCK_LIMIT, actual=len(block))
    verify_block(cid, block)
    return block


def is_directory(cid: Cid, get: GetBlock) -> bool:
    """Say whether the DAG is a folder, sharded or not."""
    if cid.codec is Codec.RAW:
        return False
    return decode_node(fetch(cid, get)).data.type in {FsType.DIRECTORY, FsType.HAMT_SHARD}


def file_size(cid: Cid, get: GetBlock) -> int:
    """Return the bytes of a file, reading its root block only. Raises UnixFsRefusal for a folder."""
    block = fetch(cid, get)
    if cid.codec is Codec.RAW:
        return len(block)
    return _stated_size(_file_node(block))


def read_file(cid: Cid, get: GetBlock, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of a file from `start` up to `stop`, a chunk at a time, fetching only the blocks in between.

    Nothing is yielded from a block before it is checked. Raises CidRefusal, UnixFsRefusal.
    """
    block = fetch(cid, get)
    if cid.codec is Codec.RAW:
        yield _Range(start, stop).cut(block, 0)
        return
    yield from _read_node(_file_node(block), get, _Range(start, stop), 0, 0)


def list_directory(cid: Cid, get: GetBlock) -> Iterator[DirectoryEntry]:
    """Yield the entries of one folder: by name bytes, or in hash order when it is sharded.

    Raises UnixFsRefusal for a file, for names that are impossible, repeated or out of place.
    """
    node = decode_node(fetch(cid, get))
    match node.data.type:
        case FsType.DIRECTORY:
            yield from _plain_entries(node)
        case FsType.HAMT_SHARD:
            yield from _shard_entries(node, get, b"")
        case other:
            raise UnixFsRefusal("folder.not_a_folder", "The CID does not name a folder.", actual=other.name.lower())


def resolve(cid: Cid, path: str, get: GetBlock) -> Cid:
    """Return the CID at a `/`-separated path below a folder. Raises UnixFsRefusal with `folder.not_found`."""
    for name in split_path(path):
        node = decode_node(fetch(cid, get)) if cid.codec is Codec.DAG_PB else None
        match node.data.type if node is not None else None:
            case FsType.DIRECTORY if node is not None:
                found = next((entry.cid for entry in _plain_entries(node) if entry.name == name), None)
            case FsType.HAMT_SHARD if node is not None:
                found = _look_up(node, name, get)
            case _:
                found = None
        if found is None:
            raise UnixFsRefusal("folder.not_found", "The folder has no such path.", actual=path)
        cid = found
    return cid


def walk_files(cid: Cid, get: GetBlock, path: str = "") -> Iterator[tuple[str, Cid]]:
    """Yield every file below a folder with its path. A file yields itself under `path`. Raises UnixFsRefusal."""
    if path.count("/") >= DEPTH_LIMIT:
        raise UnixFsRefusal("folder.depth", "A folder is nested too deeply.", limit=DEPTH_LIMIT)
    if not is_directory(cid, get):
        yield path, cid
        return
    for entry in list_directory(cid, get):
        yield from walk_files(entry.cid, get, f"{path}/{entry.name}" if path else entry.name)


def walk_blocks(cid: Cid, get: GetBlock) -> Iterator[tuple[Cid, bytes]]:
    """Yield every distinct block of a DAG, parents first and children in order: the order of a CAR export."""
    seen: set[Cid] = set()
    waiting = [cid]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        block = fetch(current, get)
        yield current, block
        if current.codec is Codec.DAG_PB:
            waiting.extend(link.cid for link in reversed(decode_node(block).links))


def _file_node(block: bytes) -> FsNode:
    node = decode_node(block)
    match node.data.type:
        case FsType.FILE | FsType.RAW:
            pass
        case other:
            raise UnixFsRefusal("file.not_a_file", "The CID does not name a file.", actual=other.name.lower())
    if len(node.links) != len(node.data.block_sizes):
        raise UnixFsRefusal(
            "file.sizes",
            "A file node does not state one size for each child.",
            limit=len(node.links),
            actual=len(node.data.block_sizes),
        )
    return node


def _stated_size(node: FsNode) -> int:
    size = len(node.data.data) + sum(node.data.block_sizes)
    if node.data.file_size not in {None, size}:
        raise UnixFsRefusal(
            "file.sizes", "A file node's size is not the sum of its parts.", limit=size, actual=node.data.file_size
        )
    return size


@dataclass(frozen=True, slots=True)
class _Range:
    """The bytes of a file that are wanted: from `start` up to `stop`, or to the end."""

    start: int
    stop: int | None

    def touches(self, base: int, size: int) -> bool:
        return base + size > self.start and (self.stop is None or base < self.stop)

    def cut(self, piece: bytes, base: int) -> bytes:
        return piece[max(self.start - base, 0) : None if self.stop is None else max(self.stop - base, 0)]


def _read_node(node: FsNode, get: GetBlock, wanted: _Range, base: int, depth: int) -> Iterator[bytes]:
    if depth > _FILE_DEPTH_LIMIT:
        raise UnixFsRefusal("file.depth", "A file DAG is too deep.", limit=_FILE_DEPTH_LIMIT)
    _stated_size(node)
    if node.data.data:
        yield wanted.cut(node.data.data, base)
        base += len(node.data.data)
    for link, size in zip(node.links, node.data.block_sizes, strict=True):
        if wanted.touches(base, size):
            block = fetch(link.cid, get)
            child = _checked_child(link, block, size)
            if child is None:
                yield wanted.cut(block, base)
            else:
                yield from _read_node(child, get, wanted, base, depth + 1)
        base += size


def _checked_child(link: Link, block: bytes, size: int) -> FsNode | None:
    """Return the node inside a child's block, or nothing for a raw leaf, once its size is what the parent states."""
    child = None if link.cid.codec is Codec.RAW else _file_node(block)
    actual = len(block) if child is None else _stated_size(child)
    if actual != size:
        raise UnixFsRefusal(
            "file.sizes", "A part of the file is not as long as its parent states.", limit=size, actual=actual
        )
    return child


def _plain_entries(node: FsNode) -> Iterator[DirectoryEntry]:
    seen: set[str] = set()
    for link in node.links:
        if len(split_path(link.name)) != 1 or link.name in seen:
            raise UnixFsRefusal("folder.name", "A folder repeats a name or nests one.", actual=link.name[:80])
        seen.add(link.name)
        yield DirectoryEntry(link.name, link.cid, link.tsize)


def _shard_entries(node: FsNode, get: GetBlock, above: bytes) -> Iterator[DirectoryEntry]:
    for slot, name, link in _slots(node):
        here = above + bytes([slot])
        if not name:
            yield from _shard_entries(_sub_shard(link, get, len(here)), get, here)
            continue
        # A name in a foreign slot would be listed but never found: two readers would see two folders.
        if len(split_path(name)) != 1 or murmur3_x64_64(name.encode("utf-8"))[: len(here)] != here:
            raise UnixFsRefusal("folder.hamt", "A sharded folder holds a name in the wrong place.", actual=name[:80])
        yield DirectoryEntry(name, link.cid, link.tsize)


def _look_up(node: FsNode, name: str, get: GetBlock) -> Cid | None:
    hashed = murmur3_x64_64(name.encode("utf-8"))
    for level in range(LEVELS):
        found = {slot: (held, link) for slot, held, link in _slots(node)}.get(hashed[level])
        if found is None:
            return None
        held, link = found
        if held:
            return link.cid if held == name else None
        node = _sub_shard(link, get, level + 1)
    return None


def _sub_shard(link: Link, get: GetBlock, level: int) -> FsNode:
    if level >= LEVELS:
        raise UnixFsRefusal("folder.hamt", "A sharded folder is deeper than its hash.", limit=LEVELS)
    node = decode_node(fetch(link.cid, get))
    if node.data.type is not FsType.HAMT_SHARD:
        raise UnixFsRefusal("folder.hamt", "A shard of a folder is not a shard.", actual=node.data.type.name.lower())
    return node


def _slots(node: FsNode) -> Iterator[tuple[int, str, Link]]:
    _check_shard(node.data)
    slots: list[int] = []
    for link in node.links:
        digits, name = link.name[:PREFIX_DIGITS], link.name[PREFIX_DIGITS:]
        slot = int(digits, 16) if len(digits) == PREFIX_DIGITS and all(c in "0123456789ABCDEF" for c in digits) else -1
        if slot < 0 or slot_prefix(slot) != digits or (slots and slot <= slots[-1]):
            raise UnixFsRefusal("folder.hamt", "The slots of a sharded folder are malformed.", actual=link.name[:80])
        slots.append(slot)
        yield slot, name, link
    if bit_field(slots) != node.data.data:
        raise UnixFsRefusal("folder.hamt", "The bit field of a sharded folder does not match its links.")


def _check_shard(data: FsData) -> None:
    if data.hash_type != HASH_TYPE or data.fanout != HAMT_FANOUT:
        raise UnixFsRefusal(
            "folder.hamt", "A sharded folder uses another hash or fanout.", limit=HAMT_FANOUT, actual=data.fanout
        )
