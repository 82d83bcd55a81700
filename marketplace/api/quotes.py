"""`/quotes`: prices for one account that stand until they expire, and the private offers that were made to it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.actions.quotes import request_quote
from marketplace.api.money import Money, money
from marketplace.api.names import Id, Sha256Hex, dataset_caip, id_of
from marketplace.api.offers import Offer, shown_offer
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import IDEMPOTENT, operation
from marketplace.core.sentences import sentences
from marketplace.core.terms import Rate, Terms
from marketplace.core.voucher import EpochUse, owed
from marketplace.models import Quote as QuoteRow
from marketplace.queries.actors import AccessRefusal, Act
from marketplace.queries.catalog import offer_terms, own_quote
from marketplace.queries.deployments import payment_token, token_by_caip
from marketplace.queries.orders import quotes_to


class QuoteWish(Body):
    """`offer`: digest of one of the dataset's offers; without it the current one.

    `units`: planned use, in the rate's unit, to learn what it would cost.
    """

    dataset: Id
    offer: Sha256Hex | None = None
    units: Annotated[int, msgspec.Meta(ge=0, le=10**9)] | None = None


class Quote(msgspec.Struct):
    """`total` is what is paid at once, `fee` the market's part of it. `usage`: what `units` would cost on top.

    `private`: an offer to this account alone. It is `wanted` until its owner has signed it, and has no `offer` yet. A
    fresh address of the account's holds its license, so an order that a wallet pays says `"licensee": "fresh"`.
    """

    id: UUID
    state: Literal["wanted", "ready", "ordered", "expired"]
    private: bool
    dataset: str
    title: str
    offer: str | None
    total: Money
    fee: Money
    usage: Money | None
    terms: str
    sentences: list[str]
    expires: datetime


class QuotesResource(Resource):
    acts = {"GET": Act.BUY, "POST": Act.BUY}

    @operation("Private offers to the account that still stand, newest first", answer=Page[Quote], query=PageQuery)
    def get(self, request: Request) -> HttpResponse:
        page = page_of(
            quotes_to(self.actor.account, now=self.now), order=("-created", "id"), query=self.query(PageQuery),
            request=self.http, show=lambda rows: [shown_quote(row, now=self.now) for row in rows],
        )  # fmt: skip
        return self.answer(page)

    @operation("Ask for a price", answer=Quote, status=201, body=QuoteWish, parameters=(IDEMPOTENT,))
    def post(self, request: Request) -> HttpResponse:
        wish = self.body(QuoteWish)

        def effect() -> tuple[int, Quote]:
            row = request_quote(by=self.actor, dataset=dataset_caip(wish.dataset), offer=wish.offer or "", now=self.now)
            return 201, shown_quote(row, now=self.now, units=wish.units)

        return self.once(effect, request=wish)


class QuoteResource(Resource):
    acts = {"GET": Act.BUY}

    @operation("A quote", answer=Quote)
    def get(self, request: Request, quote: UUID) -> HttpResponse:
        return self.answer(shown_quote(own_quote(self.actor.account, quote), now=self.now))


class QuotedOfferResource(Resource):
    acts = {"GET": Act.BUY}

    @operation("The signed offer behind a quote", answer=Offer)
    def get(self, request: Request, quote: UUID) -> HttpResponse:
        row = own_quote(self.actor.account, quote)
        if row.offer is None:
            raise AccessRefusal(
                "offer.not_found", "The owner has not signed this offer yet.", actual=str(quote),
                todo="Look at the quote again in a few seconds.",
            )  # fmt: skip
        return self.answer(shown_offer(row.offer))


def shown_quote(row: QuoteRow, *, now: datetime, units: int | None = None) -> Quote:
    """Return a quote as the API shows it; a private one also before its offer is signed."""
    terms = _wanted_terms(row) if row.offer is None else offer_terms(row.offer)
    token = payment_token().caip if row.offer is None else row.offer.token
    state = row.state if row.expires > now or row.state == QuoteRow.State.ORDERED else QuoteRow.State.EXPIRED
    return Quote(
        id=row.pk,
        state=str(state),  # type: ignore[arg-type]  # the model's own choices
        private=row.wanted is not None,
        dataset=id_of(row.listing.dataset),
        title=row.listing.title,
        offer=row.offer_id,
        total=money(row.price, token),
        fee=money(row.fee, token),
        usage=None if units is None or terms.rate is None else money(_cost(terms.rate, units), token),
        terms=terms.digest.hex,
        sentences=list(sentences(terms, token_by_caip(token))),
        expires=row.expires,
    )


def _wanted_terms(row: QuoteRow) -> Terms:
    assert row.wanted is not None, "a quote without an offer is a private one that waits for it"
    return Terms.from_document(row.wanted["terms"])


def _cost(rate: Rate, units: int) -> int:
    return owed(rate, (EpochUse(1, units * rate.unit.counts),)).amount
