"""Where a draft stands, in the words that clients see, and what a sale of it would bring to whom."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.money import Amount, divide, percent
from marketplace.core.royalty import allocate
from marketplace.models import Contributor, Draft
from marketplace.queries.catalog import current_fee_bps, fee_part
from marketplace.queries.deployments import current_deployment, payment_token
from provenance.core.lineage import Edge, Lineage
from provenance.description import missing_description
from provenance.models import DatasetRecord, Deployment, ParentEdge, Submission, SubmissionState

_NEW = 0
"""Number of the dataset to be, in its own lineage: the registry counts from 1."""
_OWNER = ""


class DraftState(StrEnum):
    """From upload to publication. It is somebody's turn in `open`, `held`, `ready` and `stopped`."""

    OPEN = "open"
    CHECKING = "checking"
    HELD = "held"
    READY = "ready"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    STOPPED = "stopped"
    DISCARDED = "discarded"


SETTLED = frozenset(DraftState) - {DraftState.CHECKING, DraftState.PUBLISHING}


def state_of(draft: Draft, submission: Submission | None) -> DraftState:
    """Return the one state of a draft and its submission together."""
    match Draft.State(draft.state):
        case Draft.State.DISCARDED:
            return DraftState.DISCARDED
        case Draft.State.PUBLISHED:
            return DraftState.PUBLISHED
        case Draft.State.STOPPED:
            return DraftState.STOPPED
        case Draft.State.OPEN | Draft.State.CONFIRMED | Draft.State.REGISTERING:
            return DraftState.OPEN if submission is None else _state_of_submission(submission)
        case _ as never:
            assert_never(never)


def _state_of_submission(submission: Submission) -> DraftState:
    match SubmissionState(submission.state):
        case SubmissionState.UPLOADING:
            return DraftState.OPEN
        case SubmissionState.CHECKING | SubmissionState.SEALING | SubmissionState.PACKAGED:
            return DraftState.CHECKING
        case SubmissionState.PASSED:
            # Nothing goes on before the description is there, which the review names.
            return DraftState.READY if missing_description(submission) else DraftState.CHECKING
        case SubmissionState.STOPPED:
            return DraftState.HELD if matches_to_answer(submission) else DraftState.STOPPED
        case SubmissionState.HELD:
            return DraftState.HELD
        case SubmissionState.AWAITING_CONFIRM:
            return DraftState.READY
        case SubmissionState.REGISTERING | SubmissionState.REGISTERED | SubmissionState.FINAL:
            return DraftState.PUBLISHING
        case SubmissionState.EXPIRED | SubmissionState.WITHDRAWN:
            return DraftState.DISCARDED
        case _ as never:
            assert_never(never)


def matches_to_answer(submission: Submission) -> int:
    """Return how many matches of the copy check stop the submission and wait for its uploader."""
    return submission.matches.filter(stops=True, answer="").count()


def worked_example(draft: Draft, submission: Submission) -> str | None:
    """Say who gets what of one sale, by the functions that later pay; None while there is no price.

    Raises DeploymentRefusal, RoyaltyRefusal, MoneyRefusal.
    """
    if draft.price is None:
        return None
    deployment = current_deployment()
    token = payment_token(deployment)
    fee = fee_part(draft.price, current_fee_bps(deployment))
    if draft.price == 0:
        return "Licenses are given away: nobody pays, and nobody is paid."
    allocation = allocate(_NEW, draft.price - fee, _lineage(submission, deployment))
    shares = _shares(draft)
    kept = divide(allocation.kept, shares, rest=_OWNER)
    parts = [f"{Amount(fee, token)} are the market's fee"] if fee else []
    ancestors = sum(amount for _, _, amount in allocation.ancestors)
    if ancestors:
        owed = sum(bps for _, bps, _ in allocation.ancestors)
        parts.append(f"{Amount(ancestors, token)} ({percent(owed)}) go to the owners of what it was built from")
    parts += [f"{Amount(kept[name], token)} go to {name} ({percent(bps)})" for name, bps in shares.items()]
    parts.append(f"{Amount(kept[_OWNER], token)} are yours")
    return f"Of each license sold for {Amount(draft.price, token)}: {', '.join(parts)}."


def _shares(draft: Draft) -> dict[str, int]:
    contributors = draft.contributors.exclude(state=Contributor.State.DECLINED).select_related("account")
    return {shown_contributor(each): each.bps for each in contributors.order_by("created", "email")}


def shown_contributor(contributor: Contributor) -> str:
    """Return how the inviter sees a contributor: as they were named, by account or by e-mail address."""
    return contributor.email if contributor.account is None else contributor.account.slug


def _lineage(submission: Submission, deployment: Deployment) -> Lineage:
    numbers = [AssetName.parse(parent["dataset"], AssetKind.DATASET).number or 0 for parent in submission.parents]
    parents = DatasetRecord.objects.filter(deployment=deployment, token__in=numbers)
    edges = {Edge(_NEW, record.token, record.derive_bps) for record in parents}
    seen: set[int] = set()
    level = {edge.parent for edge in edges}
    while level:
        seen |= level
        found = ParentEdge.objects.filter(deployment=deployment, child__in=level)
        above = {Edge(edge.child, edge.parent, edge.bps) for edge in found}
        edges |= above
        level = {edge.parent for edge in above} - seen
    return Lineage(sorted(edges))
