"""`/datasets/{id}/offers` and `/datasets/{id}/listing`: what can be bought, and whether."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.actions.listings import (
    DelistReason,
    ListingRefusal,
    delist_dataset,
    edit_offer,
    relist_dataset,
)
from marketplace.api.money import Money, Price, money, price_units
from marketplace.api.pages import Page, PageQuery, page_of_list
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import IDEMPOTENT, operation
from marketplace.api.terms import Count, Terms
from marketplace.core import terms as core
from marketplace.core.sentences import sentences
from marketplace.models import Listing, OfferRow
from marketplace.queries.actors import Act
from marketplace.queries.catalog import fee_part, offer_terms, public_offers
from marketplace.queries.deployments import token_by_caip
from marketplace.queries.registered import registered
from provenance.core.canonical import parse_canonical


class Offer(msgspec.Struct):
    """An offer. `document` and `signature` are what a wallet of one's own buys with, directly on chain."""

    digest: str
    version: int
    price: Money
    fee: Money
    hold_seconds: int
    expires: datetime | None
    left: int | None
    terms: dict[str, Any]
    terms_digest: str
    sentences: list[str]
    document: dict[str, Any]
    signature: str
    created: datetime


class ListingChange(Body):
    """`state` to end sales or to sell again; or a new offer by `terms` and `price` (what is left out stays)."""

    state: Literal["listed", "delisted"] | None = None
    reason: Literal["owner", "quality", "replaced", "exclusive", "rights"] | None = None
    terms: Terms | None = None
    price: Price | None = None
    hold_seconds: Count | None = None


class ListingShown(msgspec.Struct):
    """How a dataset stands for sale. `wanted` is the digest of an offer that waits for its signature."""

    state: Literal["listed", "unlisted", "delisted", "withheld"]
    reason: str | None
    offer: str | None
    wanted: str | None


class OffersResource(Resource):
    acts = {"GET": None}

    @operation("Live public offers, newest first", answer=Page[Offer], query=PageQuery)
    def get(self, request: Request, dataset: str) -> HttpResponse:
        registered(dataset)
        found = [shown_offer(row) for row in public_offers(dataset, now=self.now)]
        return self.answer(page_of_list(found, query=self.query(PageQuery), request=self.http), public=True)


class ListingResource(Resource):
    acts = {"POST": Act.PUBLISH}

    @operation(
        "End sales, sell again, or offer anew", answer=ListingShown, body=ListingChange, parameters=(IDEMPOTENT,)
    )
    def post(self, request: Request, dataset: str) -> HttpResponse:
        wish = self.body(ListingChange)
        return self.once(lambda: (200, self._change(dataset, wish)), request=wish)

    def _change(self, dataset: str, wish: ListingChange) -> ListingShown:
        anew = wish.terms is not None or wish.price is not None or wish.hold_seconds is not None
        if (wish.state is None) != anew:
            raise ListingRefusal(
                "listing.change", "A change names either a state, or what is new about the offer.",
                todo='Send {"state": …}, or any of terms, price, hold_seconds.',
            )  # fmt: skip
        wanted: OfferRow | None = None
        match wish.state:
            case "delisted":
                reason = DelistReason(wish.reason or DelistReason.OWNER)
                delist_dataset(by=self.actor, dataset=dataset, reason=reason, now=self.now)
            case "listed":
                wanted = relist_dataset(by=self.actor, dataset=dataset, now=self.now)
            case None:
                wanted = self._offer_anew(dataset, wish)
        listing = Listing.objects.get(pk=dataset)
        return ListingShown(
            state=str(listing.state),  # type: ignore[arg-type]  # the model's own choices
            reason=listing.reason or None,
            offer=listing.offer_id,
            wanted=None if wanted is None else wanted.digest,
        )

    def _offer_anew(self, dataset: str, wish: ListingChange) -> OfferRow:
        terms = None if wish.terms is None else core.Terms.from_document(msgspec.to_builtins(wish.terms))
        price = None if wish.price is None else price_units(wish.price)
        return edit_offer(
            by=self.actor, dataset=dataset, terms=terms, price=price, hold_seconds=wish.hold_seconds, now=self.now
        )


def shown_offer(row: OfferRow) -> Offer:
    """Return an offer as the API shows it."""
    terms = offer_terms(row)
    return Offer(
        digest=row.digest,
        version=row.version,
        price=money(row.price, row.token),
        fee=money(fee_part(row.price, row.fee_bps), row.token),
        hold_seconds=row.hold_seconds,
        expires=row.expires,
        left=None if row.count is None else row.count - row.sold,
        terms=terms.to_document(),
        terms_digest=row.terms_id,
        sentences=list(sentences(terms, token_by_caip(row.token))),
        document=dict(parse_canonical(bytes(row.document))),  # type: ignore[arg-type]  # an offer is an object
        signature=row.signature,
        created=row.created,
    )
