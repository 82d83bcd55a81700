"""Settlements: what they say, from their pinned documents, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import QuerySet

from marketplace.core.settlement import Settlement
from marketplace.core.settlement_documents import read_documents
from marketplace.models import SettlementRow
from provenance.core.canonical import parse_canonical
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal
from provenance.models import ChainEvent, Document


class SettlingRefusal(Refusal):
    """An epoch cannot be settled now, or its settlement cannot be read; nothing was written."""


@dataclass(frozen=True, slots=True)
class PendingRoot:
    """A root that the chain would accept after its window. `token` is CAIP-19, `is_ours` that it was computed here."""

    token: str
    epoch: int
    cumulative: int
    fact: str
    tx: str
    proposed: datetime
    is_ours: bool


def pending_roots() -> list[PendingRoot]:
    """Return the root that is pending in each token, if there is one, as far as the chain was followed."""
    names = ("RootProposed", "RootVetoed", "RootAccepted")
    events = ChainEvent.objects.select_related("deployment").filter(name__in=names)
    newest: dict[str, ChainEvent] = {}
    for event in events.order_by("-block_number", "-log_index"):
        newest.setdefault(event.deployment.token_caip(event.args["token"]), event)
    return [_pending(token, event) for token, event in sorted(newest.items()) if event.name == "RootProposed"]


def _pending(token: str, event: ChainEvent) -> PendingRoot:
    epoch, root, digest = event.number("epoch"), event.args["root"], event.digest("settlement")
    return PendingRoot(
        token=token,
        epoch=epoch,
        cumulative=event.number("cumulativeTotal"),
        fact=event.fact,
        tx=event.tx,
        proposed=datetime.fromtimestamp(event.block_time, tz=UTC),
        is_ours=SettlementRow.objects.filter(token=token, epoch=epoch, root=root, digest=digest).exists(),
    )


def settlements_of(token: str) -> QuerySet[SettlementRow]:
    """Return the settlements of a token (CAIP-19), newest first."""
    return SettlementRow.objects.filter(token=token).order_by("-epoch")


def read_settlement(digest: str) -> Settlement:
    """Return a settlement from its documents. Raises SettlingRefusal when one of them is not here."""
    index, *shards = document_digests(digest)
    return read_documents(_document(index), [_document(shard) for shard in shards], digest=Sha256.from_hex(index))


def document_digests(digest: str) -> list[str]:
    """Return the digests of a settlement's index and of its shards in order. Raises SettlingRefusal."""
    parsed = parse_canonical(_document(digest))
    shards = parsed.get("shards") if isinstance(parsed, Mapping) else None
    named = [shard.get("sha256") for shard in shards if isinstance(shard, Mapping)] if isinstance(shards, list) else []
    if not isinstance(shards, list) or len(named) != len(shards) or not all(isinstance(each, str) for each in named):
        raise SettlingRefusal("settling.document", "This is not the index of a settlement.", actual=digest)
    return [digest, *map(str, named)]


def _document(digest: str) -> bytes:
    row = Document.objects.filter(pk=digest).first()
    if row is None:
        raise SettlingRefusal(
            "settling.document_missing", "A document of a settlement is not known here.", actual=digest,
            todo="Fetch it from IPFS by its digest (raw CIDv1), for example with `manage.py rebuild`.",
        )  # fmt: skip
    return row.content
