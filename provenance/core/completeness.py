"""Proof that nothing was left out: all entries about a subject, and no others.

1. At intervals the log commits to a sorted map, subject → index of its latest entry, over the entries 0 … upTo.
   Leaves are the canonical form of [subject, index], in the order of the subjects' UTF-8 bytes, under RFC 6962.
2. A leaf and its inclusion proof show the latest entry about a subject up to upTo. Two neighbors show that there is
   none; the first or last leaf alone does so at the ends; an empty map holds no subject at all.
3. From that entry the `previous` links lead to every earlier one about the same subject, down to null.
4. Entries after upTo are proved by reading that short range whole.

The committed entry `index.committed {up_to, count, root}` is itself an entry of the log and proved as one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from provenance.core.canonical import canonical_bytes
from provenance.core.entry import Entry
from provenance.core.merkle import MerkleTree, leaf_hash, verify_inclusion
from provenance.core.refusal import Refusal


class CompletenessRefusal(Refusal):
    """A claim that nothing was left out is not proved."""


@dataclass(frozen=True, slots=True)
class Latest:
    """One leaf of the map."""

    subject: str
    index: int

    @property
    def leaf_hash(self) -> bytes:
        """The RFC 6962 hash of the leaf."""
        return leaf_hash(canonical_bytes([self.subject, self.index]))

    @property
    def key(self) -> bytes:
        """What leaves are sorted by."""
        return self.subject.encode()


@dataclass(frozen=True, slots=True)
class Commitment:
    """What `index.committed` says: the map over the entries 0 … `up_to` has `count` subjects and this root."""

    up_to: int
    count: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Placed:
    """A leaf, its place in the map, and the inclusion proof."""

    latest: Latest
    place: int
    proof: tuple[bytes, ...]

    def verify(self, commitment: Commitment) -> None:
        """Accept the leaf only as one of the map's. Raises MerkleRefusal, CompletenessRefusal."""
        if self.latest.index > commitment.up_to:
            raise CompletenessRefusal(
                "completeness.after",
                "The map names an entry that came later.",
                limit=commitment.up_to,
                actual=self.latest.index,
            )
        verify_inclusion(self.latest.leaf_hash, self.place, commitment.count, self.proof, commitment.root)


@dataclass(frozen=True, slots=True)
class Membership:
    """The subject's latest entry up to the commitment."""

    leaf: Placed


@dataclass(frozen=True, slots=True)
class Absence:
    """The neighbors between which the subject would stand; None beyond the ends."""

    before: Placed | None
    after: Placed | None


class SubjectIndex:
    """The map over a log's entries, made to commit to it and to prove from it. Grows as entries come."""

    def __init__(self, latest: Mapping[str, int], up_to: int) -> None:
        self._leaves = sorted((Latest(subject, index) for subject, index in latest.items()), key=lambda each: each.key)
        self._keys = [each.key for each in self._leaves]
        self._tree = MerkleTree(each.leaf_hash for each in self._leaves)
        self._up_to = up_to

    @property
    def commitment(self) -> Commitment:
        """What to write into the log."""
        return Commitment(self._up_to, len(self._leaves), self._tree.root)

    def prove(self, subject: str) -> Membership | Absence:
        """Return the proof of the subject's latest entry, or that it has none."""
        place = bisect_left(self._keys, subject.encode())
        if place < len(self._leaves) and self._leaves[place].subject == subject:
            return Membership(self._placed(place))
        return Absence(
            self._placed(place - 1) if place else None, self._placed(place) if place < len(self._leaves) else None
        )

    def _placed(self, place: int) -> Placed:
        return Placed(self._leaves[place], place, tuple(self._tree.inclusion_proof(place)))


def latest_by_subject(entries: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Return subject → latest index from (index, subject) in the order of the log."""
    return {subject: index for index, subject in entries}


def verify_latest(subject: str, proof: Membership | Absence, commitment: Commitment) -> int | None:
    """Return the index of the latest entry about `subject` up to the commitment, or None where there is none.

    Raises CompletenessRefusal, MerkleRefusal.
    """
    match proof:
        case Membership(leaf=leaf):
            leaf.verify(commitment)
            if leaf.latest.subject != subject:
                raise CompletenessRefusal(
                    "completeness.subject",
                    "The proof is about another subject.",
                    limit=subject,
                    actual=leaf.latest.subject,
                )
            return leaf.latest.index
        case Absence():
            _verify_absence(subject.encode(), proof, commitment)
            return None


def verify_chain(subject: str, entries: Mapping[int, Entry], latest: int | None) -> list[int]:
    """Return the indices of all entries about `subject` up to `latest`, oldest first, by their `previous` links.

    `entries` are proved entries of the log by index; the last link must be null. Raises CompletenessRefusal.
    """
    found: list[int] = []
    expected = latest
    while expected is not None:
        entry = entries.get(expected)
        if entry is None:
            raise CompletenessRefusal(
                "completeness.missing",
                "An entry about the subject was left out.",
                actual=expected,
                todo="Ask for the whole trail.",
            )
        if entry.statement.subject != subject:
            raise CompletenessRefusal(
                "completeness.link", "A link leads to another subject.", limit=subject, actual=entry.statement.subject
            )
        if entry.previous is not None and entry.previous >= expected:
            raise CompletenessRefusal(
                "completeness.order", "A link leads forwards.", limit=expected, actual=entry.previous
            )
        found.append(expected)
        expected = entry.previous
    return found[::-1]


def verify_range(subject: str, up_to: int, size: int, entries: Mapping[int, Entry]) -> list[int]:
    """Return the indices of entries about `subject` after `up_to` in a log of `size` entries, read whole.

    Raises CompletenessRefusal when one of the range is not in `entries`.
    """
    missing = next((index for index in range(up_to + 1, size) if index not in entries), None)
    if missing is not None:
        raise CompletenessRefusal(
            "completeness.range",
            "An entry after the commitment was left out.",
            actual=missing,
            todo="Read the range whole.",
        )
    return [index for index in range(up_to + 1, size) if entries[index].statement.subject == subject]


def verify_trail(
    subject: str, proof: Membership | Absence, commitment: Commitment, size: int, entries: Mapping[int, Entry]
) -> Sequence[int]:
    """Return the indices of *all* entries about `subject` in the log of `size` entries, oldest first (steps 2 to 4).

    `entries` must have been proved to be in that log, the one that holds the commitment included.
    Raises CompletenessRefusal, MerkleRefusal.
    """
    latest = verify_latest(subject, proof, commitment)
    earlier = verify_chain(subject, entries, latest)
    later = verify_range(subject, commitment.up_to, size, entries)
    expected = latest
    for index in later:
        if entries[index].previous != expected:
            raise CompletenessRefusal(
                "completeness.link", "A link skips an entry.", limit=expected, actual=entries[index].previous
            )
        expected = index
    return [*earlier, *later]


def _verify_absence(key: bytes, proof: Absence, commitment: Commitment) -> None:
    before, after = proof.before, proof.after
    for neighbor in (before, after):
        if neighbor is not None:
            neighbor.verify(commitment)
    if (before is not None and before.latest.key >= key) or (after is not None and after.latest.key <= key):
        raise CompletenessRefusal("completeness.neighbors", "The subject does not stand between the neighbors.")
    left = -1 if before is None else before.place
    right = commitment.count if after is None else after.place
    if right != left + 1:
        raise CompletenessRefusal(
            "completeness.neighbors", "Other subjects stand between the neighbors.", limit=left + 1, actual=right
        )
