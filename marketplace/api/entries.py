"""`/entries`: the log, entry by entry, with proofs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.names import Sha256Hex
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.resource import IMMUTABLE, JSON, Resource
from marketplace.api.schema import Raw, operation
from provenance.core.canonical import parse_canonical
from provenance.models import LogEntry
from provenance.queries import entry, tlog_proof


class EntryQuery(PageQuery):
    """`subject`: a CAIP-19 or CAIP-10 name, `sha256:…`, `settlement:…` or `log:…`; `type`: one of docs/formats.md."""

    subject: Annotated[str, msgspec.Meta(max_length=250)] = ""
    type: Annotated[str, msgspec.Meta(max_length=40)] = ""


class Entry(msgspec.Struct):
    """An entry of the log. `envelope` is the leaf: statement, signatures, and the entry before about the subject."""

    index: int
    subject: str
    type: str
    leaf_hash: Sha256Hex
    logged: datetime
    envelope: dict[str, Any]


class EntriesResource(Resource):
    acts = {"GET": None}

    @operation("Entries of the log, oldest first", answer=Page[Entry], query=EntryQuery)
    def get(self, request: Request) -> HttpResponse:
        query = self.query(EntryQuery)
        rows = LogEntry.objects.all()
        if query.subject:
            rows = rows.filter(subject=query.subject)
        if query.type:
            rows = rows.filter(type=query.type)
        page = page_of(rows, order=("index",), query=query, request=self.http, show=shown_entries)
        return self.answer(page, public=True)


class EntryResource(Resource):
    acts = {"GET": None}

    @operation("The envelope of an entry: exactly the bytes of its leaf", answer=Raw(JSON))
    def get(self, request: Request, index: int) -> HttpResponse:
        headers = {"Cache-Control": f"public, {IMMUTABLE}"}
        return HttpResponse(bytes(entry(index).envelope), content_type=JSON, headers=headers)


class ProofResource(Resource):
    acts = {"GET": None}

    @operation("A proof that the signed log holds the entry (c2sp.org/tlog-proof@v1)", answer=Raw("text/plain"))
    def get(self, request: Request, index: int) -> HttpResponse:
        entry(index)
        headers = {
            "Cache-Control": "no-cache",
            "Content-Disposition": f'attachment; filename="entry-{index}.tlog-proof"',
        }
        return HttpResponse(tlog_proof(index), content_type="text/plain; charset=utf-8", headers=headers)


def shown_entries(rows: Iterable[LogEntry]) -> list[Entry]:
    """Return entries with their envelopes as objects."""
    return [_shown(row) for row in rows]


def _shown(row: LogEntry) -> Entry:
    envelope = parse_canonical(bytes(row.envelope))
    return Entry(row.index, row.subject, row.type, bytes(row.leaf_hash).hex(), row.logged_at, dict(envelope))  # type: ignore[arg-type]
