"""Licenses for crawlers: RSL 1.0 for one dataset, and for everything that is listed."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from marketplace.core.money import Amount
from marketplace.core.rsl import NAMESPACE, rsl_document
from marketplace.models import OfferRow
from marketplace.queries.catalog import offer_terms, public_offers, search_listings
from marketplace.queries.deployments import token_by_caip
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
    root = ET.Element(f"{{{NAMESPACE}}}rsl")
    for listing in search_listings().select_related("offer__terms")[:LISTED_LIMIT]:
        if listing.offer is not None:
            # Our own text a moment ago, not a stranger's: nothing to defuse.
            root.extend(ET.fromstring(_document(slug_of_caip(listing.dataset), listing.offer)))  # noqa: S314
    text = ET.tostring(root, encoding="unicode", default_namespace=NAMESPACE)
    return HttpResponse(text, content_type=MEDIA_TYPE)


def _document(slug: str, offer: OfferRow) -> str:
    site = settings.CADASTRE_PUBLIC_URL
    return rsl_document(
        offer_terms(offer),
        content_url=site + reverse("dataset", args=[slug]),
        terms_url=site + reverse("sha256", args=[offer.terms_id]),
        offer_url=site + reverse("checkout", args=[offer.digest]),
        price=Amount(offer.price, token_by_caip(offer.token)),
    )
