"""Settlements: what they say, from their pinned documents, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import QuerySet

from marketplace.core.settlement import Settlement
from marketplace.core.settlement_documents import read_documents
from marketplace.models import SettlementRow
from provenance.core.canonical import parse_canonical
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal
from provenance.models import Document


class SettlingRefusal(Refusal):
    """An epoch cannot be settled now, or its settlement cannot be read; nothing was written."""


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
