"""Quotes: a price for one buyer, binding until it expires; public offers at once, private ones when signed."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from marketplace import limits, market_calls
from marketplace.actions.offers import OFFERS_PER_DAY, OfferRefusal, create_offer, dataset_record
from marketplace.core.caip import AccountName, AssetKind, AssetName
from marketplace.core.money import check_units
from marketplace.core.offer import check_derive_share
from marketplace.core.terms import Terms
from marketplace.models import Account, Listing, OfferRow, Quote
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.catalog import current_fee_bps, fee_part, listing_of, own_listing
from marketplace.queries.deployments import deployment_of
from provenance.core.refusal import Refusal

log = logging.getLogger(__name__)

QUOTE_HOURS = 24
PRIVATE_DAYS = 14


@transaction.atomic
def request_quote(*, by: Actor, dataset: str, now: datetime, offer: str = "") -> Quote:
    """Quote the dataset's current offer, or the live public offer with this digest, for the account.

    Raises AccessRefusal, OfferRefusal.
    """
    by.require(Act.BUY)
    listing = listing_of(dataset)
    row = _quotable(listing, offer, now)
    expires = now + timedelta(hours=QUOTE_HOURS)
    return Quote.objects.create(
        account=by.account,
        listing=listing,
        offer=row,
        price=row.price,
        fee=fee_part(row.price, row.fee_bps),
        expires=expires if row.expires is None else min(expires, row.expires),
        created=now,
    )


@transaction.atomic
def make_private_offer(
    *,
    by: Actor,
    dataset: str,
    buyer: str,
    terms: Terms,
    price: int,
    hold_seconds: int,
    now: datetime,
    days: int = PRIVATE_DAYS,
) -> Quote:
    """Offer a dataset to one account (by its slug) at a price of its own; nobody else can accept it, here or on chain.

    The licensee's address is made first, then the offer that names it, then the owner's signature: the quote is ready
    when all three are there. Raises AccessRefusal, OfferRefusal.
    """
    by.require(Act.PUBLISH)
    listing = own_listing(by.account, dataset)
    if listing.state == Listing.State.WITHHELD:
        raise OfferRefusal("offer.withheld", "This dataset is withheld.", actual=listing.reason)
    if not 1 <= days <= 365:
        raise OfferRefusal("offer.days", "A private offer lives 1 to 365 days.", limit=365, actual=days)
    account = Account.objects.filter(slug=buyer).first()
    if account is None:
        raise AccessRefusal("account.not_found", "There is no such account.", actual=buyer[:80])
    check_units(price)
    name = AssetName.parse(dataset, AssetKind.DATASET)
    deployment = deployment_of(name)
    check_derive_share(terms, dataset_record(name, deployment).derive_bps)
    limits.take(f"private-offers:{by.account.pk}", limit=OFFERS_PER_DAY, seconds=86_400, now=now)
    quote = Quote(
        account=account,
        listing=listing,
        price=price,
        fee=fee_part(price, current_fee_bps(deployment)),
        wanted={"terms": terms.to_document(), "hold_seconds": hold_seconds},
        state=Quote.State.WANTED,
        created=now,
        expires=now + timedelta(days=days),
    )
    quote.save(force_insert=True)
    market_calls.want_address(market_calls.licensee_path(quote.id), now=now)
    return quote


def advance_quotes(*, now: datetime, limit: int = 200) -> int:
    """Make the offers of private quotes whose licensee is known, and end quotes that expired; return how many moved."""
    moved = 0
    for quote in Quote.objects.filter(state=Quote.State.WANTED, offer=None, expires__gt=now)[:limit]:
        address = market_calls.want_address(market_calls.licensee_path(quote.id), now=now)
        if address is not None:
            moved += _try_offer(quote, address, now)
    waiting = (Quote.State.WANTED, Quote.State.READY)
    moved += Quote.objects.filter(state__in=waiting, expires__lte=now).update(state=Quote.State.EXPIRED)
    return moved


def _try_offer(quote: Quote, address: str, now: datetime) -> int:
    try:
        return _make_offer(quote, address, now)
    except Refusal as refusal:
        # What was fine when it was asked for is not any more. It ends here, so that the quotes of others go on.
        log.warning("%s ends without an offer: %s", quote, refusal)
        return Quote.objects.filter(pk=quote.pk, state=Quote.State.WANTED).update(state=Quote.State.EXPIRED)


@transaction.atomic
def _make_offer(quote: Quote, address: str, now: datetime) -> int:
    locked = Quote.objects.select_for_update().select_related("listing").filter(pk=quote.pk, offer=None).first()
    if locked is None or locked.wanted is None:
        return 0
    chain = AssetName.parse(locked.listing.dataset, AssetKind.DATASET).chain
    offer = create_offer(
        listing=locked.listing,
        terms=Terms.from_document(locked.wanted["terms"]),
        price=locked.price,
        hold_seconds=int(locked.wanted["hold_seconds"]),
        expires=locked.expires,
        count=1,
        licensee=AccountName(chain, address),
        now=now,
    )
    return Quote.objects.filter(pk=quote.pk, offer=None).update(offer=offer, licensee=address)


def _quotable(listing: Listing, digest: str, now: datetime) -> OfferRow:
    unexpired = Q(expires__isnull=True) | Q(expires__gt=now)
    live = OfferRow.objects.filter(unexpired, dataset=listing.dataset, public=True, state=OfferRow.State.LIVE)
    row = live.filter(pk=digest).first() if digest else live.order_by("-created").first()
    if row is None:
        raise OfferRefusal(
            "offer.none", "This dataset is not for sale now.", actual=str(listing.state),
            todo="Ask its owner for an offer.",
        )  # fmt: skip
    if row.count is not None and not OfferRow.objects.filter(pk=row.pk, sold__lt=F("count")).exists():
        raise OfferRefusal("offer.sold_out", "All licenses of this offer are sold.", limit=row.count, actual=row.sold)
    return row
