"""`/drafts`: publishing, step by step, as a program does it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.db import transaction
from django.http import HttpResponse
from msgspec import UNSET, UnsetType
from rest_framework.request import Request

from marketplace.actions import drafts as publishing
from marketplace.api.draft_shares import set_shares
from marketplace.api.money import Money, Price, money, price_units
from marketplace.api.names import Id, dataset_caip, id_of, license_caip
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import IDEMPOTENT, WAITS, operation
from marketplace.api.terms import Bps, Collected, Count, Kind, Parent, RightsStatement, SplitGiven, Terms, Visibility
from marketplace.api.wallets import Address, Signature
from marketplace.models import Contributor
from marketplace.models import Draft as DraftRow
from marketplace.queries.actors import Act
from marketplace.queries.deployments import payment_token
from marketplace.queries.drafts import DraftRefusal, draft_conflicts, own_draft, submission_of
from marketplace.queries.publishing import SETTLED, DraftState, state_of
from marketplace.queries.worked_example import GIVEN_AWAY, worked_example
from provenance import submissions
from provenance.content_queries import progress
from provenance.core.canonical import document_digest
from provenance.models import Submission, SubmissionState

Slug = Annotated[str, msgspec.Meta(pattern="^([a-z0-9]([a-z0-9-]{0,78}[a-z0-9])?)?$", max_length=80)]
Revision = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_DESCRIPTION = (
    "title", "creator", "description", "kind", "visibility", "languages", "collected", "rights", "preview_public",
)  # fmt: skip


class NewDraft(Body):
    """`dataset`: the one that gets a new version; without it a new dataset, of `owner` if it names a wallet."""

    dataset: Id | None = None
    visibility: Visibility = "sealed"
    owner: Address | None = None


class DraftChanges(Body):
    """Any of these; what is left out stays. `revision` is that of the draft as it was read."""

    revision: Revision
    title: str | UnsetType = UNSET
    creator: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    languages: list[str] | UnsetType = UNSET
    collected: Collected | UnsetType = UNSET
    rights: list[RightsStatement] | UnsetType = UNSET
    parents: list[Parent] | UnsetType = UNSET
    terms: Terms | UnsetType | None = UNSET
    price: Price | UnsetType | None = UNSET
    derive_bps: Bps | UnsetType = UNSET
    hold_seconds: Count | UnsetType = UNSET
    splits: list[SplitGiven] | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    preview_public: bool | UnsetType | None = UNSET


class StageShown(msgspec.Struct):
    """How far one step is: `done` of `total` in `unit`."""

    name: str
    state: Literal["waiting", "running", "done", "failed"]
    done: int
    total: int
    unit: str
    started: str | None
    ended: str | None


class RefusalShown(msgspec.Struct):
    """What stopped a draft, and what to do about it."""

    code: str
    title: str
    detail: str
    limit: int | str | None = None
    actual: int | str | None = None
    todo: str | None = None


class SplitShown(msgspec.Struct):
    """A share of the owner's income; `state`: `invited`, `accepted` or `declined`."""

    bps: int
    role: str
    account: str | None
    email: str | None
    state: str


class DraftRowShown(msgspec.Struct):
    """A draft in a list."""

    id: UUID
    state: DraftState
    title: str
    dataset: str | None
    revision: int
    created: datetime
    changed: datetime


class Draft(DraftRowShown):
    """Everything about a draft. `dataset` is set once it is registered, `manifest` once it is packaged."""

    creator: str
    description: str
    kind: str
    visibility: str
    languages: list[str]
    collected: dict[str, str | None]
    rights: list[dict[str, Any]]
    parents: list[dict[str, str | None]]
    terms: dict[str, Any] | None
    price: Money | None
    derive_bps: int
    hold_seconds: int
    splits: list[SplitShown]
    slug: str
    preview_public: bool | None
    version: int
    files: int
    bytes: int
    stages: list[StageShown]
    refusal: RefusalShown | None
    matches: int
    conflicts: list[str]
    worked_example: str | None
    manifest: str | None
    expires: datetime | None


class DraftsResource(Resource):
    acts = {"GET": Act.PUBLISH, "POST": Act.PUBLISH}

    @operation("The account's drafts", answer=Page[DraftRowShown], query=PageQuery)
    def get(self, request: Request) -> HttpResponse:
        drafts = self.actor.account.drafts.exclude(state=DraftRow.State.DISCARDED)
        page = page_of(drafts, order=("-changed", "id"), query=self.query(PageQuery), request=self.http, show=_rows)
        return self.answer(page)

    @operation(
        "Begin a dataset, or a version of one", answer=Draft, status=201, body=NewDraft, parameters=(IDEMPOTENT,),
        headers=("Location",),
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        wish = self.body(NewDraft)
        dataset = "" if wish.dataset is None else dataset_caip(wish.dataset)

        def effect() -> tuple[int, Draft]:
            draft = publishing.open_draft(
                by=self.actor, dataset=dataset, visibility=wish.visibility, owner=wish.owner or "", now=self.now
            )
            return 201, shown_draft(draft, now=self.now)

        return self.once(effect, request=wish, location=lambda made: f"/api/v1/drafts/{made['id']}")


class DraftResource(Resource):
    acts = {"GET": Act.PUBLISH, "PATCH": Act.PUBLISH, "DELETE": Act.PUBLISH}

    @operation("A draft: state, stages, what stopped it", answer=Draft, parameters=(WAITS,))
    def get(self, request: Request, draft: UUID) -> HttpResponse:
        account = self.actor.account
        self.waited(lambda: _state(own_draft(account, draft)), lambda state: state in SETTLED)
        return self.answer(shown_draft(own_draft(account, draft), now=self.now), headers=self.applied())

    @operation("Describe it, set terms, price and shares", answer=Draft, body=DraftChanges, refuses=(503,))
    def patch(self, request: Request, draft: UUID) -> HttpResponse:
        changes = self.body(DraftChanges)
        letters = []
        with transaction.atomic():
            found = own_draft(self.actor.account, draft)
            _check_revision(found, changes)
            _describe(self, found, changes)
            _set_parents(self, found, changes)
            _set_terms(self, found, changes)
            if changes.splits is not UNSET:
                letters = set_shares(by=self.actor, draft=found, wanted=changes.splits, now=self.now)
        for letter in letters:
            letter.send()
        return self.answer(shown_draft(own_draft(self.actor.account, draft), now=self.now))

    @operation("Give it up; what it holds is freed", status=204)
    def delete(self, request: Request, draft: UUID) -> HttpResponse:
        publishing.discard_draft(by=self.actor, draft=draft, now=self.now)
        return HttpResponse(status=204)


class CheckResource(Resource):
    acts = {"POST": Act.PUBLISH}

    @operation(
        "Close the list of files; hashing, scan and copy check begin", answer=Draft, status=202, also={200: Draft},
        parameters=(IDEMPOTENT, WAITS), headers=("Location",),
    )  # fmt: skip
    def post(self, request: Request, draft: UUID) -> HttpResponse:
        account = self.actor.account

        def effect() -> tuple[int, Draft]:
            submission = submission_of(own_draft(account, draft))
            # After what stopped it was removed or answered, the same call checks again.
            stopped = submission.state == SubmissionState.STOPPED
            act = submissions.recheck_submission if stopped else submissions.seal_file_list
            act(by=account.pk, submission=submission.pk, now=self.now)
            return 202, shown_draft(own_draft(account, draft), now=self.now)

        begun = self.once(effect, request=None, location=lambda _: f"/api/v1/drafts/{draft}")
        return _followed(self, begun, draft)


class DerivationSigned(Body):
    """The consent of the wallet that holds the license for a parent."""

    parent: Id
    signature: Signature


class WalletSignatures(Body):
    """What `wallet` of the review asked for, signed; `deadline` is the review's (Unix seconds)."""

    deadline: Count
    registration: Signature | None = None
    attestation: Signature | None = None
    derivations: Annotated[list[DerivationSigned], msgspec.Meta(max_length=16)] = []


class Confirmation(Body):
    """`digest` of the review that was shown."""

    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    wallet: WalletSignatures | None = None


class ConfirmResource(Resource):
    acts = {"POST": Act.PUBLISH}

    @operation(
        "Publish what the review showed", answer=Draft, status=202, also={200: Draft}, body=Confirmation,
        parameters=(WAITS,), headers=("Location",),
    )  # fmt: skip
    def post(self, request: Request, draft: UUID) -> HttpResponse:
        wish = self.body(Confirmation)
        wallet = None if wish.wallet is None else _signed(wish.wallet)
        try:
            publishing.confirm_draft(by=self.actor, draft=draft, digest=wish.digest, wallet=wallet, now=self.now)
        except DraftRefusal:
            # Once by its digest, without a record: a registration that failed may be confirmed again as it was.
            if not _is_confirmed(own_draft(self.actor.account, draft), wish.digest):
                raise
        shown = shown_draft(own_draft(self.actor.account, draft), now=self.now)
        begun = self.answer(shown, 202, headers={"Location": f"/api/v1/drafts/{draft}"})
        return _followed(self, begun, draft)


def shown_draft(draft: DraftRow, *, now: datetime) -> Draft:
    """Return a draft as the API shows it to its account."""
    submission = submission_of(draft)
    return Draft(
        **_row(draft, submission),
        creator=submission.creator,
        description=submission.description,
        kind=submission.kind,
        visibility=submission.visibility,
        languages=list(submission.languages),
        collected=dict(submission.collected),
        rights=list(submission.rights),
        parents=[_parent(draft, parent) for parent in submission.parents],
        terms=draft.terms,
        price=None if draft.price is None else money(draft.price, payment_token().caip),
        derive_bps=draft.derive_bps,
        hold_seconds=draft.hold_seconds,
        splits=[_split(row) for row in draft.contributors.select_related("account").order_by("created", "email")],
        slug=draft.slug,
        preview_public=submission.preview_public,
        version=submission.version,
        files=submission.files.count(),
        bytes=sum(submission.files.values_list("size", flat=True)),
        stages=[
            StageShown(each.name, each.state, each.done, each.total, each.unit, each.started, each.ended)  # type: ignore[arg-type]
            for each in progress(submission)
        ],
        refusal=_refusal(submission.refusal or draft.refusal),
        matches=submission.matches.count(),
        conflicts=[conflict.sentence for conflict in draft_conflicts(draft, now=now)],
        worked_example=_example(draft, submission),
        manifest=submission.manifest or None,
        expires=submission.expires,
    )


def _followed(view: Resource, begun: HttpResponse, draft: UUID) -> HttpResponse:
    account = view.actor.account
    return view.settled(
        begun,
        lambda _: shown_draft(own_draft(account, draft), now=view.now),
        lambda seen: seen.state in SETTLED,
        status=200,
    )


def _signed(given: WalletSignatures) -> dict[str, Any]:
    return {
        "deadline": given.deadline,
        "registration": given.registration,
        "attestation": given.attestation,
        "derivations": {dataset_caip(each.parent): each.signature for each in given.derivations},
    }


def _is_confirmed(draft: DraftRow, digest: str) -> bool:
    return draft.confirmed is not None and document_digest(draft.confirmed).hex == digest


def _check_revision(draft: DraftRow, changes: DraftChanges) -> None:
    # Asked once here: each of the actions below raises the revision by one.
    if draft.revision != changes.revision:
        raise DraftRefusal(
            "draft.revision", "Somebody else saved this draft in between.", limit=draft.revision,
            actual=changes.revision, todo="Load it again; nothing of theirs was overwritten.",
        )  # fmt: skip


def _describe(view: Resource, draft: DraftRow, changes: DraftChanges) -> None:
    given = {name: getattr(changes, name) for name in _DESCRIPTION if getattr(changes, name) is not UNSET}
    fields = {name: msgspec.to_builtins(value) for name, value in given.items()}
    if changes.parents is not UNSET:
        fields["parents"] = [dataset_caip(parent.dataset) for parent in changes.parents]
    slug = None if changes.slug is UNSET else changes.slug
    if fields or slug is not None:
        publishing.describe_draft(
            by=view.actor, draft=draft.pk, revision=draft.revision, slug=slug, now=view.now, **fields
        )
        draft.refresh_from_db()


def _set_parents(view: Resource, draft: DraftRow, changes: DraftChanges) -> None:
    if changes.parents is UNSET:
        return
    licenses = {
        dataset_caip(each.dataset): license_caip(each.license) for each in changes.parents if each.license is not None
    }
    publishing.set_parent_licenses(
        by=view.actor, draft=draft.pk, revision=draft.revision, licenses=licenses, now=view.now
    )
    draft.refresh_from_db()


def _set_terms(view: Resource, draft: DraftRow, changes: DraftChanges) -> None:
    if all(value is UNSET for value in (changes.terms, changes.price, changes.derive_bps, changes.hold_seconds)):
        return
    terms = draft.terms if changes.terms is UNSET else msgspec.to_builtins(changes.terms)
    if changes.derive_bps is not UNSET:
        if terms is None:
            raise DraftRefusal(
                "draft.derive_without_terms", "The share of derived datasets is part of the terms.",
                todo="Choose terms first.",
            )  # fmt: skip
        terms = {**terms, "derive_bps": changes.derive_bps}
    price = draft.price
    if changes.price is not UNSET:
        price = None if changes.price is None else price_units(changes.price)
    publishing.set_terms(
        by=view.actor, draft=draft.pk, revision=draft.revision, terms=terms, price=price, now=view.now,
        hold_seconds=draft.hold_seconds if changes.hold_seconds is UNSET else changes.hold_seconds,
    )  # fmt: skip
    draft.refresh_from_db()


def _rows(drafts: Any) -> list[DraftRowShown]:
    rows = list(drafts)
    found = Submission.objects.in_bulk([draft.submission for draft in rows if draft.submission])
    return [DraftRowShown(**_row(draft, found.get(draft.submission))) for draft in rows]


def _row(draft: DraftRow, submission: Submission | None) -> dict[str, Any]:
    dataset = draft.dataset or ("" if submission is None else submission.dataset)
    return {
        "id": draft.pk,
        "state": state_of(draft, submission),
        "title": "" if submission is None else submission.title,
        "dataset": id_of(dataset) if dataset else None,
        "revision": draft.revision,
        "created": draft.created,
        "changed": draft.changed,
    }


def _state(draft: DraftRow) -> DraftState:
    return state_of(draft, submission_of(draft))


def _parent(draft: DraftRow, parent: dict[str, Any]) -> dict[str, str | None]:
    held = draft.parent_licenses.get(parent["dataset"]) or parent.get("license")
    return {"dataset": id_of(parent["dataset"]), "license": None if held is None else id_of(held)}


def _split(row: Contributor) -> SplitShown:
    account = None if row.account is None else row.account.slug
    return SplitShown(row.bps, row.role, account, row.email if account is None else None, str(row.state))


def _refusal(problem: dict[str, Any] | None) -> RefusalShown | None:
    return None if problem is None else msgspec.convert(problem, RefusalShown)


def _example(draft: DraftRow, submission: Submission) -> str | None:
    if draft.price is None:
        return None
    return worked_example(draft, submission).sentence if draft.price else GIVEN_AWAY
