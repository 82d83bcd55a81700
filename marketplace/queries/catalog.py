"""Listings, offers and quotes: what can be seen and bought."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from marketplace.core.caip import slug_of
from marketplace.core.money import BPS
from marketplace.core.offer import Offer
from marketplace.core.terms import Terms
from marketplace.models import Account, FormerSlug, LicenseRow, Listing, OfferRow, Quote, SlugRedirect, UsageReport
from marketplace.queries.actors import AccessRefusal
from provenance.core.canonical import parse_canonical
from provenance.models import ChainEvent, Deployment


def listing_of(dataset: str) -> Listing:
    """Return the listing of a dataset (CAIP-19). Raises AccessRefusal `dataset.not_found`."""
    found = Listing.objects.select_related("account", "offer", "offer__terms").filter(pk=dataset).first()
    if found is None:
        raise AccessRefusal("dataset.not_found", "This dataset is not listed here.", actual=dataset[:160])
    return found


def own_listing(account: Account, dataset: str) -> Listing:
    """Return the account's listing of a dataset. Somebody else's looks like one that does not exist."""
    found = listing_of(dataset)
    if found.account_id != account.pk:
        raise AccessRefusal("dataset.not_found", "There is no such dataset of this account.", actual=dataset[:160])
    return found


def account_at(slug: str) -> Account | None:
    """Return the account at `/{account}`, also under a name that it had."""
    found = Account.objects.filter(slug=slug).first()
    if found is not None:
        return found
    former = FormerSlug.objects.select_related("account").filter(slug=slug).first()
    return None if former is None else former.account


def listing_at(account_slug: str, slug: str) -> Listing:
    """Return the listing at `/{account}/{dataset}`, also under names that either had. Raises AccessRefusal."""
    rows = Listing.objects.select_related("account", "offer")
    account = account_at(account_slug)
    found = rows.filter(account=account, slug=slug).first()
    if found is not None:
        return found
    redirect = SlugRedirect.objects.filter(account=account, slug=slug).first()
    if redirect is None:
        raise AccessRefusal("dataset.not_found", "There is no such dataset.", actual=f"{account_slug}/{slug}"[:160])
    return rows.get(pk=redirect.listing_id)


def public_offers(dataset: str, *, now: datetime) -> list[OfferRow]:
    """Return the live public offers of a dataset, newest first."""
    unexpired = Q(expires__isnull=True) | Q(expires__gt=now)
    rows = OfferRow.objects.select_related("terms").filter(
        unexpired, dataset=dataset, public=True, state=OfferRow.State.LIVE
    )
    return list(rows.order_by("-created"))


def offers_of(dataset: str) -> list[OfferRow]:
    """Return every public offer that a dataset ever had, newest first."""
    rows = OfferRow.objects.select_related("terms").filter(dataset=dataset, public=True)
    return list(rows.order_by("-created"))


def private_quotes_of(dataset: str) -> list[Quote]:
    """Return the offers of a dataset that were made to one account each, newest first."""
    rows = Quote.objects.select_related("account", "offer").filter(listing=dataset, wanted__isnull=False)
    return list(rows.order_by("-created")[:50])


def refunds_wanted(dataset: str) -> list[LicenseRow]:
    """Return the active licenses of a dataset whose buyers asked for the price back, oldest first."""
    rows = LicenseRow.objects.filter(dataset=dataset, state="active", order__refund_wanted__isnull=False)
    return list(rows.order_by("order__refund_wanted"))


def offer_value(row: OfferRow) -> Offer:
    """Return the offer that the row's document states."""
    return Offer.from_document(parse_canonical(bytes(row.document)))


def offer_terms(row: OfferRow) -> Terms:
    """Return the terms that the offer names."""
    return Terms.from_document(parse_canonical(bytes(row.terms.document)))


def fee_part(price: int, fee_bps: int) -> int:
    """Return the market's part of a price, rounded down, as settlements take it."""
    return price * fee_bps // BPS


def current_fee_bps(deployment: Deployment) -> int:
    """Return the fee that new offers carry: the market's latest, or the configured one before it ever changed."""
    latest = ChainEvent.objects.filter(deployment=deployment, name="FeeSet")
    event = latest.order_by("-block_number", "-log_index").first()
    return int(settings.CADASTRE_FEE_BPS) if event is None else event.number("feeBps")


def own_quote(account: Account, quote: UUID) -> Quote:
    """Return a quote that was made for the account. Raises AccessRefusal `quote.not_found`."""
    rows = Quote.objects.select_related("offer", "offer__terms", "listing")
    found = rows.filter(pk=quote, account=account).first()
    if found is None:
        raise AccessRefusal("quote.not_found", "There is no such quote.", actual=str(quote))
    return found


def title_of(dataset: str) -> str:
    """Return the title that a dataset (CAIP-19) is listed under, or its id in addresses."""
    return titles_of([dataset])[dataset]


def titles_of(datasets: Iterable[str]) -> dict[str, str]:
    """Return the same of several datasets."""
    wanted = set(datasets)
    known = dict(Listing.objects.filter(pk__in=wanted).values_list("pk", "title"))
    return {dataset: known.get(dataset) or slug_of(dataset) for dataset in wanted}


def listings_of(account: Account) -> list[Listing]:
    """Return every dataset of an account, newest first."""
    return list(account.listings.select_related("offer").order_by("-created"))


def sales_of(account: Account) -> QuerySet[LicenseRow]:
    """Return licenses of the account's datasets, newest first: amounts and uses, never who the buyer is."""
    return LicenseRow.objects.filter(dataset__in=account.listings.values("pk")).order_by("-start")


def usage_of_datasets(account: Account) -> QuerySet[UsageReport]:
    """Return the usage reports about the account's datasets, newest first."""
    entered = UsageReport.objects.filter(state=UsageReport.State.ENTERED)
    return entered.filter(dataset__in=account.listings.values("pk")).order_by("-created")
