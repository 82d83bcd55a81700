"""Listings: put up when a registration is final, delisted, withheld, renamed."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction

from marketplace import market_calls
from marketplace.actions.offers import OfferRefusal, create_offer, dataset_record, end_offer, search_uses
from marketplace.actions.wallet_requests import want_change
from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.money import check_bps
from marketplace.core.terms import Terms
from marketplace.models import Account, Draft, Listing, OfferRow, SlugRedirect, WalletRequest
from marketplace.queries.actors import Act, Actor
from marketplace.queries.catalog import offer_terms, own_listing
from marketplace.queries.deployments import deployment_of
from marketplace.queries.drafts import draft_terms
from provenance.core.refusal import Refusal
from provenance.models import Intent, Submission

SLUG_LIMIT = 80
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?")


class ListingRefusal(Refusal):
    """A change of a listing is refused."""


class DelistReason(StrEnum):
    """Why an owner ends sales; the log holds the word, never free text."""

    OWNER = "owner"
    QUALITY = "quality"
    REPLACED = "replaced"
    EXCLUSIVE = "exclusive"
    RIGHTS = "rights"


@transaction.atomic
def list_published(*, submission: UUID, now: datetime) -> Listing | None:
    """Put up the listing of a draft whose registration is final, and make its first offer. Safe twice.

    Called when evidence says that a submission is final; a submission without a draft is nobody's listing here.
    """
    draft = Draft.objects.select_related("account").filter(submission=submission).first()
    facts = Submission.objects.filter(pk=submission).first()
    if draft is None or facts is None or not facts.dataset:
        return None
    moved = Draft.objects.filter(pk=draft.pk).exclude(state=Draft.State.PUBLISHED)
    if moved.update(state=Draft.State.PUBLISHED, dataset=facts.dataset, refusal=None, changed=now) != 1:
        return Listing.objects.filter(pk=facts.dataset).first()
    draft.refresh_from_db()
    listing = _put_up(draft, facts, now)
    _enroll_owner(listing, now)
    _invite_payees(draft, listing, now)
    terms = draft_terms(draft)
    if draft.price is not None and terms is not None:
        create_offer(listing=listing, terms=terms, price=draft.price, hold_seconds=draft.hold_seconds, now=now)
    return listing


@transaction.atomic
def delist_dataset(*, by: Actor, dataset: str, reason: DelistReason, now: datetime) -> Listing:
    """End sales. Licensees keep bytes and keys. Raises AccessRefusal, ListingRefusal."""
    by.require(Act.PUBLISH)
    listing = own_listing(by.account, dataset)
    moved = Listing.objects.filter(pk=dataset, state__in=(Listing.State.LISTED, Listing.State.UNLISTED)).update(
        state=Listing.State.DELISTED, reason=reason.value, offer=None, changed=now
    )
    if moved != 1:
        raise ListingRefusal(
            "listing.state", "This dataset is not for sale.", limit=str(Listing.State.LISTED), actual=str(listing.state)
        )
    _end_offers(dataset, now)
    _state_change(dataset, "delisted", reason.value, now)
    listing.refresh_from_db()
    return listing


@transaction.atomic
def relist_dataset(*, by: Actor, dataset: str, now: datetime) -> OfferRow:
    """Sell a delisted dataset again, at the terms and price it had; live when signed. Raises ListingRefusal."""
    by.require(Act.PUBLISH)
    listing = own_listing(by.account, dataset)
    if listing.state != Listing.State.DELISTED:
        raise ListingRefusal(
            "listing.state", "Only a delisted dataset is put up again.",
            limit=str(Listing.State.DELISTED), actual=str(listing.state), todo="Make a new offer instead.",
        )  # fmt: skip
    last = OfferRow.objects.filter(dataset=dataset, public=True, live_at__isnull=False).order_by("-live_at").first()
    if last is None:
        raise OfferRefusal("offer.none", "It never had an offer.", todo="Make one with terms and price.")
    return create_offer(
        listing=listing, terms=offer_terms(last), price=last.price, hold_seconds=last.hold_seconds, now=now
    )


def edit_offer(
    *, by: Actor, dataset: str, terms: Terms | None, price: int | None, hold_seconds: int | None, now: datetime
) -> OfferRow:
    """Offer a dataset anew; what is None stays as in its latest offer. Raises OfferRefusal, AccessRefusal."""
    by.require(Act.PUBLISH)
    listing = own_listing(by.account, dataset)
    latest = OfferRow.objects.filter(dataset=dataset, public=True).order_by("-created").first()
    if latest is None and (terms is None or price is None):
        raise OfferRefusal("offer.none", "It never had an offer.", todo="Name terms and price.")
    if listing.state == Listing.State.WITHHELD:
        raise OfferRefusal("offer.withheld", "This dataset is withheld.", actual=listing.reason)
    chosen = offer_terms(latest) if terms is None and latest is not None else terms
    assert chosen is not None
    return create_offer(
        listing=listing,
        terms=chosen,
        price=latest.price if price is None and latest is not None else price or 0,
        hold_seconds=latest.hold_seconds if hold_seconds is None and latest is not None else hold_seconds or 0,
        now=now,
    )


@transaction.atomic
def withhold_listing(*, dataset: str, reason: str, now: datetime) -> None:
    """Stop sales and delivery because evidence says that the content is withheld or erased. Safe twice."""
    moved = (
        Listing.objects.filter(pk=dataset)
        .exclude(state=Listing.State.WITHHELD)
        .update(state=Listing.State.WITHHELD, reason=reason[:40], offer=None, changed=now)
    )
    if moved:
        _end_offers(dataset, now)
        _state_change(dataset, "delisted", "withheld", now)


@transaction.atomic
def rename_dataset(*, by: Actor, dataset: str, slug: str, now: datetime) -> Listing:
    """Change the name in addresses; the old one goes on leading here. Raises AccessRefusal, ListingRefusal."""
    by.require(Act.PUBLISH)
    listing = own_listing(by.account, dataset)
    if _SLUG.fullmatch(slug) is None:
        raise ListingRefusal(
            "listing.slug", "The name in addresses has lower-case letters, digits and hyphens.",
            limit=SLUG_LIMIT, actual=slug[:100],
        )  # fmt: skip
    if slug == listing.slug:
        return listing
    if Listing.objects.filter(account=by.account, slug=slug).exists():
        raise ListingRefusal("listing.slug_taken", "You have another dataset with this name.", actual=slug)
    SlugRedirect.objects.filter(account=by.account, slug=slug).delete()
    SlugRedirect.objects.create(account=by.account, slug=listing.slug, listing=listing, created=now)
    Listing.objects.filter(pk=dataset).update(slug=slug, changed=now)
    listing.refresh_from_db()
    return listing


@transaction.atomic
def change_derive_share(*, by: Actor, dataset: str, derive_bps: int, now: datetime) -> Intent | WalletRequest:
    """Change what datasets derived from now on will owe, in the registry; those registered before keep their share.

    Live terms still name the old share: offer the dataset anew once the change is on chain. Raises AccessRefusal,
    OfferRefusal, MoneyRefusal, WalletRefusal.
    """
    by.require(Act.PUBLISH)
    listing = own_listing(by.account, dataset)
    check_bps(derive_bps, "share owed by derivatives")
    name = AssetName.parse(dataset, AssetKind.DATASET)
    deployment = deployment_of(name)
    record = dataset_record(name, deployment)
    return want_change(
        by=by, act=WalletRequest.Act.DERIVE_TERMS, kind="registry.set_derive_terms", record=record,
        call={"derive_bps": derive_bps, "open_derive": listing.visibility == "open"},
        key=f"derive-terms:{dataset}:{derive_bps}:{now:%Y%m%d%H%M%S}", now=now,
    )  # fmt: skip


def _put_up(draft: Draft, facts: Submission, now: datetime) -> Listing:
    existing = Listing.objects.filter(pk=facts.dataset).first()
    slug = existing.slug if existing is not None else free_slug(draft.account, draft.slug or facts.title)
    terms = draft_terms(draft)
    uses = [] if terms is None else sorted(use.value for use in terms.uses)
    values = {
        "draft": draft,
        "title": facts.title,
        "creator": facts.creator,
        "description": facts.description,
        "kind": facts.kind,
        "visibility": facts.visibility,
        "languages": facts.languages,
        "uses": uses,
        "files": int(facts.totals.get("files", 0)),
        "bytes": int(facts.totals.get("bytes", 0)),
        "records": int(facts.totals.get("records", 0)),
        "version": facts.version,
        "search_text": search_text(facts.title, facts.creator, slug, draft.account.slug, facts.description),
        "search_uses": search_uses(uses, facts.languages),
        "changed": now,
    }
    if existing is not None:
        Listing.objects.filter(pk=existing.pk).update(**values)
        existing.refresh_from_db()
        return existing
    return Listing.objects.create(dataset=facts.dataset, account=draft.account, slug=slug, created=now, **values)


def free_slug(account: Account, wanted: str) -> str:
    """Return a name in addresses made from a title or a wished name, which no dataset of the account has."""
    plain = wanted if _SLUG.fullmatch(wanted) else re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")[:60].strip("-")
    taken = Listing.objects.filter(account=account, slug=plain or "dataset").exists()
    return f"{plain or 'dataset'}-{secrets.token_hex(3)}" if taken else plain or "dataset"


def search_text(*parts: str) -> str:
    """Return what the search box looks into: title, creator, names and description in lower case."""
    return " ".join(parts).lower()


def _enroll_owner(listing: Listing, now: datetime) -> None:
    name = AssetName.parse(listing.dataset, AssetKind.DATASET)
    market_calls.want(
        kind="market.enroll_owner",
        key=f"enroll-owner:{listing.dataset}",
        payload={"dataset": str(name.number)},
        deployment=deployment_of(name),
        now=now,
    )


def _invite_payees(draft: Draft, listing: Listing, now: datetime) -> None:
    deployment = deployment_of(AssetName.parse(listing.dataset, AssetKind.DATASET))
    for contributor in draft.contributors.exclude(state="declined").exclude(address=None):
        market_calls.want(
            kind="market.invite_payee",
            key=f"invite-payee:{deployment.market}:{contributor.address}",
            payload={"account": contributor.address},
            deployment=deployment,
            now=now,
        )


def _end_offers(dataset: str, now: datetime) -> None:
    for row in OfferRow.objects.filter(dataset=dataset, state__in=(OfferRow.State.LIVE, OfferRow.State.WANTED)):
        end_offer(row, OfferRow.State.WITHDRAWN, now=now)


def _state_change(dataset: str, state: str, reason: str, now: datetime) -> None:
    market_calls.state_fact(
        type="listing.changed",
        subject=dataset,
        unique=f"{state}:{now:%Y-%m-%dT%H:%M:%S.%fZ}",
        body={"state": state, "offer": None, "reason": reason},
        now=now,
    )
