"""Folders too large for one block: a trie over the hash of the name, 256 ways per level.

1. Hash each name with murmur3-x64-64; its n-th byte, big-endian, chooses the slot at level n.
2. A slot with one name links straight to it, as the slot in two upper-case hex digits followed by the name.
   A slot with several links to a shard of the next level, named by the two digits alone.
3. The bit field says which slots are taken, slot 0 in its last bit, leading zero bytes stripped.

Source: the UnixFS specification of HAMT directories; Kubo's go-bitfield.
"""

from __future__ import annotations

from collections.abc import Sequence

from provenance.core.cid import Cid, Codec
from provenance.core.murmur3 import murmur3_x64_64
from provenance.core.unixfs.dagpb import FsData, FsType, encode_data, encode_link, encode_node
from provenance.core.unixfs.profile import HAMT_FANOUT, BlockSink, Node, UnixFsRefusal

HASH_TYPE = 0x22
PREFIX_DIGITS = 2
LEVELS = 8

Child = tuple[bytes, str, Cid, int]
"""Name in UTF-8, name, CID, Tsize."""


def build_shard(children: Sequence[Child], sink: BlockSink | None = None) -> Node:
    """Return the root shard over children with distinct names; `size` is left at 0. Raises UnixFsRefusal."""
    return _shard([(murmur3_x64_64(child[0]), child) for child in children], 0, sink)


def slot_prefix(slot: int) -> str:
    """Return the slot as it begins a link's name."""
    return f"{slot:02X}"


def bit_field(slots: Sequence[int]) -> bytes:
    """Return step 3 for the taken slots."""
    field = sum(1 << slot for slot in slots)
    return field.to_bytes((field.bit_length() + 7) // 8, "big")


def _shard(hashed: Sequence[tuple[bytes, Child]], level: int, sink: BlockSink | None) -> Node:
    if level == LEVELS:
        raise UnixFsRefusal("folder.hash_collision", "Names collide in all 64 bits of their hash.", limit=LEVELS)
    slots: dict[int, list[tuple[bytes, Child]]] = {}
    for item in hashed:
        slots.setdefault(item[0][level], []).append(item)
    links: list[bytes] = []
    total = 0
    taken = sorted(slots)
    for slot in taken:
        members = slots[slot]
        if len(members) == 1:
            _, (_, name, cid, tsize) = members[0]
            links.append(encode_link(cid, slot_prefix(slot) + name, tsize))
        else:
            below = _shard(members, level + 1, sink)
            tsize = below.tsize
            links.append(encode_link(below.cid, slot_prefix(slot), tsize))
        total += tsize
    field = bit_field(taken)
    data = encode_data(FsData(FsType.HAMT_SHARD, data=field, hash_type=HASH_TYPE, fanout=HAMT_FANOUT))
    block = encode_node(links, data)
    cid = Cid.of(block, Codec.DAG_PB)
    if sink is not None:
        sink(cid, block)
    return Node(cid, len(block) + total, 0)
