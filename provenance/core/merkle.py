"""Merkle trees of RFC 6962 and RFC 9162: roots, inclusion proofs, consistency proofs.

    leaf = SHA-256(0x00 ‖ data)      node = SHA-256(0x01 ‖ left ‖ right)

A hash is addressed by (level, index): it covers the 2^level leaves from index · 2^level on. Only complete subtrees
have an address and are ever stored; every root and proof is folded from them, so a proof in a log of a million
entries reads about twenty hashes. Proofs are made for the size of a checkpoint, never for the current size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from provenance.core.refusal import Refusal

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

GetHash = Callable[[int, int], bytes]
"""(level, index) -> hash of that complete subtree."""


class MerkleRefusal(Refusal):
    """A proof does not prove what it claims, or cannot be made."""


@dataclass(frozen=True, slots=True)
class Subtree:
    """The hash of a complete subtree and where it stands."""

    level: int
    index: int
    hash: bytes


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: all that is needed to append to it and to know its root.

    `peaks` are the hashes of the complete subtrees that make up the tree, largest first, one for each bit of `size`.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise MerkleRefusal(
                "merkle.frontier",
                "A frontier has one hash for each bit of its size.",
                limit=self.size.bit_count(),
                actual=len(self.peaks),
            )

    @classmethod
    def of(cls, size: int, get_hash: GetHash) -> Frontier:
        """Read the right edge of a stored tree."""
        return cls(size, tuple(get_hash(level, index) for level, index in _decomposed(0, size)))

    def grow(self, leaf_hashes: Iterable[bytes]) -> tuple[Frontier, list[Subtree]]:
        """Append leaves; return the new frontier and every subtree that became complete, in order of completion."""
        size, peaks = self.size, list(self.peaks)
        completed: list[Subtree] = []
        for leaf in leaf_hashes:
            hashed, level, index = leaf, 0, size
            completed.append(Subtree(0, index, hashed))
            while index & 1:
                hashed = node_hash(peaks.pop(), hashed)
                level, index = level + 1, index >> 1
                completed.append(Subtree(level, index, hashed))
            peaks.append(hashed)
            size += 1
        return Frontier(size, tuple(peaks)), completed

    @property
    def root(self) -> bytes:
        """The root of the tree; of an empty one, SHA-256 of nothing."""
        return _folded(self.peaks)


class MerkleTree:
    """A tree held in memory, for manifests and tests: 64 bytes a leaf. `get_hash` addresses complete subtrees."""

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        self._frontier = Frontier()
        self.extend(leaf_hashes)

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Append leaves."""
        self._frontier, completed = self._frontier.grow(leaf_hashes)
        for subtree in completed:
            if subtree.level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[subtree.level] += subtree.hash

    def __len__(self) -> int:
        return self._frontier.size

    @property
    def root(self) -> bytes:
        """The root over all leaves."""
        return self._frontier.root

    def get_hash(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree. Raises MerkleRefusal where there is none."""
        row = self._levels[level] if level < len(self._levels) else b""
        found = bytes(row[index * HASH_BYTES : (index + 1) * HASH_BYTES])
        if len(found) != HASH_BYTES:
            raise MerkleRefusal(
                "merkle.incomplete", "The tree has no such complete subtree.", actual=f"{level}/{index}"
            )
        return found

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the proof for the leaf at `index` in the tree of `size` leaves, by default all."""
        return inclusion_proof(index, len(self) if size is None else size, self.get_hash)


def tree_root(size: int, get_hash: GetHash) -> bytes:
    """Return the root of the first `size` leaves of a stored tree."""
    return _range_hash(0, size, get_hash)


def inclusion_proof(index: int, size: int, get_hash: GetHash) -> list[bytes]:
    """Return the audit path of RFC 6962 section 2.1.1 for leaf `index` in the tree of `size` leaves, leaf first.

    Raises MerkleRefusal when the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise MerkleRefusal("merkle.index", "The tree has no such leaf.", limit=size, actual=index)
    start, end = 0, size
    path: list[bytes] = []
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            path.append(_range_hash(split, end, get_hash))
            end = split
        else:
            path.append(_range_hash(start, split, get_hash))
            start = split
    return path[::-1]


def consistency_proof(size1: int, size2: int, get_hash: GetHash) -> list[bytes]:
    """Return the proof of RFC 6962 section 2.1.2 that the tree of `size1` leaves is a prefix of that of `size2`.

    An empty tree is a prefix of everything and proves nothing: `size1` 0 is refused. Raises MerkleRefusal.
    """
    _check_sizes(size1, size2)
    start, end = 0, size2
    path: list[bytes] = []
    while size1 != end:
        split = start + _split(end - start)
        if size1 <= split:
            path.append(_range_hash(split, end, get_hash))
            end = split
        else:
            path.append(_range_hash(start, split, get_hash))
            start = split
    if start:
        path.append(_range_hash(start, end, get_hash))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Accept `proof` only if the leaf with hash `leaf` stands at `index` in the tree of `size` leaves with `root`.

    Without a verified signature over size and root this proves nothing. Source: RFC 9162 section 2.1.3.2.
    Raises MerkleRefusal.
    """
    if not 0 <= index < size:
        raise MerkleRefusal("merkle.index", "The tree has no such leaf.", limit=size, actual=index)
    _check_hashes([leaf, root, *proof])
    position, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise _wrong_length(proof, "inclusion")
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise _wrong_length(proof, "inclusion")
    if computed != root:
        raise MerkleRefusal(
            "merkle.inclusion", "The inclusion proof leads to another root.", limit=root.hex(), actual=computed.hex()
        )


def verify_consistency(size1: int, root1: bytes, size2: int, root2: bytes, proof: Sequence[bytes]) -> None:
    """Accept `proof` only if the first tree is a prefix of the second.

    Source: RFC 9162 section 2.1.4.2, which leaves out what is added here: `size1` 0 is refused, because an empty tree
    is consistent with every tree. Raises MerkleRefusal.
    """
    _check_sizes(size1, size2)
    _check_hashes([root1, root2, *proof])
    if size1 == size2:
        if proof or root1 != root2:
            raise MerkleRefusal(
                "merkle.consistency", "Two trees of one size have two roots.", limit=root1.hex(), actual=root2.hex()
            )
        return
    path = list(proof)
    if size1 & (size1 - 1) == 0:
        path.insert(0, root1)
    first, second = _consistent_roots(size1, size2, path)
    if first != root1 or second != root2:
        raise MerkleRefusal(
            "merkle.consistency",
            "The later tree does not contain the earlier one.",
            limit=root2.hex(),
            actual=second.hex(),
        )


def _consistent_roots(size1: int, size2: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    if not path:
        raise _wrong_length(path, "consistency")
    position, last = size1 - 1, size2 - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise _wrong_length(path, "consistency")
        if position & 1 or position == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise _wrong_length(path, "consistency")
    return first, second


def _check_sizes(size1: int, size2: int) -> None:
    if size1 < 1:
        raise MerkleRefusal(
            "merkle.size", "An empty tree is consistent with every tree and proves nothing.", actual=size1
        )
    if size1 > size2:
        raise MerkleRefusal("merkle.size", "The earlier tree is larger than the later one.", limit=size2, actual=size1)


def _check_hashes(hashes: Iterable[bytes]) -> None:
    for each in hashes:
        if len(each) != HASH_BYTES:
            raise MerkleRefusal("merkle.hash", "A hash in a proof has 32 bytes.", limit=HASH_BYTES, actual=len(each))


def _wrong_length(proof: Sequence[bytes], kind: str) -> MerkleRefusal:
    return MerkleRefusal(f"merkle.{kind}", f"The {kind} proof has too few or too many hashes.", actual=len(proof))


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _decomposed(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (level, index) of the complete subtrees that make up [start, end), largest first.

    `start` is a multiple of the largest of them, as it is wherever RFC 6962 splits a tree.
    """
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _range_hash(start: int, end: int, get_hash: GetHash) -> bytes:
    return _folded([get_hash(level, index) for level, index in _decomposed(start, end)])


def _folded(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root
