"""All of it in order. Needs neither keys nor accounts, and nothing of the register that made the data.

1. Read the chain again; nothing is final yet, and no money is booked.
2. Take the log from its newest anchored snapshot, where it is empty and its key is pinned.
3. Fetch every document that chain and log name.
4. Put up settlements and payouts, which explain the payments on chain.
5. Make final what is final: licenses get their certificates, the journal its transfers.
6. Put up the catalogue that the log states.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from marketplace.models import LicenseRow, Listing, PayoutRow
from marketplace.rebuilding.catalog import catalog_documents, put_up_catalog
from marketplace.rebuilding.settlements import note_payments, put_up_settlements, settlement_documents
from provenance import rebuild
from provenance.core.checkpoint import VerifierKey
from provenance.models import ChainEvent, DatasetRecord, Deployment, ParentEdge
from provenance.ports import Chain, ContentStore
from provenance.queries import log_state


@dataclass(frozen=True, slots=True)
class LogPins:
    """Whose log it is: pinned by whoever rebuilds, because nothing else says so."""

    vkey: VerifierKey
    service_key: bytes


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came back; `missing` counts documents that no store has."""

    blocks: int
    entries: int
    documents: int
    missing: int
    settlements: int
    listings: int


def rebuild_register(
    deployment: Deployment, chain: Chain, stores: Iterable[ContentStore], *, pins: LogPins | None, now: datetime
) -> Rebuilt:
    """Run the six steps for one deployment. Safe twice; rows that are there already stay. Raises RebuildRefusal."""
    sources = tuple(stores)
    blocks = rebuild.reread_chain(deployment, chain, now)
    rebuild.rebuild_tokens(deployment)
    entries = 0
    if pins is not None and not log_state().size:
        entries = rebuild.rebuild_log(
            deployment, sources, vkey=pins.vkey, service_key=pins.service_key, now=now
        )  # fmt: skip
    documents, missing = rebuild.rebuild_documents(deployment, sources, named=_named)
    settlements = put_up_settlements(deployment)
    rebuild.finish_chain(deployment, chain, now)
    note_payments(deployment)
    return Rebuilt(blocks, entries, documents, missing, settlements, put_up_catalog(deployment, now=now))


def whole_register() -> dict[str, Any]:
    """Return what is here, in plain values: datasets, parents, licenses, payouts, and the head of the log.

    Amounts are decimal strings of base units; ids are CAIP-19.
    """
    edges = ParentEdge.objects.select_related("deployment").order_by("child", "parent")
    records = DatasetRecord.objects.select_related("deployment").order_by("deployment_id", "token")
    listed = {row["dataset"]: row for row in Listing.objects.values("dataset", "title", "state", "offer")}
    licenses = LicenseRow.objects.order_by("pk").values("id", "dataset", "version", "price", "fee", "state")
    payouts = PayoutRow.objects.order_by("settlement__epoch", "leaf")
    state = log_state()
    return {
        "datasets": [
            {"id": row.caip, "manifest": row.manifest, "owner": row.owner, **_sale(listed.get(row.caip))}
            for row in records
        ],
        "lineage": [
            {"child": row.deployment.dataset_caip(row.child), "parent": row.deployment.dataset_caip(row.parent),
             "bps": row.bps}
            for row in edges
        ],
        "licenses": [{**row, "price": str(row["price"]), "fee": str(row["fee"])} for row in licenses],
        "payouts": [
            {"epoch": row.settlement.epoch, "payee": row.payee, "account": row.address, "amount": str(row.amount),
             "cumulative": str(row.cumulative), "state": row.state, "tx": row.tx}
            for row in payouts.select_related("settlement")
        ],
        "log": {"origin": state.origin, "size": state.size, "root": state.root},
    }  # fmt: skip


def _sale(listing: Mapping[str, Any] | None) -> dict[str, Any]:
    if listing is None:
        return {"title": None, "state": "unlisted", "offer": None}
    return {name: listing[name] for name in ("title", "state", "offer")}


def _named(deployment: Deployment) -> Iterator[str]:
    for event in ChainEvent.objects.filter(deployment=deployment, name="LicensePurchased"):
        yield event.digest("document")
        yield event.digest("terms")
    yield from settlement_documents(deployment)
    yield from catalog_documents(deployment)
