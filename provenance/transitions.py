"""The only place where a submission changes its state: compare-and-set, told to trade in the same transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from provenance import hooks
from provenance.core.refusal import Refusal
from provenance.models import Submission, SubmissionState, SubmittedFile


class SubmissionRefusal(Refusal):
    """Something asked of a submission is refused."""


class StateMoved(SubmissionRefusal):
    """Somebody else moved the submission meanwhile; whoever lost looks again instead of overwriting."""


def move(
    submission: Submission, *, from_state: SubmissionState, to_state: SubmissionState, now: datetime, **fields: Any
) -> None:
    """Change the state and the named columns if nobody moved the submission meanwhile. Raises StateMoved.

    The object is updated only when the row was.
    """
    values: dict[str, Any] = {"state": to_state, "changed": now, **fields}
    with transaction.atomic():
        moved = Submission.objects.filter(id=submission.id, state=from_state).update(**values)
        if moved != 1:
            raise StateMoved(
                "submission.moved", "The submission moved on meanwhile.", limit=str(from_state),
                todo="Look at it again; nothing of this request was done.",
            )  # fmt: skip
        if from_state != to_state:
            hooks.tell_submission(submission.id, str(to_state))
    for name, value in values.items():
        setattr(submission, name, value)


def own_submission(by: UUID, submission: UUID) -> Submission:
    """Return the party's submission; another party's looks like one that does not exist. Raises SubmissionRefusal."""
    found = Submission.objects.filter(id=submission, party=by).first()
    if found is None:
        raise SubmissionRefusal(
            "submission.not_found", "There is no such submission.", actual=str(submission), todo="Check the address."
        )
    return found


def own_file(by: UUID, file: UUID) -> SubmittedFile:
    """Return the party's file with its submission; another party's looks like one that does not exist."""
    found = SubmittedFile.objects.select_related("submission").filter(id=file, submission__party=by).first()
    if found is None:
        raise SubmissionRefusal(
            "upload.not_found", "There is no such upload, or it has expired.", actual=str(file),
            todo="Add the file again.",
        )  # fmt: skip
    return found


def require_state(submission: Submission, *allowed: SubmissionState, what: str) -> None:
    """Refuse `what` unless the submission is in one of the states. Raises SubmissionRefusal."""
    if submission.state not in allowed:
        raise SubmissionRefusal(
            "submission.state", f"{what} is not possible now.",
            limit=" or ".join(allowed), actual=str(submission.state),
            todo="Open a new submission, or look at its page for what it waits for.",
        )  # fmt: skip
