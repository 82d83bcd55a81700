"""Where a draft stands, in the words that clients see."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from marketplace.models import Draft
from provenance.description import missing_description
from provenance.models import Submission, SubmissionState


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
