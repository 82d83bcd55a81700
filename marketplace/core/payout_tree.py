"""The tree of cumulative payouts: one root on chain for any number of payees, claimed by one proof or pushed by range.

    leaf(token, payee, amount) = keccak256(keccak256(abi.encode(address token, uint32 payee, uint64 cumulativeAmount)))
    node(a, b)                 = keccak256(min(a, b) ‖ max(a, b))
    array of 2n - 1 hashes; tree[2n - 2 - k] = leaf k; tree[i] = node(tree[2i + 1], tree[2i + 2]); root = tree[0]

Leaves stand in ascending order of payee. This is OpenZeppelin's StandardMerkleTree with `sortLeaves: false`. The double
hash keeps an inner node from passing for a leaf. A tree of a million leaves takes three million hashes, 0.75 µs each.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

from marketplace.core.money import UNITS_LIMIT
from provenance.core.keccak import keccak256, keccak_256
from provenance.core.refusal import Refusal

PAYEE_LIMIT = 2**32 - 1
LEAF_BYTES = 12

_WORDS = struct.Struct(">I24xQ")
_PACKED = struct.Struct(">IQ")


class PayoutTreeRefusal(Refusal):
    """A tree that cannot be built, or a proof that does not prove what it claims."""


class PayoutTree:
    """All hashes of one tree in memory, 64 bytes and two objects a leaf. Build it once, then ask for proofs."""

    __slots__ = ("_leaves", "_nodes")

    def __init__(self, leaves: Sequence[tuple[int, int]], nodes: list[bytes]) -> None:
        self._leaves = leaves
        self._nodes = nodes

    @classmethod
    def of(cls, token: str, leaves: Sequence[tuple[int, int]]) -> Self:
        """Build the tree of (payee, cumulative amount) pairs in ascending order of payee.

        `token` is the lower-case address of the ERC-20 token. Raises PayoutTreeRefusal.
        """
        _check(leaves)
        prefix = _prefix(token)
        pack, new = _WORDS.pack, keccak_256
        try:
            hashes = [new(new(prefix + pack(payee, amount)).digest()).digest() for payee, amount in leaves]
        except struct.error as error:
            raise PayoutTreeRefusal("payouts.leaf", "A payee or an amount does not fit its bits.") from error
        count = len(hashes)
        nodes: list[bytes] = [b""] * (count - 1)
        nodes += reversed(hashes)
        # Level by level from the bottom, so that the inner loop runs over a slice and not over indices.
        high = count - 2
        while high >= 0:
            low = (1 << (high + 1).bit_length() - 1) - 1
            children = nodes[2 * low + 1 : 2 * high + 3]
            nodes[low : high + 1] = [
                new(left + right if left < right else right + left).digest()
                for left, right in zip(children[::2], children[1::2], strict=True)
            ]
            high = low - 1
        return cls(leaves, nodes)

    def __len__(self) -> int:
        return len(self._leaves)

    @property
    def root(self) -> bytes:
        """The root, 32 bytes; of a single leaf, the leaf."""
        return self._nodes[0]

    @property
    def leaves(self) -> Sequence[tuple[int, int]]:
        """The (payee, cumulative amount) pairs."""
        return self._leaves

    def proof(self, position: int) -> list[bytes]:
        """Return the siblings of leaf `position` from the leaf up, for `claim`. Raises PayoutTreeRefusal."""
        self._check_range(position, 1)
        index, siblings = len(self._nodes) - 1 - position, []
        while index:
            siblings.append(self._nodes[index + 1 if index & 1 else index - 1])
            index = (index - 1) >> 1
        return siblings

    def range_proof(self, first: int, count: int) -> list[bytes]:
        """Return the siblings of `count` leaves from `first` on, for `push`, in the order the contract takes them.

        Raises PayoutTreeRefusal.
        """
        self._check_range(first, count)
        taken: list[bytes] = []
        top = len(self._nodes) - 1 - first
        queue = deque(range(top, top - count, -1))
        while queue[0]:
            index = queue.popleft()
            if index & 1 == 0 and queue and queue[0] == index - 1:
                queue.popleft()
            else:
                taken.append(self._nodes[index + 1 if index & 1 else index - 1])
            queue.append((index - 1) >> 1)
        return taken

    def packed(self, first: int, count: int) -> bytes:
        """Return the leaves of a range as `push` takes them: 12 bytes each, payee and amount, big-endian."""
        self._check_range(first, count)
        return b"".join(_PACKED.pack(payee, amount) for payee, amount in self._leaves[first : first + count])

    def _check_range(self, first: int, count: int) -> None:
        if first < 0 or count < 1 or first + count > len(self._leaves):
            raise PayoutTreeRefusal(
                "payouts.range", "The tree does not have these leaves.", limit=len(self._leaves), actual=first + count
            )


def payout_leaf(token: str, payee: int, amount: int) -> bytes:
    """Return the hash of one leaf. Raises PayoutTreeRefusal."""
    try:
        return keccak256(keccak256(_prefix(token) + _WORDS.pack(payee, amount)))
    except struct.error as error:
        raise PayoutTreeRefusal("payouts.leaf", "A payee or an amount does not fit its bits.") from error


def verify_payout(token: str, payee: int, amount: int, proof: Iterable[bytes], root: bytes) -> None:
    """Raise PayoutTreeRefusal unless `proof` shows that `root` owes `payee` this cumulative amount."""
    found = payout_leaf(token, payee, amount)
    for sibling in proof:
        found = _node(found, sibling)
    if found != root:
        raise PayoutTreeRefusal(
            "payouts.proof", "The proof does not lead to the root.", limit="0x" + root.hex(), actual="0x" + found.hex()
        )


def verify_payout_range(
    token: str,
    leaves: Sequence[tuple[int, int]],
    proof: Sequence[bytes],
    root: bytes,
    *,
    first: int,
    leaf_count: int,
) -> None:
    """Raise PayoutTreeRefusal unless `root` of `leaf_count` leaves has these leaves from position `first` on.

    The climb is the contract's, so that what passes here is what `push` accepts.
    """
    _check(leaves)
    if first < 0 or first + len(leaves) > leaf_count:
        raise PayoutTreeRefusal(
            "payouts.range", "The tree does not have these leaves.", limit=leaf_count, actual=first + len(leaves)
        )
    top = 2 * leaf_count - 2 - first
    queue = deque((top - k, payout_leaf(token, *leaf)) for k, leaf in enumerate(leaves))
    siblings = deque(proof)
    while queue[0][0]:
        index, found = queue.popleft()
        if index & 1 == 0 and queue and queue[0][0] == index - 1:
            sibling = queue.popleft()[1]
        elif siblings:
            sibling = siblings.popleft()
        else:
            raise PayoutTreeRefusal("payouts.proof", "The proof is too short.", actual=len(proof))
        queue.append(((index - 1) >> 1, _node(found, sibling)))
    if siblings or queue[0][1] != root:
        raise PayoutTreeRefusal(
            "payouts.proof", "The proof does not lead to the root.", limit="0x" + root.hex(),
            actual="0x" + queue[0][1].hex(),
        )  # fmt: skip


class Payment(NamedTuple):
    """What a push paid to one payee in all, and up to which cumulative amount."""

    payee: int
    amount: int
    cumulative: int


def unpack_leaves(packed: bytes) -> list[tuple[int, int]]:
    """Return the (payee, cumulative amount) pairs that a push was given. Raises PayoutTreeRefusal."""
    if len(packed) % LEAF_BYTES:
        raise PayoutTreeRefusal("payouts.packed", "Leaves are 12 bytes each.", limit=LEAF_BYTES, actual=len(packed))
    return [(payee, amount) for payee, amount in _PACKED.iter_unpack(packed)]


def pushed_payments(
    leaves: Sequence[tuple[int, int]], *, paid: Mapping[int, int], skipped: Sequence[tuple[int, int]], total: int
) -> list[Payment] | None:
    """Return what a push of `leaves` paid, where `paid` had been paid to their payees before and `total` left with it.

    `skipped` are the (payee, amount) pairs that were passed over in the same transaction until then. Those of the push
    are the last of them; others may come before, of a claim that went wrong in the same transaction. The sum tells how
    many. Returns None when no reading gives the sum.
    """
    for start in range(len(skipped) + 1):
        payments = _payments(leaves, paid, skipped[start:])
        if payments is not None and sum(payment.amount for payment in payments) == total:
            return payments
    return None


def push_ranges(due: Sequence[int], *, threshold: int, most: int) -> list[tuple[int, int]]:
    """Return (first, count) of the leaf ranges worth pushing, where `due[k]` is what leaf k is still owed.

    Every leaf owed at least `threshold` is in exactly one range of at most `most` leaves. Leaves that are owed nothing
    are bridged, for they cost twelve bytes and no transfer; leaves owed less than the threshold stay claimable.
    """
    if threshold < 1 or most < 1:
        raise PayoutTreeRefusal(
            "payouts.push", "Threshold and batch are at least 1.", limit=1, actual=min(threshold, most)
        )
    ranges: list[tuple[int, int]] = []
    first = last = -1
    for position, amount in enumerate(due):
        open_range = first >= 0
        if open_range and (position - first >= most or 0 < amount < threshold):
            ranges.append((first, last - first + 1))
            first = -1
        if amount >= threshold:
            first = position if first < 0 else first
            last = position
    if first >= 0:
        ranges.append((first, last - first + 1))
    return ranges


def _payments(
    leaves: Sequence[tuple[int, int]], paid: Mapping[int, int], skipped: Sequence[tuple[int, int]]
) -> list[Payment] | None:
    reached, passed_over = dict(paid), deque(skipped)
    for payee, cumulative in leaves:
        amount = cumulative - reached.get(payee, 0)
        if passed_over and passed_over[0] == (payee, amount):
            passed_over.popleft()
        elif amount > 0:
            reached[payee] = cumulative
    if passed_over:
        return None
    amounts = ((payee, after - paid.get(payee, 0), after) for payee, after in reached.items())
    return [Payment(*each) for each in amounts if each[1]]


def _node(one: bytes, other: bytes) -> bytes:
    return keccak256(one + other if one < other else other + one)


def _prefix(token: str) -> bytes:
    return bytes(12) + bytes.fromhex(token.removeprefix("0x")) + bytes(28)


def _check(leaves: Sequence[tuple[int, int]]) -> None:
    if not leaves:
        raise PayoutTreeRefusal("payouts.empty", "A tree without payees has no root.", limit=1, actual=0)
    previous = 0
    for payee, _ in leaves:
        if payee <= previous:
            raise PayoutTreeRefusal(
                "payouts.order", "Payees stand in ascending order, each once, from 1.", limit=previous + 1, actual=payee
            )
        previous = payee
    if previous > PAYEE_LIMIT or max(amount for _, amount in leaves) > UNITS_LIMIT:
        raise PayoutTreeRefusal("payouts.leaf", "A payee or an amount does not fit its bits.", actual=previous)
