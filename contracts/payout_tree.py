"""The tree of payouts as docs/chain.md defines it, written a second time and plainly, for measuring and for tests."""

from collections.abc import Sequence

from eth_utils.crypto import keccak

Leaf = tuple[int, int]
"""Payee and cumulative amount."""


def leaf_hash(token: str, leaf: Leaf) -> bytes:
    """keccak256 of keccak256 of the ABI encoding of (address, uint32, uint64): three words."""
    payee, amount = leaf
    words = bytes.fromhex(token[2:]).rjust(32, b"\0") + payee.to_bytes(32, "big") + amount.to_bytes(32, "big")
    return keccak(keccak(words))


def node_hash(left: bytes, right: bytes) -> bytes:
    """keccak256 of the pair in sorted order."""
    return keccak(min(left, right) + max(left, right))


def build(token: str, leaves: Sequence[Leaf]) -> list[bytes]:
    """The array of 2n - 1 nodes; leaf k stands at 2n - 2 - k, the root at 0."""
    count = len(leaves)
    tree = [b""] * (2 * count - 1)
    for k, leaf in enumerate(leaves):
        tree[2 * count - 2 - k] = leaf_hash(token, leaf)
    for i in reversed(range(count - 1)):
        tree[i] = node_hash(tree[2 * i + 1], tree[2 * i + 2])
    return tree


def prove(tree: Sequence[bytes], k: int) -> list[bytes]:
    """Siblings of leaf k, from the leaf up."""
    i = len(tree) - 1 - k
    proof = []
    while i:
        proof.append(tree[i + 1 if i % 2 else i - 1])
        i = (i - 1) // 2
    return proof


def prove_range(tree: Sequence[bytes], first: int, count: int) -> list[bytes]:
    """Siblings that leaves `first` to `first + count - 1` lack, in the order in which `push` takes them."""
    queue = [len(tree) - 1 - k for k in range(first, first + count)]
    proof = []
    while queue[0]:
        i = queue.pop(0)
        if i % 2 == 0 and queue and queue[0] == i - 1:
            queue.pop(0)
        else:
            proof.append(tree[i + 1 if i % 2 else i - 1])
        queue.append((i - 1) // 2)
    return proof


def pack(leaves: Sequence[Leaf]) -> bytes:
    """Leaves as `push` takes them: 12 bytes each."""
    return b"".join(payee.to_bytes(4, "big") + amount.to_bytes(8, "big") for payee, amount in leaves)
