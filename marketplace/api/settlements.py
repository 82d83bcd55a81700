"""`/settlements`: what each epoch brought to whom, and the documents that prove it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.money import Money, TokenId, money
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.reading import Query
from marketplace.api.resource import Resource
from marketplace.api.schema import operation
from marketplace.models import PayoutRow, SettlementRow
from marketplace.queries.actors import AccessRefusal
from marketplace.queries.deployments import payment_token
from marketplace.queries.settlements import settlements_of
from provenance.core.canonical import parse_canonical
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.models import Document

StateName = Literal["computed", "pinned", "proposed", "accepted", "vetoed", "paid"]


class SettlementQuery(PageQuery):
    """`token`: CAIP-19; without it the token that prices are in."""

    token: TokenId | None = None


class TokenQuery(Query):
    """`token`: CAIP-19; without it the token that prices are in."""

    token: TokenId | None = None


class Settlement(msgspec.Struct):
    """The settlement of an epoch. `digest` is that of its index document, whose raw CID is `cid`.

    `paid`: accepted, and every payout has arrived or waits for its payee.
    """

    epoch: int
    token: str
    state: StateName
    root: str
    digest: str
    cid: str
    tx: str | None
    from_block: int
    to_block: int
    to_block_hash: str
    ended: datetime
    accept_after: datetime | None
    revenue: Money
    fees: Money
    allocated: Money
    cumulative: Money
    payees: int


class Shard(msgspec.Struct):
    """A part of the lists: its digest, and how many lines of each kind it has."""

    sha256: str
    bytes: int
    revenue: int
    allocations: int
    balances: int


class SettlementDetail(Settlement):
    """`lines`: how many lines of revenue and allocation its shards hold together; null without the documents."""

    lines: int | None
    shards: list[Shard]


class SettlementsResource(Resource):
    acts = {"GET": None}

    @operation("Settlements, newest first", answer=Page[Settlement], query=SettlementQuery)
    def get(self, request: Request) -> HttpResponse:
        query = self.query(SettlementQuery)
        rows = settlements_of(query.token or payment_token().caip)
        page = page_of(rows, order=("-epoch",), query=query, request=self.http, show=_shown)
        return self.answer(page, public=True)


class SettlementResource(Resource):
    acts = {"GET": None}

    @operation("The settlement of an epoch", answer=SettlementDetail, query=TokenQuery)
    def get(self, request: Request, epoch: int) -> HttpResponse:
        token = self.query(TokenQuery).token or payment_token().caip
        row = settlements_of(token).filter(epoch=epoch).first()
        if row is None:
            raise AccessRefusal("settlement.not_found", "There is no settlement of this epoch.", actual=epoch)
        shards = _shards(row)
        lines = sum(shard.revenue + shard.allocations for shard in shards) if shards else None
        shown = msgspec.structs.asdict(_shown([row])[0])
        return self.answer(SettlementDetail(**shown, lines=lines, shards=shards), public=True)


def _shown(rows: Iterable[SettlementRow]) -> list[Settlement]:
    settlements = list(rows)
    under_way = (PayoutRow.State.OWED, PayoutRow.State.PUSHING)
    unpaid = set(
        PayoutRow.objects.filter(settlement__in=settlements, state__in=under_way, amount__gt=0).values_list(
            "settlement_id", flat=True
        )
    )
    return [_one(row, unpaid=row.pk in unpaid) for row in settlements]


def _one(row: SettlementRow, *, unpaid: bool) -> Settlement:
    paid = row.state == SettlementRow.State.ACCEPTED and row.pushed_at is not None and not unpaid
    state: Any = "paid" if paid else str(row.state)
    return Settlement(
        epoch=row.epoch,
        token=row.token,
        state=state,
        root=row.root,
        digest=row.digest,
        cid=str(Cid.of_digest(Sha256.from_hex(row.digest))),
        tx=row.accepted_tx or row.proposed_tx or None,
        from_block=row.from_block,
        to_block=row.to_block,
        to_block_hash=row.to_block_hash,
        ended=row.ended_at,
        accept_after=row.accept_after,
        revenue=money(row.revenue, row.token),
        fees=money(row.fees, row.token),
        allocated=money(row.allocated, row.token),
        cumulative=money(row.cumulative, row.token),
        payees=row.payees,
    )


def _shards(row: SettlementRow) -> list[Shard]:
    found = Document.objects.filter(pk=row.digest).first()
    index = None if found is None else parse_canonical(found.content)
    shards: Any = index.get("shards", ()) if isinstance(index, dict) else ()
    return [msgspec.convert(shard, Shard) for shard in shards]
