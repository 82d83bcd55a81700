"""Publishing, step by step: open, describe, set terms and price, share the income, review, confirm.

Files and checks belong to the draft's submission (`provenance.submissions`); this is what trade adds to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F

from marketplace.core.money import check_units
from marketplace.core.terms import SCHEMA, Terms, Use
from marketplace.market_calls import licensee_path, publish_document
from marketplace.models import Draft, Listing
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.addresses import owner_signing
from marketplace.queries.deployments import current_deployment
from marketplace.queries.drafts import (
    DraftRefusal,
    Review,
    draft_splits,
    draft_terms,
    own_draft,
    review_draft,
    submission_of,
)
from marketplace.queries.orders import own_license
from provenance import submissions
from provenance.core.canonical import document_bytes
from provenance.models import Submission

HOLD_LIMIT = 365 * 86_400
DRAFTS_LIMIT = 100


@transaction.atomic
def open_draft(*, by: Actor, now: datetime, dataset: str = "", visibility: str = "sealed") -> Draft:
    """Begin a new dataset, or with `dataset` (CAIP-19) the next version of one of the account's.

    Terms, price and hold of a new version begin as those of the current offer. Raises AccessRefusal, AddressRefusal,
    DraftRefusal, SubmissionRefusal.
    """
    by.require(Act.PUBLISH)
    opened = by.account.drafts.filter(state=Draft.State.OPEN).count()
    if opened >= DRAFTS_LIMIT:
        raise DraftRefusal(
            "draft.too_many", "The account has too many open drafts.", limit=DRAFTS_LIMIT, actual=opened,
            todo="Discard some that you do not need.",
        )  # fmt: skip
    draft = Draft(account=by.account, dataset=dataset, created=now, changed=now)
    if dataset:
        _take_over(draft, by, dataset)
    deployment = current_deployment()
    owner = deployment.account_caip(owner_signing(by.account).address)
    opened_submission = submissions.open_submission(
        by=by.account.id, owner=owner, now=now, visibility=visibility, dataset=dataset
    )
    draft.submission = opened_submission.id
    draft.save(force_insert=True)
    return draft


@transaction.atomic
def describe_draft(
    *, by: Actor, draft: UUID, revision: int, now: datetime, slug: str | None = None, **fields: Any
) -> Draft:
    """Save the fields of the description (see `submissions.describe_submission`) and the name in addresses.

    Raises DraftRefusal `draft.revision` when somebody saved in between, AccessRefusal, SubmissionRefusal.
    """
    by.require(Act.PUBLISH)
    found = own_draft(by.account, draft)
    _save(found, revision, now, **({} if slug is None else {"slug": slug}))
    if fields:
        submissions.describe_submission(by=by.account.id, submission=submission_of(found).id, now=now, **fields)
    return found


@transaction.atomic
def set_terms(
    *,
    by: Actor,
    draft: UUID,
    revision: int,
    terms: Mapping[str, Any] | None,
    price: int | None,
    now: datetime,
    hold_seconds: int | None = None,
) -> Draft:
    """Save terms (`cadastre.terms/1` without `schema`), price (base units; None: not for sale), and hold.

    A hold of None is the register's default. Raises DraftRefusal, TermsRefusal, DocumentRefusal, MoneyRefusal,
    AccessRefusal.
    """
    by.require(Act.PUBLISH)
    found = own_draft(by.account, draft)
    if price is not None:
        check_units(price)
    hold = settings.CADASTRE_HOLD_SECONDS if hold_seconds is None else hold_seconds
    if not 0 <= hold <= HOLD_LIMIT:
        raise DraftRefusal("draft.hold", "A purchase can be held 0 to 365 days.", limit=HOLD_LIMIT, actual=hold)
    checked = None if terms is None else Terms.from_document({**terms, "schema": SCHEMA})
    if price is not None and checked is None:
        raise DraftRefusal("draft.price_without_terms", "A price needs terms.", todo="Choose terms first.")
    if price and submission_of(found).visibility == "open":
        raise DraftRefusal(
            "draft.open_price", "Open data has no price: anybody can read it.", limit=0, actual=price,
            todo="Set the price to 0, or lock the data.",
        )  # fmt: skip
    _save(
        found, revision, now,
        terms=None if checked is None else checked.to_document(),
        price=price,
        derive_bps=0 if checked is None else checked.derive_bps,
        hold_seconds=hold,
    )  # fmt: skip
    return found


@transaction.atomic
def set_parent_licenses(*, by: Actor, draft: UUID, revision: int, licenses: Mapping[str, str], now: datetime) -> Draft:
    """Name the license (CAIP-19) that permits each parent (CAIP-19) that is not open.

    Raises AccessRefusal, DraftRefusal.
    """
    by.require(Act.PUBLISH)
    found = own_draft(by.account, draft)
    _save(found, revision, now, parent_licenses=dict(licenses))
    return found


@transaction.atomic
def confirm_draft(
    *, by: Actor, draft: UUID, digest: str, now: datetime, wallet: Mapping[str, Any] | None = None
) -> Draft:
    """Publish exactly what the review showed: `digest` is the review's. From here on it is permanent.

    `wallet` carries the signatures of an owner who signs themselves (see `submissions.confirm`).
    Raises DraftRefusal when something is missing, clashes, or changed since the review was shown; it names all of it.
    """
    by.require(Act.PUBLISH)
    found = own_draft(by.account, draft)
    review = review_draft(found, now=now)
    _check_review(review, digest)
    splits = draft_splits(found)
    if splits is not None:
        publish_document(document_bytes(splits.to_document()), schema="cadastre.splits/1", now=now)
    moved = Draft.objects.filter(pk=found.pk, state=Draft.State.OPEN).update(
        state=Draft.State.CONFIRMED, confirmed=review.document, confirmed_at=now, changed=now
    )
    if moved != 1:
        raise _not_open(found)
    submissions.confirm(
        by=by.account.id,
        submission=submission_of(found).id,
        manifest=review.manifest_digest,
        now=now,
        derive_bps=found.derive_bps,
        open_derive=_open_derive(found),
        splits=review.splits_digest,
        permits=_permits(found),
        wallet=wallet,
    )
    found.refresh_from_db()
    return found


@transaction.atomic
def discard_draft(*, by: Actor, draft: UUID, now: datetime) -> None:
    """Give up a draft that is not being registered; what it holds is freed. Raises DraftRefusal, SubmissionRefusal."""
    by.require(Act.PUBLISH)
    found = own_draft(by.account, draft)
    moved = Draft.objects.filter(pk=found.pk, state__in=(Draft.State.OPEN, Draft.State.STOPPED)).update(
        state=Draft.State.DISCARDED, changed=now
    )
    if moved != 1:
        raise _not_open(found)
    if found.submission is not None and Submission.objects.filter(pk=found.submission).exists():
        submissions.withdraw_submission(by=by.account.id, submission=found.submission, now=now)


def _take_over(draft: Draft, by: Actor, dataset: str) -> None:
    listing = Listing.objects.select_related("offer", "draft").filter(pk=dataset, account=by.account).first()
    if listing is None:
        raise AccessRefusal("dataset.not_found", "There is no such dataset of this account.", actual=dataset[:160])
    draft.slug = listing.slug
    if listing.draft is not None:
        earlier = listing.draft
        draft.terms, draft.price = earlier.terms, earlier.price
        draft.derive_bps, draft.hold_seconds = earlier.derive_bps, earlier.hold_seconds


def _permits(draft: Draft) -> dict[str, dict[str, Any]]:
    permits: dict[str, dict[str, Any]] = {}
    for parent, license_id in draft.parent_licenses.items():
        row = own_license(draft.account, license_id)
        if row.dataset != parent:
            raise DraftRefusal(
                "draft.license_of_other", "A license is for another dataset than the parent.",
                limit=parent, actual=row.dataset, todo="Choose the license that was bought for this parent.",
            )  # fmt: skip
        # The licensee is a fresh address of its own; its custodial key consents to the derivation.
        consent = None if row.order_id is None else {"signer": licensee_path(row.order_id)}
        permits[parent] = {"license": license_id, "derivation": consent}
    return permits


def reopen_draft(*, submission: UUID, refusal: Mapping[str, Any] | None, now: datetime) -> None:
    """A registration did not take place: the draft can be changed and confirmed again. Safe twice."""
    Draft.objects.filter(submission=submission, state=Draft.State.CONFIRMED).update(
        state=Draft.State.OPEN, refusal=refusal, confirmed=None, confirmed_at=None, changed=now
    )


def _open_derive(draft: Draft) -> bool:
    # Whoever may read open data under terms that allow derivation needs no license number for it.
    terms = draft_terms(draft)
    return terms is not None and Use.DERIVE in terms.uses and submission_of(draft).visibility == "open"


def _check_review(review: Review, digest: str) -> None:
    if review.missing:
        raise DraftRefusal(
            "draft.incomplete", "Something is missing before this can be published.",
            limit=0, actual=", ".join(review.missing), todo="Complete these steps.",
        )  # fmt: skip
    if review.conflicts:
        raise DraftRefusal(
            "draft.conflicts",
            "The terms promise what the data it was built from does not allow: "
            + " ".join(conflict.sentence for conflict in review.conflicts),
            limit=0, actual=len(review.conflicts), todo="Change the terms, or get other licenses.",
        )  # fmt: skip
    if review.digest != digest:
        raise DraftRefusal(
            "draft.changed_since_review", "Something changed after the review was shown.",
            limit=review.digest, actual=digest[:80], todo="Look at the review again and confirm what it shows now.",
        )  # fmt: skip


def _save(draft: Draft, revision: int, now: datetime, **changes: Any) -> None:
    saved = Draft.objects.filter(pk=draft.pk, state=Draft.State.OPEN, revision=revision).update(
        revision=F("revision") + 1, changed=now, **changes
    )
    if saved != 1:
        draft.refresh_from_db()
        if draft.state != Draft.State.OPEN:
            raise _not_open(draft)
        raise DraftRefusal(
            "draft.revision", "Somebody else saved this draft in between.", limit=draft.revision, actual=revision,
            todo="Load it again; nothing of theirs was overwritten.",
        )  # fmt: skip
    draft.refresh_from_db()


def _not_open(draft: Draft) -> DraftRefusal:
    return DraftRefusal(
        "draft.state", "This draft can no longer be changed.", limit=str(Draft.State.OPEN), actual=str(draft.state),
        todo="Open a new draft for a new version.",
    )  # fmt: skip
