"""The copy check: a submission is compared with everything registered here, and passes, or is asked about.

1. Compare with one version of the index, outside of any transaction.
2. Decide (`fingerprints.gate`). What the uploader answered for, and what the submission is built from, never stops it.
3. Stopped: write down what matches and wait for answers. Else reserve the next version by compare-and-set, in the
   transaction that passes the submission. Whoever comes second compares with what was added since, and decides again:
   of two near-copies ingested at once, one is stopped.

Reserved sketches count from the reservation on, not from the registration; who never publishes gives them back.
Matching records are named to the uploader alone, and are the uploader's own; the other side is a dataset, never a file.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from provenance import registered_index
from provenance.content_queries import dataset_record
from provenance.fingerprints.gate import (
    THRESHOLDS,
    Finding,
    GateResult,
    Result,
    compare,
    decide,
    recheck,
)
from provenance.fingerprints.matches import Closeness, RecordMatch
from provenance.intake import submit_statement
from provenance.limits import content_limits
from provenance.models import Answer, FingerprintRow, Match, Review, Submission, SubmissionState
from provenance.queries import ancestor_edges
from provenance.registered_index import SubmittedFiles, current_index, name_of, submission_named
from provenance.transitions import SubmissionRefusal, move

ANSWERED, REVIEWED = "answered", "reviewed"
_PUBLIC_BASES = frozenset({"open-license", "web"})
_UNNAMED = "a dataset that is being published"


class _Overtaken(Exception):
    """Somebody reserved a version between the comparison and the reservation."""


def gate_submission(submission: Submission, *, now: datetime) -> GateResult:
    """Run the copy check over a submission in state `checking` and move it on: passed, or stopped with what matches.

    Raises StateMoved when somebody else moved it meanwhile.
    """
    files = SubmittedFiles(submission)
    owner = str(submission.party)
    answered = _answered(submission)
    index, version = current_index()
    comparison = compare(index, files, exclude_owner=owner)
    while True:
        result = decide(comparison, answered=answered)
        compared = len({batch.dataset for batch in index.batches.items if not batch.gone and batch.owner != owner})
        if result.result is Result.STOPPED:
            _stop(submission, result, files, now)
            return result
        try:
            _pass(submission, result, files, version=version, compared=compared, now=now)
        except _Overtaken:
            index, version = current_index()
            comparison = recheck(comparison, index, files, exclude_owner=owner)
            continue
        return result


def unreserve(submission: Submission) -> None:
    """Take a submission's sketches out of the index, in the caller's transaction."""
    registered_index.remove(submission)


def forget(submission: Submission) -> None:
    """Destroy a submission's sketches and what they were committed to with, in the caller's transaction."""
    registered_index.remove(submission)
    FingerprintRow.objects.filter(submission=submission).delete()
    Submission.objects.filter(id=submission.id).update(sketch_salt="")


def judge_same_source(match: Match, source: str) -> Review:
    """Say whether "we both took it from there" can be believed without a person.

    It can when both sides state that source, in their rights, as openly licensed or collected from the web; else a
    copyist would only have to claim it.
    """
    other = match.matched_submission
    wanted = " ".join(source.split()).casefold()
    both = other is not None and all(wanted in _public_sources(side) for side in (match.submission, other))
    return Review.NONE if both else Review.WAITING


def forget_unfounded(submission: Submission) -> int:
    """Forget answers that the description, as `submission` has it now, does not bear out any more; return how many.

    Else a copyist would name the parent or the source, pass, and take it out again before publishing.
    """
    lineage = _lineage(submission)
    unfounded = []
    for match in submission.matches.filter(answer__in=(Answer.BUILT_FROM, Answer.SAME_SOURCE)):
        match.submission = submission
        if match.answer == Answer.BUILT_FROM:
            founded = match.matched_dataset in lineage
        else:
            founded = judge_same_source(match, str((match.evidence or {}).get("text", ""))) is Review.NONE
        if not founded:
            unfounded.append(match.pk)
    return submission.matches.filter(pk__in=unfounded).update(answer="", evidence=None, review=Review.NONE)


def tell_results(submission: Submission, *, now: datetime) -> None:
    """Write `fingerprint.computed` and `gate.passed` about a confirmed manifest into the intake. Safe twice."""
    subject = f"sha256:{submission.manifest}"
    for algorithm, parameters, records, commitment in _commitments(submission):
        submit_statement(
            type="fingerprint.computed", subject=subject, fact=f"fingerprint.computed:{subject}:{algorithm}", time=now,
            body={
                "manifest": submission.manifest, "algorithm": algorithm, "parameters": parameters, "records": records,
                "commitment": commitment,
            },
        )  # fmt: skip
    submit_statement(
        type="gate.passed", subject=subject, fact=f"gate.passed:{subject}:{submission.owner}", time=now,
        body={
            "manifest": submission.manifest, "owner": submission.owner, "result": submission.gate_result,
            "index_version": submission.index_version or 0, "compared": submission.gate_compared,
            "thresholds": THRESHOLDS.digest,
        },
    )  # fmt: skip


def compact_due() -> int:
    """Bring the copy of the index on disk up to date when that is worth it; return 1 if it was written."""
    return int(registered_index.save_if_grown())


def _pass(
    submission: Submission, result: GateResult, files: SubmittedFiles, *, version: int, compared: int, now: datetime
) -> None:
    with transaction.atomic():
        if not registered_index.reserve(submission, after=version):
            raise _Overtaken
        _keep_matches(submission, result, files, now)
        move(
            submission, from_state=SubmissionState.CHECKING, to_state=SubmissionState.PASSED, now=now, refusal=None,
            index_version=version, gate_compared=compared, gate_result=_outcome(submission, result),
            sketch_salt=submission.sketch_salt or secrets.token_hex(32), expires=now + content_limits().abandoned_after,
            stage={**submission.stage, "gate": _done(now)},
        )  # fmt: skip


def _stop(submission: Submission, result: GateResult, files: SubmittedFiles, now: datetime) -> None:
    worst = result.stopping[0]
    refusal = SubmissionRefusal(
        "gate.copy",
        f"{worst.share_bps / 100:g} % of its {worst.kind} records match {_title(submission_named(worst.dataset))}.",
        limit=worst.threshold_bps, actual=worst.share_bps,
        todo="Say for each match: built from it, same public source, I am the author, or remove these.",
    )  # fmt: skip
    with transaction.atomic():
        _keep_matches(submission, result, files, now)
        move(
            submission, from_state=SubmissionState.CHECKING, to_state=SubmissionState.STOPPED, now=now,
            refusal=refusal.as_problem(), expires=now + content_limits().unconfirmed_after,
            stage={**submission.stage, "gate": {**_done(now), "state": "failed", "done": 0}},
        )  # fmt: skip


def _keep_matches(submission: Submission, result: GateResult, files: SubmittedFiles, now: datetime) -> None:
    kept = []
    for finding in result.findings:
        other = submission_named(finding.dataset)
        row, _ = Match.objects.update_or_create(
            submission=submission, matched_submission=other, kind=str(finding.kind),
            defaults=_match_fields(finding, other, files), create_defaults={
                **_match_fields(finding, other, files), "created": now,
            },
        )  # fmt: skip
        kept.append(row.id)
    submission.matches.exclude(id__in=kept).delete()


def _match_fields(finding: Finding, other: Submission | None, files: SubmittedFiles) -> dict[str, object]:
    limit = content_limits().match_names
    return {
        "matched_dataset": other.dataset if other else "",
        "matched_title": _title(other),
        "matched_party": UUID(finding.owner),
        "exact": finding.exact,
        "near": finding.near + finding.review,
        "total": finding.total,
        "share_bps": finding.share_bps,
        "threshold_bps": finding.threshold_bps,
        "covers_bps": finding.covers_bps,
        "stops": finding.stops or finding.answered,
        "records": [_record(match, files) for match in finding.records[:limit]],
        "files": sorted(str(files.files[number].id) for number in finding.files),
    }


def _record(match: RecordMatch, files: SubmittedFiles) -> dict[str, object]:
    return {
        "path": files.files[match.file].path,
        "record": match.ordinal,
        "part": str(match.part),
        "closeness": Closeness(match.closeness).name.lower(),
        "distance": match.distance,
    }


def _answered(submission: Submission) -> set[str]:
    """Names in the index that no longer stop the submission: answered for, or among what it is built from."""
    # That it is built from something is not a word but a parent, which may have been taken out again.
    settled = Q(answer__in=(Answer.SAME_SOURCE, Answer.AUTHOR))
    accepted = Q(review=Review.ACCEPTED) | Q(answer=Answer.SAME_SOURCE, review=Review.NONE)
    matches = submission.matches.filter(settled & accepted).select_related("matched_submission")
    names = {name_of(match.matched_submission) for match in matches if match.matched_submission}
    for dataset in _lineage(submission):
        names |= {name_of(row) for row in Submission.objects.filter(dataset=dataset, indexed__isnull=False)}
    return names


def _lineage(submission: Submission) -> set[str]:
    found: set[str] = set()
    for parent in submission.parents:
        record = dataset_record(parent["dataset"])
        if record is not None:
            found.add(record.caip)
            found |= {record.deployment.dataset_caip(edge.parent) for edge in ancestor_edges(record)}
    return found


def _outcome(submission: Submission, result: GateResult) -> str:
    if submission.matches.filter(review=Review.ACCEPTED).exists():
        return REVIEWED
    if any(finding.answered and finding.share_bps > finding.threshold_bps for finding in result.findings):
        return ANSWERED
    return str(result.result)


def _public_sources(submission: Submission) -> set[str]:
    return {
        " ".join(str(statement.get(key) or "").split()).casefold()
        for statement in submission.rights
        if statement.get("basis") in _PUBLIC_BASES
        for key in ("source", "evidence")
    } - {""}


def _commitments(submission: Submission) -> list[tuple[str, str, int, str]]:
    salt = bytes.fromhex(submission.sketch_salt)
    found: dict[tuple[str, str], tuple[int, Any]] = {}
    rows = FingerprintRow.objects.filter(submission=submission).order_by("file__path", "file_id", "part")
    for row in rows.iterator(chunk_size=1):
        key = (row.algorithm, row.parameters)
        records, digest = found.get(key) or (0, hashlib.sha256(salt))
        digest.update(bytes(row.payload))
        found[key] = (records + row.records, digest)
    return [(*key, records, digest.hexdigest()) for key, (records, digest) in sorted(found.items())]


def _title(other: Submission | None) -> str:
    registered = other is not None and other.state in {SubmissionState.REGISTERED, SubmissionState.FINAL}
    return other.title if other is not None and registered else _UNNAMED


def _done(now: datetime) -> dict[str, object]:
    return {"state": "done", "done": 1, "total": 1, "started": now.isoformat(), "ended": now.isoformat()}
