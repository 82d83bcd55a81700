"""Publishing, step by step: open, describe, set terms and price, share the income, review, confirm.

Files and checks belong to the draft's submission (`provenance.submissions`); this is what trade adds to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F

from marketplace.core.caip import AccountName, AssetKind, AssetName
from marketplace.core.money import check_units
from marketplace.core.terms import SCHEMA, Terms, Use
from marketplace.market_calls import licensee_key, publish_document
from marketplace.models import Account, Draft, LicenseRow, Listing
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.addresses import owner_signing, signing_of
from marketplace.queries.deployments import current_deployment, deployment_of
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
from provenance import registering, submissions
from provenance.core.canonical import document_bytes
from provenance.core.typed_data import TypedData
from provenance.models import DatasetRecord, Submission, SubmissionState

HOLD_LIMIT = 365 * 86_400
DRAFTS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class WalletConsents:
    """What wallets of the account sign before a draft is confirmed; `deadline` (Unix seconds) is part of it.

    `owner` and the first two are None when our key signs for the owner; `derivations`: by parent (CAIP-19) the wallet
    that holds the license for it, and what that wallet signs.
    """

    deadline: int
    owner: str | None
    registration: TypedData | None
    attestation: TypedData | None
    derivations: Mapping[str, tuple[str, TypedData]]


@transaction.atomic
def open_draft(*, by: Actor, now: datetime, dataset: str = "", visibility: str = "sealed", owner: str = "") -> Draft:
    """Begin a new dataset, or with `dataset` (CAIP-19) the next version of one of the account's.

    `owner`: which of the account's addresses will own it; a version belongs to the owner of its dataset. Terms, price
    and hold of a new version begin as those of the current offer. Raises AccessRefusal, AddressRefusal,
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
    address = _owner_of(by.account, dataset) if dataset else owner_signing(by.account, owner.lower()).address
    opened_submission = submissions.open_submission(
        by=by.account.id, owner=current_deployment().account_caip(address), now=now, visibility=visibility,
        dataset=dataset,
    )  # fmt: skip
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

    `wallet` carries the signatures of an owner who signs themselves, as `wallet_consents` asks for them: `deadline`,
    `registration`, `attestation`, and `derivations` by parent. Raises DraftRefusal when something is missing, clashes,
    or changed since the review was shown; it names all of it. Raises TypedDataRefusal for another key's signature.
    """
    by.require(Act.PUBLISH)
    found = own_draft(by.account, draft)
    review = review_draft(found, now=now)
    _check_review(review, digest)
    if found.state != Draft.State.OPEN:
        raise _not_open(found)
    derivations = _check_wallet(found, review, wallet)
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
        max_stack_bps=review.owed.stack_bps,
        permits=_permits(found, derivations),
        wallet=wallet if own_wallet(found) else None,
    )
    found.refresh_from_db()
    return found


def wallet_consents(*, by: Actor, draft: UUID, now: datetime) -> WalletConsents | None:
    """Return what wallets sign before a complete draft is confirmed, or None when our keys sign all of it.

    Raises AccessRefusal, DraftRefusal, SubmissionRefusal.
    """
    by.require(Act.PUBLISH)
    found = own_draft(by.account, draft)
    if found.state != Draft.State.OPEN or submission_of(found).state != SubmissionState.AWAITING_CONFIRM:
        return None
    review = review_draft(found, now=now)
    licensed = _licensee_wallets(found)
    owner = own_wallet(found)
    if review.missing or review.conflicts or not (owner or licensed):
        return None
    deadline = int((now + registering.VALID).timestamp())
    asked = _consents(found, review, deadline)
    derivations = {parent: (wallet, asked.derivations[parent]) for parent, wallet in licensed.items()}
    if owner is None:
        return WalletConsents(deadline, None, None, None, derivations)
    return WalletConsents(deadline, owner, asked.registration, asked.attestation, derivations)


def own_wallet(draft: Draft) -> str | None:
    """Return the wallet that owns what a draft publishes, or None when our key signs for it."""
    address = AccountName.parse(submission_of(draft).owner).address
    holder = signing_of(address)
    return address if holder is not None and holder[1].key_path is None else None


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


def _permits(draft: Draft, signatures: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    permits: dict[str, dict[str, Any]] = {}
    for parent, license_id in draft.parent_licenses.items():
        row = own_license(draft.account, license_id)
        if row.dataset != parent:
            raise DraftRefusal(
                "draft.license_of_other", "A license is for another dataset than the parent.",
                limit=parent, actual=row.dataset, todo="Choose the license that was bought for this parent.",
            )  # fmt: skip
        permits[parent] = {"license": license_id, "derivation": _derivation(row, signatures.get(parent))}
    return permits


def _derivation(row: LicenseRow, signature: str | None) -> dict[str, str] | None:
    # A licensee at a fresh address of its own consents by our key; a wallet that licenses and owns need not.
    path = licensee_key(row)
    if path is not None:
        return {"signer": path}
    return None if signature is None else {"signature": signature}


def _consents(draft: Draft, review: Review, deadline: int) -> registering.Consents:
    return submissions.owner_consents(
        by=draft.account_id, submission=submission_of(draft).id, deadline=deadline, derive_bps=draft.derive_bps,
        open_derive=_open_derive(draft), splits=review.splits_digest, max_stack_bps=review.owed.stack_bps,
        permits=_permits(draft, {}),
    )  # fmt: skip


def _licensee_wallets(draft: Draft) -> dict[str, str]:
    """Return, by parent, the wallet that holds the license for it and is not the owner-to-be itself."""
    owner = AccountName.parse(submission_of(draft).owner).address
    rows = {parent: own_license(draft.account, each) for parent, each in draft.parent_licenses.items()}
    return {parent: row.licensee for parent, row in rows.items() if licensee_key(row) is None and row.licensee != owner}


def _check_wallet(draft: Draft, review: Review, wallet: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the derivations that wallets signed, each checked; the owner's own are checked where it is registered."""
    licensed = _licensee_wallets(draft)
    owner = own_wallet(draft)
    given = dict((wallet or {}).get("derivations") or {})
    signed = wallet is not None and bool(wallet.get("registration")) and bool(wallet.get("attestation"))
    missing = [address for parent, address in licensed.items() if parent not in given]
    if owner is not None and not signed:
        missing.append(owner)
    if missing:
        raise DraftRefusal(
            "draft.wallet_signature", "Your own wallet has to sign what is registered.", actual=", ".join(missing),
            todo="Sign what `wallet` of the review names, and send the signatures with the confirmation.",
        )  # fmt: skip
    asked = _consents(draft, review, 0).derivations if licensed else {}
    for parent, address in licensed.items():
        asked[parent].check_signer(bytes.fromhex(str(given[parent]).removeprefix("0x")), address)
    return {parent: str(given[parent]) for parent in licensed}


def _owner_of(account: Account, dataset: str) -> str:
    """Return the address of the account that owns a dataset: its next version belongs to it, too."""
    name = AssetName.parse(dataset, AssetKind.DATASET)
    record = DatasetRecord.objects.filter(deployment=deployment_of(name), token=name.number or 0).first()
    holder = None if record is None else signing_of(record.owner)
    if record is None or holder is None or holder[0].pk != account.pk:
        return owner_signing(account).address
    return str(record.owner)


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
