"""Licenses for crawlers: RSL 1.0 for one dataset, and for everything that is listed."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from marketplace.core.money import Amount
from marketplace.core.rsl import NAMESPACE, rsl_document
from marketplace.models import OfferRow
from marketplace.queries.catalog import offer_terms, public_offers
from marketplace.queries.deployments import token_by_caip
from marketplace.queries.search import search_listings
from marketplace.web.ids import dataset_caip, slug_of_caip

MEDIA_TYPE = "application/rsl+xml; charset=utf-8"
LISTED_LIMIT = 500


def dataset_license(request: HttpRequest, slug: str) -> HttpResponse:
    """The license of one dataset's current offer."""
    offers = public_offers(dataset_caip(slug), now=timezone.now())
    if not offers:
        raise Http404
    return HttpResponse(_document(slug, offers[0]), content_type=MEDIA_TYPE)


def all_licenses(request: HttpRequest) -> HttpResponse:
    """The licenses of everything listed, newest first; robots.txt leads here."""
    listings = search_listings().select_related("offer__terms")[:LISTED_LIMIT]
    documents = [_document(slug_of_caip(each.dataset), each.offer) for each in listings if each.offer is not None]
    # Each is `<rsl …>`, its contents, `</rsl>`, as `rsl_document` has just written it: one root takes all contents.
    contents = "".join(document.partition(">")[2].removesuffix("</rsl>") for document in documents)
    return HttpResponse(f'<rsl xmlns="{NAMESPACE}">{contents}</rsl>', content_type=MEDIA_TYPE)


def _document(slug: str, offer: OfferRow) -> str:
    site = settings.CADASTRE_PUBLIC_URL
    return rsl_document(
        offer_terms(offer),
        content_url=site + reverse("dataset", args=[slug]),
        terms_url=site + reverse("sha256", args=[offer.terms_id]),
        offer_url=site + reverse("checkout", args=[offer.digest]),
        price=Amount(offer.price, token_by_caip(offer.token)),
    )
