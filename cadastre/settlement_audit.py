"""Recompute a settlement from the chain and from documents by digest, and name the first difference.

1. Read every event of registry and market up to the newest final block.
2. Find the accepted settlements of the token; read each one's documents by the digest on chain.
3. Recompute each from the events alone, in order, and compare it with what was published and with the root on chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from marketplace.core.event_facts import AcceptedRoot, Ledger
from marketplace.core.facts import Border, Deployment
from marketplace.core.settlement import Settlement, first_difference, settle
from marketplace.core.settlement_documents import read_documents
from marketplace.core.splits import Splits
from provenance.adapters.evm import EvmChain
from provenance.core.canonical import parse_canonical
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal

GetDocument = Callable[[Sha256], bytes]
"""Fetches the bytes of a document by digest; they are re-hashed here."""


class SettlementAuditRefusal(Refusal):
    """A settlement cannot be recomputed, or is not what the chain says."""


@dataclass(frozen=True, slots=True)
class AuditedEpoch:
    """One recomputed settlement. `difference` is None when every line agrees with what was published."""

    root: AcceptedRoot
    settlement: Settlement
    difference: str | None
    root_agrees: bool
    total_agrees: bool

    @property
    def agrees(self) -> bool:
        """Whether document, root and total are all what the events give."""
        return self.difference is None and self.root_agrees and self.total_agrees


def audit_settlements(
    chain: EvmChain, *, first_block: int, token: str, get_document: GetDocument, up_to_epoch: int,
    say: Callable[[str], None] = lambda _words: None,
) -> list[AuditedEpoch]:  # fmt: skip
    """Return the audited epochs up to `up_to_epoch`, oldest first. Raises SettlementAuditRefusal, ChainRefusal."""
    ledger = read_ledger(chain, first_block=first_block, say=say)
    wanted = [root for root in ledger.accepted(token) if root.epoch <= up_to_epoch]
    if not wanted or wanted[-1].epoch != up_to_epoch:
        raise SettlementAuditRefusal(
            "audit.no_epoch", "No accepted settlement of this epoch stands on chain.", actual=up_to_epoch,
            limit=", ".join(str(root.epoch) for root in ledger.accepted(token)) or "none so far",
        )  # fmt: skip
    deployment = Deployment(chain.chain_id, chain.address("DatasetRegistry"), chain.address("Market"))
    splits = _splits(ledger, get_document)
    borders = [_border(chain, first_block - 1)]
    previous: Settlement | None = None
    previous_digest: Sha256 | None = None
    audited: list[AuditedEpoch] = []
    for root in wanted:
        say(f"Recomputing epoch {root.epoch} …")
        border = _border(chain, root.to_block)
        if border.hash != root.to_hash:
            raise SettlementAuditRefusal(
                "audit.block", "The settlement ends at a block that is not in this chain.", limit=border.hash, actual=root.to_hash
            )
        borders.append(border)
        facts = ledger.facts(
            deployment=deployment, token=token, epoch=root.epoch, borders=borders, previous=previous,
            previous_digest=previous_digest, splits=splits,
        )  # fmt: skip
        ours = settle(facts)
        theirs = _published(root, get_document)
        difference = first_difference(ours, theirs)
        audited.append(
            AuditedEpoch(
                root=root,
                settlement=ours,
                difference=None if difference is None else difference.sentence,
                root_agrees="0x" + ours.payout_tree().root.hex() == root.root,
                total_agrees=ours.totals.cumulative == root.cumulative,
            )
        )
        previous, previous_digest = ours, root.settlement
    return audited


def read_ledger(chain: EvmChain, *, first_block: int, say: Callable[[str], None] = lambda _words: None) -> Ledger:
    """Return the facts of every final block. Raises ChainRefusal."""
    last = chain.header("finalized").number
    ledger = Ledger()
    numbers = sorted(chain.blocks_with_logs(first_block, last))
    for count, number in enumerate(numbers):
        say(f"Reading blocks with events: {count + 1:,} of {len(numbers):,}")
        for event in chain.logs(chain.header(number).hash):
            ledger.read(event)
    return ledger


def _border(chain: EvmChain, number: int) -> Border:
    header = chain.header(number)
    return Border(header.number, header.hash, header.timestamp)


def _splits(ledger: Ledger, get_document: GetDocument) -> Mapping[Sha256, Splits]:
    found: dict[Sha256, Splits] = {}
    for digest in ledger.splits_wanted():
        try:
            found[digest] = Splits.from_document(parse_canonical(_checked(digest, get_document)))
        except Refusal:
            # Nobody can be paid by a document that nobody has: the rule gives the whole to the owner.
            continue
    return found


def _published(root: AcceptedRoot, get_document: GetDocument) -> Settlement:
    index = _checked(root.settlement, get_document)
    parsed = parse_canonical(index)
    shards = parsed.get("shards") if isinstance(parsed, dict) else None
    digests = [str(shard["sha256"]) for shard in shards if isinstance(shard, dict)] if isinstance(shards, list) else []
    return read_documents(index, [_checked(Sha256.from_hex(digest), get_document) for digest in digests], digest=root.settlement)


def _checked(digest: Sha256, get_document: GetDocument) -> bytes:
    data = get_document(digest)
    if Sha256.of(data) != digest:
        raise SettlementAuditRefusal(
            "audit.document", "A document is not the one that was named.", limit=digest.hex, actual=Sha256.of(data).hex
        )
    return data
