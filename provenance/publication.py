"""What happens to a submission by itself, one state at a time, until it is registered and final.

    uploading → checking → stopped | held
                    ↓  ↖______answers
                 passed → sealing → packaged → awaiting-confirm → registering → registered → final

`advance` looks at the rows and takes at most one step; each step is a compare-and-set, so it may be called by anybody,
twice, and at once. Slow work (hashing, sealing, pinning) is done by other tasks on rows of their own; `advance` only
notices that it is done.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from django.db import transaction
from django.db.models import Sum

from provenance import packaging, pinning, registering, similarity
from provenance.core.cid import Cid
from provenance.core.refusal import Refusal
from provenance.description import missing_description
from provenance.doorbell import ring
from provenance.limits import content_limits
from provenance.models import FileState, Purpose, Submission, SubmissionState
from provenance.paths import shown
from provenance.ports import ContentStore
from provenance.transitions import StateMoved, SubmissionRefusal, move

STEPS_AT_ONCE = 12
_ONE_KIND_BPS = 9_000


def ring_work() -> None:
    """Ring for the workers that take files and submissions further."""
    ring("provenance.content_tasks.work")


def advance(submission: Submission, *, now: datetime, stores: pinning.Stores) -> bool:
    """Take one step if one is due; say whether the state changed. Somebody else's step is not an error.

    `stores`: the configured content stores by name, the first one is written to. Raises StoreRefusal when it is down
    or full; the rows then still say what is due.
    """
    before = submission.state
    try:
        _step(submission, now, stores)
    except StateMoved:
        submission.refresh_from_db()
    if submission.state != before:
        ring_work()
    return bool(submission.state != before)


def advance_all(submission: Submission, *, now: datetime, stores: pinning.Stores) -> None:
    """Take steps until something else has to happen first."""
    for _ in range(STEPS_AT_ONCE):
        if not advance(submission, now=now, stores=stores):
            return


def begin_registering(submission: Submission, *, now: datetime) -> None:
    """Move a confirmed submission on and put its intent into the outbox, in the caller's transaction."""
    move(
        submission, from_state=SubmissionState(submission.state), to_state=SubmissionState.REGISTERING, now=now,
        confirmed=now, refusal=None, parents=submission.parents, derive_bps=submission.derive_bps,
        open_derive=submission.open_derive, splits=submission.splits, max_stack_bps=submission.max_stack_bps,
        wallet=submission.wallet, expires=None,
    )  # fmt: skip
    registering.begin(submission, now=now)
    ring_work()


def _step(submission: Submission, now: datetime, stores: pinning.Stores) -> None:
    match SubmissionState(submission.state):
        case SubmissionState.CHECKING:
            _check(submission, now)
        case SubmissionState.PASSED:
            _want_sealing(submission, now)
        case SubmissionState.SEALING:
            packaging.finish_package(submission, _first(stores), now=now)
        case SubmissionState.PACKAGED:
            _want_copies(submission, now, stores)
        case SubmissionState.REGISTERING:
            registering.follow(submission, now=now)
        case SubmissionState.REGISTERED:
            registering.finish(submission, now=now)
        case (
            SubmissionState.UPLOADING
            | SubmissionState.STOPPED
            | SubmissionState.HELD
            | SubmissionState.AWAITING_CONFIRM
            | SubmissionState.FINAL
            | SubmissionState.EXPIRED
            | SubmissionState.WITHDRAWN
        ):
            return
        case _ as never:
            assert_never(never)


def _check(submission: Submission, now: datetime) -> None:
    files = submission.files.all()
    bad = files.filter(state__in=(FileState.REFUSED, FileState.QUARANTINED))
    if (first := bad.order_by("path").first()) is not None:
        _stop(submission, _bad_files(bad.count(), first.path, first.refusal or {}), now)
        return
    if files.filter(state__in=(FileState.UPLOADING, FileState.UPLOADED)).exists():
        return
    totals = files.aggregate(bytes=Sum("size"), records=Sum("records"))
    counted = {"files": files.count(), "bytes": totals["bytes"] or 0, "records": totals["records"] or 0}
    if not counted["records"]:
        _stop(submission, _no_records(counted["files"]), now)
        return
    submission.totals = counted
    submission.kind = submission.kind or _kind(submission)
    Submission.objects.filter(id=submission.id).update(totals=counted, kind=submission.kind)
    if submission.purpose == Purpose.PACKAGE:
        _compare_with_source(submission, now)
        return
    similarity.gate_submission(submission, now=now)


def _compare_with_source(submission: Submission, now: datetime) -> None:
    # Nothing to compare with others: it is, byte for byte, what passed the copy check before.
    source = submission.repackages
    assert source is not None
    wanted = dict(source.files.values_list("path", "sha256"))
    given = dict(submission.files.values_list("path", "sha256"))
    differing = sorted(path for path in wanted.keys() | given.keys() if wanted.get(path) != given.get(path))
    if differing:
        refusal = SubmissionRefusal(
            "submission.other_files", f"A new package holds the same files, and {shown(differing[0])} is not the same.",
            limit=0, actual=len(differing), todo="Upload exactly the files of the version.",
        )  # fmt: skip
        _stop(submission, refusal, now)
        return
    for file in source.files.all():
        submission.files.filter(path=file.path).update(salt=file.salt)
    move(submission, from_state=SubmissionState.CHECKING, to_state=SubmissionState.PASSED, now=now, refusal=None)


def _want_sealing(submission: Submission, now: datetime) -> None:
    if missing_description(submission):
        return
    with transaction.atomic():
        move(submission, from_state=SubmissionState.PASSED, to_state=SubmissionState.SEALING, now=now)
        if submission.visibility == "sealed":
            packaging.want_content_key(submission, now=now)
            ring("provenance.tasks.sign")


def _want_copies(submission: Submission, now: datetime, stores: pinning.Stores) -> None:
    with transaction.atomic():
        pinning.want_pins(cid=Cid.parse(submission.package_root), stores=stores, submission=submission, now=now)
        if submission.purpose == Purpose.PACKAGE:
            # Opening the new package was the confirmation: nothing about it is new to the public but its root.
            submission.state = SubmissionState.PACKAGED
            begin_registering(submission, now=now)
            return
        move(
            submission, from_state=SubmissionState.PACKAGED, to_state=SubmissionState.AWAITING_CONFIRM, now=now,
            expires=now + content_limits().unconfirmed_after,
        )  # fmt: skip


def _kind(submission: Submission) -> str:
    counts: dict[str, int] = {}
    for kind in submission.files.exclude(size=0).values_list("kind", flat=True):
        counts[kind] = counts.get(kind, 0) + 1
    most, count = max(counts.items(), key=lambda item: item[1])
    return most if most and count * 10_000 >= _ONE_KIND_BPS * sum(counts.values()) else "mixed"


def _stop(submission: Submission, refusal: Refusal, now: datetime) -> None:
    move(
        submission, from_state=SubmissionState.CHECKING, to_state=SubmissionState.STOPPED, now=now,
        refusal=refusal.as_problem(), expires=now + content_limits().unconfirmed_after,
    )  # fmt: skip


def _bad_files(count: int, path: str, problem: dict[str, object]) -> SubmissionRefusal:
    words = f"{shown(path)} is not accepted" if count == 1 else f"{count} files are not accepted, {shown(path)} first"
    remove = "Remove it and check again." if count == 1 else "Remove them and check again; each file's line says why."
    limit, actual, todo = (problem.get(name) for name in ("limit", "actual", "todo"))
    return SubmissionRefusal(
        "submission.bad_files", f"{words}: {problem.get('title', '')}",
        limit=limit if isinstance(limit, int | str) else None, actual=actual if isinstance(actual, int | str) else None,
        todo=f"{todo} Or: {remove}" if todo else remove,
    )  # fmt: skip


def _no_records(files: int) -> SubmissionRefusal:
    return SubmissionRefusal(
        "submission.no_records", f"Not one record was found in {files} files: tables have no rows, texts no words.",
        limit=1, actual=0, todo="Add a file with data.",
    )  # fmt: skip


def _first(stores: pinning.Stores) -> ContentStore:
    return next(iter(stores.values()))
