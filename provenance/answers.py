"""What an uploader says about a match of the copy check, and what an operator says about that.

Four answers (`docs/algorithms/gate.md`): built from it · same public source · I am the author · remove these. When all
are given the check runs again over what is left, or waits for a person.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never
from uuid import UUID

from django.db import transaction

from provenance.description import checked_parents
from provenance.models import Answer, Match, Review, Submission, SubmissionState
from provenance.publication import ring_work
from provenance.similarity import judge_same_source
from provenance.transitions import SubmissionRefusal, move, require_state
from provenance.uploads import drop_file

EVIDENCE_CHARACTERS = 2000


def answer_match(
    *, by: UUID, match: int, answer: Answer, now: datetime, evidence: str = "", permit: str = ""
) -> Submission:
    """Answer one match of the copy check.

    `evidence`: for `same-source` the name or address of the source, as the rights statements of both say it; for
    `author` a DOI, repository, dated publication or C2PA claim. `permit`: for `built-from`, the license (CAIP-19)
    that permits it, if one is needed. Raises SubmissionRefusal.
    """
    found = Match.objects.select_related("submission").filter(id=match, submission__party=by).first()
    if found is None:
        raise SubmissionRefusal("match.not_found", "There is no such match.", actual=match)
    row = found.submission
    require_state(row, SubmissionState.STOPPED, SubmissionState.HELD, what="Answering the copy check")
    review = Review.NONE
    with transaction.atomic():
        match answer:
            case Answer.BUILT_FROM:
                _add_parent(row, found, permit)
            case Answer.SAME_SOURCE:
                review = judge_same_source(found, _stated(evidence, "the name or address of the source"))
            case Answer.AUTHOR:
                _stated(evidence, "a DOI, repository, dated publication or C2PA claim")
                review = Review.WAITING
            case Answer.REMOVE:
                _remove_matched(row, found)
            case _:
                assert_never(answer)
        Match.objects.filter(id=found.id).update(
            answer=answer, evidence={"text": evidence} if evidence else None, answered=now, review=review
        )
        _after_answers(row, now)
    return row


def review_match(*, by: UUID, match: int, accept: bool, now: datetime) -> Submission:
    """Judge an answer that waits for a person; `by` is the operator, whose role the caller has checked."""
    found = Match.objects.select_related("submission").get(id=match)
    row = found.submission
    with transaction.atomic():
        judged = Match.objects.filter(id=match, review=Review.WAITING).update(
            review=Review.ACCEPTED if accept else Review.REJECTED, reviewer=by, reviewed=now
        )
        if judged != 1:
            raise SubmissionRefusal("match.judged", "This answer does not wait for a review.", actual=found.review)
        _after_answers(row, now)
    return row


def check_again(row: Submission, now: datetime) -> None:
    """Put a submission back before the copy check. Raises StateMoved."""
    move(row, from_state=SubmissionState(row.state), to_state=SubmissionState.CHECKING, now=now, refusal=None)
    ring_work()


def _after_answers(row: Submission, now: datetime) -> None:
    stopping = row.matches.filter(stops=True)
    if stopping.filter(review=Review.REJECTED).exists():
        refusal = SubmissionRefusal(
            "gate.rejected", "The answer to the copy check was reviewed and not accepted.",
            todo="Remove the records that match, or answer that the data is built from the other dataset.",
        )  # fmt: skip
        stopping.filter(review=Review.REJECTED).update(answer="", review=Review.NONE)
        move(
            row, from_state=SubmissionState(row.state), to_state=SubmissionState.STOPPED, now=now,
            refusal=refusal.as_problem(),
        )  # fmt: skip
    elif stopping.filter(answer="").exists():
        return
    elif stopping.filter(review=Review.WAITING).exists():
        move(row, from_state=SubmissionState(row.state), to_state=SubmissionState.HELD, now=now)
    else:
        check_again(row, now)


def _add_parent(row: Submission, found: Match, permit: str) -> None:
    if not found.matched_dataset:
        raise SubmissionRefusal(
            "match.not_registered", "The data that matches is only being published; it cannot be a parent yet.",
            todo="Answer when it is registered, or choose another answer.",
        )  # fmt: skip
    entry = {"dataset": found.matched_dataset, "license": permit or None}
    others = [parent for parent in row.parents if parent["dataset"] != found.matched_dataset]
    row.parents = checked_parents(row, [*others, entry])
    Submission.objects.filter(id=row.id).update(parents=row.parents)


def _remove_matched(row: Submission, found: Match) -> None:
    doomed = list(row.files.filter(id__in=found.files))
    if not row.files.exclude(id__in=found.files).filter(size__gt=0).exists():
        raise SubmissionRefusal(
            "match.nothing_left", "Every file with data holds records that match; nothing would be left.",
            limit=row.files.count(), actual=len(doomed),
            todo="Remove the rows on your side and upload again, or choose another answer.",
        )  # fmt: skip
    for file in doomed:
        file.submission = row
        drop_file(file)


def _stated(evidence: str, what: str) -> str:
    if not evidence.strip():
        raise SubmissionRefusal("match.evidence", f"This answer needs {what}.", todo="Add it and answer again.")
    if len(evidence) > EVIDENCE_CHARACTERS:
        raise SubmissionRefusal(
            "match.evidence", "The evidence is too long.", limit=EVIDENCE_CHARACTERS, actual=len(evidence),
            todo="Give addresses instead of quoting.",
        )  # fmt: skip
    return evidence.strip()
