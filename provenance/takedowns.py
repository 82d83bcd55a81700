"""The two acts that stop delivery, and the end of what nobody published.

*Withhold* (law, malware): delivery stops, the record stays, and verifiers say "withheld by entry N", not fail.
*Erase* is withhold, and content keys, salts, file names and digests, fingerprints and previews are destroyed. What
stands on chain and in the log stays: digests that lead nowhere, and a tombstone. Copies that were already delivered are
out of reach. (*Delist* is trade's: it leaves content alone.)

Blocks are destroyed afterwards by `release_ended`, store by store, again and again until none has them.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from provenance import pinning, similarity
from provenance.content_queries import dataset_record
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.manifest import Manifest, Visibility
from provenance.core.refusal import Refusal
from provenance.intake import submit_statement
from provenance.limits import preview_dir
from provenance.models import (
    Act,
    ContentAct,
    ContentKey,
    Document,
    KeyState,
    PinRow,
    PinState,
    Submission,
    SubmissionState,
    SubmittedFile,
)
from provenance.uploads import free_scratch

REASONS = ("court-order", "law", "malware", "owner-request", "personal-data", "rights-claim")


class TakedownRefusal(Refusal):
    """An act against a dataset's content is refused."""


def withhold(
    *, by: UUID, dataset: str, reason: str, now: datetime, version: int | None = None, order: str | None = None
) -> ContentAct:
    """Stop the delivery of one version, or of all; `order` is the digest of the order that demands it. Safe twice.

    `by` is the operator or the owner, whose right to do so the caller has checked. Raises TakedownRefusal.
    """
    _check(dataset, reason)
    with transaction.atomic():
        act = _record(Act.WITHHELD, by=by, dataset=dataset, reason=reason, now=now, version=version, order=order)
        for submission in _submissions(dataset, version):
            PinRow.objects.filter(submission=submission, announced=True).update(
                announced=False, state=PinState.WANTED, due=now
            )
    return act


def erase(
    *, by: UUID, dataset: str, reason: str, now: datetime, version: int | None = None, order: str | None = None
) -> ContentAct:
    """Withhold, and destroy everything with which the content could be opened or recognized. Cannot be undone.

    `by` as in `withhold`. Raises TakedownRefusal.
    """
    _check(dataset, reason)
    with transaction.atomic():
        _record(Act.WITHHELD, by=by, dataset=dataset, reason=reason, now=now, version=version, order=order)
        act = _record(Act.ERASED, by=by, dataset=dataset, reason=reason, now=now, version=version, order=order)
        for submission in _submissions(dataset, version):
            _destroy(submission, now)
    return act


def release_ended(stores: pinning.Stores, *, now: datetime) -> int:
    """Unpin and destroy the blocks of what expired, was withdrawn or erased; return how many blocks went."""
    erased = ContentAct.objects.filter(
        Q(version=0) | Q(version=OuterRef("submission__version")),
        act=Act.ERASED,
        dataset=OuterRef("submission__dataset"),
    )
    ended = Q(submission__state__in=(SubmissionState.EXPIRED, SubmissionState.WITHDRAWN))
    doomed = PinRow.objects.filter(ended | Exists(erased)).values_list("submission", flat=True).distinct()
    gone = 0
    for submission in Submission.objects.filter(id__in=doomed):
        gone += pinning.release(submission=submission, stores=stores)
        ContentKey.objects.filter(submission=submission).exclude(state=KeyState.DESTROYED).update(
            state=KeyState.DESTROYED, wrapped=None, changed=now
        )
    return gone


def _check(dataset: str, reason: str) -> None:
    if reason not in REASONS:
        raise TakedownRefusal(
            "takedown.reason", "The reason is not one of the reasons of the trail.", limit=", ".join(REASONS),
            actual=reason[:40],
        )  # fmt: skip
    if dataset_record(dataset) is None:
        raise TakedownRefusal("takedown.dataset", "There is no such dataset.", actual=dataset[:160])


def _record(
    act: Act, *, by: UUID, dataset: str, reason: str, now: datetime, version: int | None, order: str | None
) -> ContentAct:
    row, made = ContentAct.objects.get_or_create(
        dataset=dataset, version=version or 0, act=act,
        defaults={"reason": reason, "order": order or "", "by": by, "created": now},
    )  # fmt: skip
    if made:
        kind = f"content.{act}"
        submit_statement(
            type=kind, subject=dataset, fact=f"{kind}:{dataset}:{version or 'all'}", time=now,
            body={"version": version, "reason": reason, "order": order},
        )  # fmt: skip
    return row


def _submissions(dataset: str, version: int | None) -> list[Submission]:
    found = Submission.objects.filter(dataset=dataset)
    return list(found if version is None else found.filter(version=version))


def _destroy(submission: Submission, now: datetime) -> None:
    ContentKey.objects.filter(submission=submission).update(state=KeyState.DESTROYED, wrapped=None, changed=now)
    similarity.forget(submission)
    files = list(submission.files.all())
    for file in files:
        file.submission = submission
        free_scratch(file)
    _destroy_documents(submission, now)
    SubmittedFile.objects.filter(submission=submission).delete()
    submission.matches.all().delete()
    for file in files:
        transaction.on_commit(partial((preview_dir() / f"{file.id}.webp").unlink, missing_ok=True))


def _destroy_documents(submission: Submission, now: datetime) -> None:
    # A sealed manifest names no file; an open one carries names, digests and salts, or leads to lists that do.
    row = Document.objects.filter(sha256=submission.manifest).first()
    if row is None:
        return
    manifest = Manifest.parse(row.content)
    if manifest.visibility is Visibility.SEALED:
        return
    digests = [submission.manifest, *(digest.hex for digest in manifest.file_lists or ())]
    cids = [str(Cid.of_digest(Sha256.from_hex(digest))) for digest in digests]
    PinRow.objects.filter(cid__in=cids).update(submission=submission, announced=False, due=now)
    Document.objects.filter(sha256__in=digests).delete()
