"""The facts that decide a settlement, from final events and pinned documents at hand.

Events are read by `marketplace.core.event_facts`, the same as by whoever audits. Documents: the splits that the
registry names, and the settlements that were accepted, whose digests stand in `RootProposed`.
"""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.core.event_facts import SETTLING_EVENTS, Ledger, read_splits
from marketplace.core.facts import Border, Facts
from marketplace.core.facts import Deployment as DeploymentFact
from marketplace.core.settlement import Settlement
from marketplace.queries.settlements import read_settlement
from provenance.core.digest import Sha256
from provenance.models import ChainEvent, Deployment, Document


@dataclass(frozen=True, slots=True)
class Accepted:
    """A settlement that the chain accepted: its digest and what its documents say."""

    digest: Sha256
    settlement: Settlement


def gather_facts(deployment: Deployment, token: str, *, epoch: int, genesis: Border, end: Border) -> Facts:
    """Return the facts of an epoch of `token` (lower-case address) that ends at the final block `end`.

    `genesis` is the block before the deployment's first. Raises SettlingRefusal when the documents of an accepted
    settlement are not known here.
    """
    ledger = _ledger(deployment)
    accepted = _accepted(ledger, token)
    wanted = [digest.hex for digest in ledger.splits_wanted()]
    documents = {Sha256.from_hex(row.pk): bytes(row.content) for row in Document.objects.filter(pk__in=wanted)}
    return ledger.facts(
        deployment=DeploymentFact(deployment.chain_id, deployment.registry, deployment.market),
        token=token,
        epoch=epoch,
        borders=(genesis, *(each.settlement.end for each in accepted), end),
        previous=(accepted[-1].digest, accepted[-1].settlement) if accepted else None,
        splits=read_splits(documents),
    )


def accepted_settlements(deployment: Deployment, token: str) -> list[Accepted]:
    """Return the token's accepted settlements in order, ours and strangers'. Raises SettlingRefusal."""
    return _accepted(_ledger(deployment, ("RootProposed", "RootAccepted")), token)


def _accepted(ledger: Ledger, token: str) -> list[Accepted]:
    digests = [root.settlement for root in ledger.accepted(token)]
    return [Accepted(digest, read_settlement(digest.hex)) for digest in digests]


def _ledger(deployment: Deployment, names: tuple[str, ...] = SETTLING_EVENTS) -> Ledger:
    rows = ChainEvent.objects.filter(deployment=deployment, final=True, name__in=names)
    return Ledger.of(rows.order_by("block_number", "log_index").iterator())
