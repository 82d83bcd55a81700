"""Recompute a settlement from the chain and from documents by digest, and name the first difference.

1. Read every event of registry and market up to the newest final block.
2. Find the accepted settlements of the token; read each one's documents by the digest on chain.
3. Recompute each from the events alone, in order, and compare it with what was published and with the root on chain.
4. If it differs, recompute it without the splits documents that it evidently did not know: an owner may have published
   one only afterwards. Whether it could be had at the time is not for us to say, so that is not decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from marketplace.core.allocation import Reason
from marketplace.core.event_facts import AcceptedRoot, Event, Ledger, read_splits
from marketplace.core.facts import Border, Deployment, Facts, Register
from marketplace.core.settlement import Settlement, first_difference, settle
from marketplace.core.settlement_documents import read_documents
from marketplace.core.splits import Splits
from provenance.adapters.http_api import ApiRefusal
from provenance.core.canonical import parse_canonical
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal
from provenance.ports import At, Header, StoreRefusal

GetDocument = Callable[[Sha256], bytes]
"""Fetches the bytes of a document by digest; they are re-hashed here."""

Say = Callable[[str], None]


class SettlementAuditRefusal(Refusal):
    """A settlement cannot be recomputed, or is not what the chain says."""


class AuditedChain(Protocol):
    """The part of a chain (see `provenance.ports.Chain`) that an audit asks."""

    @property
    def chain_id(self) -> int: ...
    def address(self, contract: str) -> str: ...
    def header(self, at: At) -> Header: ...
    def blocks_with_logs(self, first: int, last: int) -> set[int]: ...
    def logs(self, block_hash: str) -> Sequence[Event]: ...


@dataclass(frozen=True, slots=True)
class AuditedEpoch:
    """One recomputed settlement. `difference` is None when every line agrees with what was published.

    `settled_without`: splits documents that can be had now and without which it was settled, so that the owner alone
    received what they share.
    """

    root: AcceptedRoot
    settlement: Settlement
    difference: str | None
    settled_without: tuple[Sha256, ...] = ()


@dataclass(frozen=True, slots=True)
class SettlementAudit:
    """The epochs up to the one in question, oldest first, and splits documents that could not be had."""

    epochs: tuple[AuditedEpoch, ...]
    missing: tuple[Sha256, ...]

    @property
    def first_difference(self) -> str | None:
        """The first difference in words, None if documents, roots and totals are all what the events give."""
        return next((epoch.difference for epoch in self.epochs if epoch.difference is not None), None)

    @property
    def agrees(self) -> bool:
        """Whether there is no difference."""
        return self.first_difference is None

    @property
    def settled_without(self) -> tuple[Sha256, ...]:
        """The splits documents without which one of the epochs was settled, although they can be had now."""
        return tuple(sorted({digest for epoch in self.epochs for digest in epoch.settled_without}))


def audit_settlements(
    chain: AuditedChain, *, first_block: int, token: str, get_document: GetDocument, up_to_epoch: int,
    say: Say = lambda _words: None,
) -> SettlementAudit:  # fmt: skip
    """Audit the epochs up to `up_to_epoch` of `token` (address). Raises SettlementAuditRefusal, ChainRefusal."""
    ledger = read_ledger(chain, first_block=first_block, say=say)
    wanted = [root for root in ledger.accepted(token) if root.epoch <= up_to_epoch]
    if not wanted or wanted[-1].epoch != up_to_epoch:
        raise SettlementAuditRefusal(
            "audit.no_epoch", "No accepted settlement of this epoch stands on chain.", actual=up_to_epoch,
            limit=", ".join(str(root.epoch) for root in ledger.accepted(token)) or "none so far",
        )  # fmt: skip
    deployment = Deployment(chain.chain_id, chain.address("DatasetRegistry"), chain.address("Market"))
    splits, missing = _splits(ledger, get_document)
    borders = [_border(chain, first_block - 1)]
    epochs: list[AuditedEpoch] = []
    for root in wanted:
        say(f"Recomputing epoch {root.epoch} …")
        borders.append(_end(chain, root))
        facts = ledger.facts(
            deployment=deployment, token=token, epoch=root.epoch, borders=borders, splits=splits,
            previous=(epochs[-1].root.settlement, epochs[-1].settlement) if epochs else None,
        )  # fmt: skip
        epochs.append(_audited(root, facts, _published(root, get_document)))
    return SettlementAudit(tuple(epochs), tuple(missing))


def read_ledger(chain: AuditedChain, *, first_block: int, say: Say = lambda _words: None) -> Ledger:
    """Step 1. Raises ChainRefusal."""
    last = chain.header("finalized").number
    ledger = Ledger()
    numbers = sorted(chain.blocks_with_logs(first_block, last))
    for count, number in enumerate(numbers, start=1):
        say(f"Reading blocks with events: {count:,} of {len(numbers):,}")
        for event in chain.logs(chain.header(number).hash):
            ledger.read(event)
    return ledger


def _audited(root: AcceptedRoot, facts: Facts, published: Settlement) -> AuditedEpoch:
    """Steps 3 and 4."""
    ours = settle(facts)
    difference = _difference(root, ours, published)
    unknown = _unknown_splits(ours, published, facts) if difference is not None else frozenset()
    if unknown:
        splits = {digest: each for digest, each in facts.splits.items() if digest not in unknown}
        without = settle(replace(facts, splits=splits))
        if _difference(root, without, published) is None:
            return AuditedEpoch(root, without, None, tuple(sorted(unknown)))
    return AuditedEpoch(root, ours, difference)


def _unknown_splits(ours: Settlement, published: Settlement, facts: Facts) -> frozenset[Sha256]:
    """Return the documents of datasets whose income is shared by our lines, and by none of the published ones."""
    register = Register.at(facts.end.block, facts.changes)
    digests = (register.splits[dataset] for dataset in _shared(ours) - _shared(published))
    return frozenset(digest for digest in digests if digest is not None)


def _shared(settlement: Settlement) -> set[int]:
    return {line.via for line in settlement.allocations if line.reason is Reason.SPLIT}


def _difference(root: AcceptedRoot, ours: Settlement, published: Settlement) -> str | None:
    found = first_difference(ours, published)
    if found is not None:
        return found.sentence
    for where, computed, on_chain in (
        ("payout root", "0x" + ours.payout_tree().root.hex(), root.root),
        ("cumulative total", str(ours.totals.cumulative), str(root.cumulative)),
    ):
        if computed != on_chain:
            return f"{where}: computed {computed}, on chain {on_chain}."
    return None


def _border(chain: AuditedChain, number: int) -> Border:
    header = chain.header(number)
    return Border(header.number, header.hash, header.timestamp)


def _end(chain: AuditedChain, root: AcceptedRoot) -> Border:
    border = _border(chain, root.to_block)
    if border.hash != root.to_hash:
        raise SettlementAuditRefusal(
            "audit.block", "The settlement ends at a block that is not in this chain.", limit=border.hash,
            actual=root.to_hash,
        )  # fmt: skip
    return border


def _splits(ledger: Ledger, get_document: GetDocument) -> tuple[dict[Sha256, Splits], list[Sha256]]:
    documents: dict[Sha256, bytes] = {}
    missing: list[Sha256] = []
    for digest in sorted(ledger.splits_wanted()):
        try:
            documents[digest] = _checked(digest, get_document)
        except (StoreRefusal, ApiRefusal) as refusal:
            if isinstance(refusal, ApiRefusal) and refusal.status != 404:
                raise
            missing.append(digest)
    return read_splits(documents), missing


def _published(root: AcceptedRoot, get_document: GetDocument) -> Settlement:
    index = _checked(root.settlement, get_document)
    parsed = parse_canonical(index)
    shards = parsed.get("shards") if isinstance(parsed, dict) else None
    digests = [str(shard["sha256"]) for shard in shards if isinstance(shard, dict)] if isinstance(shards, list) else []
    parts = [_checked(Sha256.from_hex(digest), get_document) for digest in digests]
    return read_documents(index, parts, digest=root.settlement)


def _checked(digest: Sha256, get_document: GetDocument) -> bytes:
    data = get_document(digest)
    if Sha256.of(data) != digest:
        raise SettlementAuditRefusal(
            "audit.document", "A document is not the one that was named.", limit=digest.hex, actual=Sha256.of(data).hex
        )
    return data
