"""What a draft lacks, what it clashes with, and exactly what becomes public when it is confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from marketplace.core.caip import AccountName
from marketplace.core.compatibility import Conflict, conflicts
from marketplace.core.splits import Share, Splits
from marketplace.core.terms import Terms
from marketplace.models import Account, Contributor, Draft
from marketplace.queries.actors import AccessRefusal
from marketplace.queries.lineage import Owed, owed_by, upstream_of
from provenance.core.canonical import Json, document_digest, parse_canonical
from provenance.core.refusal import Refusal
from provenance.models import DatasetRecord, Document, Submission


class DraftRefusal(Refusal):
    """A step of publishing is refused; what was saved stays saved."""


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that becomes public and permanent, as documents; `digest` is what the creator confirms.

    `manifest` is the public manifest of the version, or None while it is being made. `splits` has no owner's share:
    the owner keeps the rest. `owed` is what the data it is built from takes. `conflicts` must be empty, `missing` too.
    """

    draft: UUID
    manifest: Json
    manifest_digest: str
    package: Json
    terms: Json
    price: int | None
    derive_bps: int
    owed: Owed
    hold_seconds: int
    splits: Json
    splits_digest: str
    conflicts: tuple[Conflict, ...]
    missing: tuple[str, ...]

    @property
    def document(self) -> dict[str, Json]:
        """The review as one JSON value; its digest binds the confirmation to what was shown."""
        return {
            "draft": str(self.draft),
            "manifest": self.manifest_digest,
            "terms": self.terms,
            "price": None if self.price is None else str(self.price),
            "derive_bps": self.derive_bps,
            "parents": dict(self.owed.shares),
            "max_stack_bps": self.owed.stack_bps,
            "hold_seconds": self.hold_seconds,
            "splits": self.splits,
        }

    @property
    def digest(self) -> str:
        """64 hex digits that change with every detail of what is shown."""
        return document_digest(self.document).hex


def own_draft(account: Account, draft: UUID) -> Draft:
    """Return a draft of the account. Another account's looks like one that does not exist. Raises AccessRefusal."""
    found = Draft.objects.select_related("account").filter(pk=draft, account=account).first()
    if found is None:
        raise AccessRefusal("draft.not_found", "There is no such draft.", actual=str(draft))
    return found


def drafts_of(account: Account) -> list[Draft]:
    """Return the account's drafts that are not discarded, last changed first."""
    return list(account.drafts.exclude(state=Draft.State.DISCARDED).order_by("-changed"))


def submission_of(draft: Draft) -> Submission:
    """Return the draft's submission. Raises DraftRefusal when files have never been asked for."""
    found = Submission.objects.filter(pk=draft.submission).first() if draft.submission else None
    if found is None:
        raise DraftRefusal("draft.no_files", "This draft has no files yet.", todo="Add files first.")
    return found


def draft_terms(draft: Draft) -> Terms | None:
    """Return the draft's terms, or None when they are not set."""
    return None if draft.terms is None else Terms.from_document(draft.terms)


def draft_conflicts(draft: Draft, *, now: datetime) -> tuple[Conflict, ...]:
    """Return all conflicts of the draft's terms with every ancestor; empty without terms or without parents."""
    terms = draft_terms(draft)
    if terms is None or draft.submission is None:
        return ()
    submission = submission_of(draft)
    parents = [str(parent["dataset"]) for parent in submission.parents]
    owner = AccountName.parse(submission.owner).address
    return conflicts(terms, upstream_of(parents, draft.parent_licenses, now=now, owner=owner))


def contributors_of(dataset: str) -> QuerySet[Contributor]:
    """Return who shares the income of a published dataset (CAIP-19), whichever version they came with."""
    rows = Contributor.objects.select_related("account").filter(
        draft__dataset=dataset, draft__state=Draft.State.PUBLISHED
    )
    return rows.exclude(state=Contributor.State.DECLINED).order_by("created", "pk")


def shares_in_force(dataset: str, record: DatasetRecord) -> bool:
    """Return whether the registry names exactly the shares that stand here."""
    wanted = {(row.address, row.bps) for row in contributors_of(dataset)}
    found = Document.objects.filter(pk=record.splits).first() if record.splits else None
    if found is None:
        return not wanted
    splits = Splits.from_document(parse_canonical(found.content))
    return wanted == {(share.account.rpartition(":")[2], share.bps) for share in splits.shares}


def draft_splits(draft: Draft) -> Splits | None:
    """Return the splits document of the draft's contributors, or None when the owner takes all.

    Raises DraftRefusal while the address of a contributor is still being made.
    """
    contributors = list(draft.contributors.exclude(state=Contributor.State.DECLINED).order_by("pk"))
    if not contributors:
        return None
    owner = submission_of(draft).owner
    chain = AccountName.parse(owner).chain
    waiting = [contributor for contributor in contributors if contributor.address is None]
    if waiting:
        raise DraftRefusal(
            "draft.contributor_address", "The address of a contributor is still being made.",
            actual=len(waiting), limit=0, todo="Try again in a few seconds.",
        )  # fmt: skip
    shares = [Share(f"eip155:{chain}:{each.address}", each.bps, each.role) for each in contributors]
    return Splits(owner=owner, shares=tuple(sorted(shares)), nonce=draft.id.hex)


def review_draft(draft: Draft, *, now: datetime) -> Review:
    """Return exactly what becomes public and permanent. Raises DraftRefusal, SplitsRefusal."""
    submission = submission_of(draft)
    splits = draft_splits(draft)
    return Review(
        draft=draft.id,
        manifest=_document(submission.manifest),
        manifest_digest=submission.manifest,
        package=_document(submission.package),
        terms=draft.terms,
        price=draft.price,
        derive_bps=draft.derive_bps,
        owed=owed_by([str(parent["dataset"]) for parent in submission.parents], dataset=submission.dataset),
        hold_seconds=draft.hold_seconds,
        splits=None if splits is None else splits.to_document(),
        splits_digest="" if splits is None else splits.digest.hex,
        conflicts=draft_conflicts(draft, now=now),
        missing=_missing(draft, submission),
    )


def _missing(draft: Draft, submission: Submission) -> tuple[str, ...]:
    lacks = {
        "title": not submission.title,
        "creator": not submission.creator,
        "rights": not submission.rights,
        "terms": draft.terms is None and draft.price is not None,
        "manifest": not submission.manifest,
    }
    return tuple(name for name, lacking in lacks.items() if lacking)


def _document(digest: str) -> Json:
    row = Document.objects.filter(pk=digest).first() if digest else None
    return None if row is None else parse_canonical(row.content)
