"""`POST /quotes`: a price that stands until it expires."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.actions.quotes import request_quote
from marketplace.api.money import Money, money
from marketplace.api.names import Id, Sha256Hex, dataset_caip, id_of
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import IDEMPOTENT, operation
from marketplace.core.sentences import sentences
from marketplace.core.terms import Rate
from marketplace.core.voucher import EpochUse, owed
from marketplace.models import Quote as QuoteRow
from marketplace.queries.actors import Act
from marketplace.queries.catalog import offer_terms
from marketplace.queries.deployments import token_by_caip


class QuoteWish(Body):
    """`offer`: digest of one of the dataset's offers; without it the current one.

    `units`: planned use, in the rate's unit, to learn what it would cost.
    """

    dataset: Id
    offer: Sha256Hex | None = None
    units: Annotated[int, msgspec.Meta(ge=0, le=10**9)] | None = None


class Quote(msgspec.Struct):
    """`total` is what is paid at once, `fee` the market's part of it. `usage`: what `units` would cost on top."""

    id: UUID
    dataset: str
    offer: str
    total: Money
    fee: Money
    usage: Money | None
    terms: str
    sentences: list[str]
    expires: datetime


class QuotesResource(Resource):
    acts = {"POST": Act.BUY}

    @operation("Ask for a price", answer=Quote, status=201, body=QuoteWish, parameters=(IDEMPOTENT,))
    def post(self, request: Request) -> HttpResponse:
        wish = self.body(QuoteWish)

        def effect() -> tuple[int, Quote]:
            row = request_quote(by=self.actor, dataset=dataset_caip(wish.dataset), offer=wish.offer or "", now=self.now)
            return 201, shown_quote(row, units=wish.units)

        return self.once(effect, request=wish)


def shown_quote(row: QuoteRow, *, units: int | None) -> Quote:
    """Return a quote of a public offer as the API shows it."""
    offer = row.offer
    assert offer is not None
    terms = offer_terms(offer)
    return Quote(
        id=row.pk,
        dataset=id_of(offer.dataset),
        offer=offer.digest,
        total=money(row.price, offer.token),
        fee=money(row.fee, offer.token),
        usage=None if units is None or terms.rate is None else money(_cost(terms.rate, units), offer.token),
        terms=offer.terms_id,
        sentences=list(sentences(terms, token_by_caip(offer.token))),
        expires=row.expires,
    )


def _cost(rate: Rate, units: int) -> int:
    return owed(rate, (EpochUse(1, units * rate.unit.counts),)).amount
