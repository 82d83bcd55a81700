"""What trade does when a submission moves on: drafts reopen or publish, listings appear."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from marketplace.actions.drafts import reopen_draft
from marketplace.actions.listings import list_published
from provenance.models import Submission, SubmissionState


def follow_submission(submission: UUID, state: str) -> None:
    """Follow a submission's new state; runs in the transaction that moves it. Safe twice."""
    match state:
        case SubmissionState.FINAL:
            list_published(submission=submission, now=timezone.now())
        case SubmissionState.AWAITING_CONFIRM:
            row = Submission.objects.filter(pk=submission).first()
            refusal = None if row is None else row.refusal
            reopen_draft(submission=submission, refusal=refusal, now=timezone.now())
        case _:
            return
