"""dag-pb blocks and the UnixFS message inside them, written byte for byte as Kubo writes them.

Sources: the dag-pb specification (Links before Data, every link with a Name) and the UnixFS protobuf schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from provenance.core.cid import Cid, CidRefusal, read_varint, varint
from provenance.core.unixfs.profile import BLOCK_LIMIT, UnixFsRefusal

_FS_TYPE, _FS_FILE_SIZE, _FS_HASH, _FS_FANOUT = 1, 3, 5, 6


class FsType(IntEnum):
    """What a UnixFS node is."""

    RAW = 0
    DIRECTORY = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    HAMT_SHARD = 5


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a dag-pb node; `tsize` counts the bytes of all blocks below it."""

    cid: Cid
    name: str
    tsize: int


@dataclass(frozen=True, slots=True)
class FsData:
    """The UnixFS message of a node. `data` is inline content, or the bit field of a HAMT shard."""

    type: FsType
    data: bytes = b""
    file_size: int | None = None
    block_sizes: tuple[int, ...] = ()
    hash_type: int | None = None
    fanout: int | None = None


@dataclass(frozen=True, slots=True)
class FsNode:
    """A dag-pb block read as a UnixFS node."""

    data: FsData
    links: tuple[Link, ...]


def encode_link(cid: Cid, name: str, tsize: int) -> bytes:
    """Return one PBLink with its field header, as it stands in the block. An empty name is written too."""
    raw_cid, raw_name = bytes(cid), name.encode("utf-8")
    body = (
        b"\x0a" + varint(len(raw_cid)) + raw_cid + b"\x12" + varint(len(raw_name)) + raw_name + b"\x18" + varint(tsize)
    )
    return b"\x12" + varint(len(body)) + body


def encode_data(data: FsData) -> bytes:
    """Return the UnixFS message, fields in the order of their numbers, absent ones left out."""
    out = bytearray(b"\x08" + varint(data.type))
    if data.data:
        out += b"\x12" + varint(len(data.data)) + data.data
    if data.file_size is not None:
        out += b"\x18" + varint(data.file_size)
    for size in data.block_sizes:
        out += b"\x20" + varint(size)
    if data.hash_type is not None:
        out += b"\x28" + varint(data.hash_type)
    if data.fanout is not None:
        out += b"\x30" + varint(data.fanout)
    return bytes(out)


def encode_node(links: Sequence[bytes], data: bytes) -> bytes:
    """Return the block of a node from its encoded links, in order, and its encoded UnixFS message."""
    return b"".join(links) + b"\x0a" + varint(len(data)) + data


def decode_node(block: bytes) -> FsNode:
    """Read a dag-pb block that holds a UnixFS node.

    Unknown fields, repeated messages and blocks above 2 MiB are refused. Raises UnixFsRefusal or CidRefusal.
    """
    if len(block) > BLOCK_LIMIT:
        raise UnixFsRefusal("block.too_large", "A block is too large.", limit=BLOCK_LIMIT, actual=len(block))
    links: list[Link] = []
    message: bytes | None = None
    for field, value in _fields(block):
        match field, value:
            case (2, bytes()):
                links.append(_decode_link(value))
            case (1, bytes()) if message is None:
                message = value
            case _:
                raise _malformed("node", field)
    if message is None:
        raise UnixFsRefusal("unixfs.no_data", "The dag-pb block holds no UnixFS message.")
    return FsNode(_decode_data(message), tuple(links))


def _decode_link(raw: bytes) -> Link:
    cid: Cid | None = None
    name, tsize = "", 0
    seen: set[int] = set()
    for field, value in _fields(raw):
        if field in seen:
            raise _malformed("link", field)
        seen.add(field)
        match field, value:
            case (1, bytes()):
                cid = Cid.from_bytes(value)
            case (2, bytes()):
                name = _text(value)
            case (3, int()):
                tsize = value
            case _:
                raise _malformed("link", field)
    if cid is None:
        raise UnixFsRefusal("unixfs.link_without_cid", "A link of a dag-pb block names no CID.")
    return Link(cid, name, tsize)


def _decode_data(raw: bytes) -> FsData:
    numbers: dict[int, int] = {}
    content = b""
    sizes: list[int] = []
    for field, value in _fields(raw):
        match field, value:
            case (2, bytes()):
                content = value
            case (4, int()):
                sizes.append(value)
            case (1 | 3 | 5 | 6 | 7, int()) if field not in numbers:
                numbers[field] = value
            case (8, bytes()):
                continue  # a modification time: metadata that this profile does not use
            case _:
                raise _malformed("UnixFS message", field)
    try:
        kind = FsType(numbers[_FS_TYPE])
    except (KeyError, ValueError) as error:
        raise UnixFsRefusal("unixfs.type", "The UnixFS type is unknown.", actual=numbers.get(_FS_TYPE)) from error
    return FsData(
        kind, content, numbers.get(_FS_FILE_SIZE), tuple(sizes), numbers.get(_FS_HASH), numbers.get(_FS_FANOUT)
    )


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(raw):
        try:
            key, at = read_varint(raw, at)
            value, at = read_varint(raw, at)
        except CidRefusal as error:
            raise UnixFsRefusal("unixfs.protobuf", "A dag-pb block is cut off.", actual=at) from error
        match key & 7:
            case 0:
                yield key >> 3, value
            case 2:
                if at + value > len(raw):
                    raise UnixFsRefusal("unixfs.protobuf", "A dag-pb block is cut off.", actual=len(raw))
                yield key >> 3, raw[at : at + value]
                at += value
            case other:
                raise UnixFsRefusal("unixfs.protobuf", "A dag-pb block has a field of another kind.", actual=other)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnixFsRefusal("unixfs.name", "A link name is not valid UTF-8.", actual=raw[:40].hex()) from error


def _malformed(where: str, field: int) -> UnixFsRefusal:
    return UnixFsRefusal("unixfs.protobuf", f"A dag-pb {where} has an unexpected or repeated field.", actual=field)
