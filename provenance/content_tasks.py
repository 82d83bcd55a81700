"""Doorbells and sweeps for content: take what is due from the database, in bounded bites, safe twice and at once.

`work` is rung when somebody did something; `sweep_content` comes by every few seconds and finds what a lost message
left behind; `tend_copies` looks after pins.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from time import monotonic

from celery import shared_task
from django.utils import timezone

from provenance import bootstrap, ingest, packaging, pinning, publication, similarity, takedowns, uploads
from provenance.core.refusal import Refusal
from provenance.doorbell import ring
from provenance.models import Submission, SubmissionState

_LOG = logging.getLogger(__name__)

WORK_SECONDS = 120
FILES_AT_ONCE = 4
SUBMISSIONS_AT_ONCE = 1000
MOVING = (
    SubmissionState.CHECKING,
    SubmissionState.PASSED,
    SubmissionState.SEALING,
    SubmissionState.PACKAGED,
    SubmissionState.REGISTERING,
    SubmissionState.REGISTERED,
)


@shared_task(name="provenance.content_tasks.work", ignore_result=True)
def work() -> None:
    """Inspect and store files and move submissions until nothing is due, for two minutes at most."""
    if ingest.due_count(now=timezone.now()) > FILES_AT_ONCE:
        # One further worker each: the load spreads without a message per file.
        ring("provenance.content_tasks.work")
    until = monotonic() + WORK_SECONDS
    while monotonic() < until:
        if not _bite():
            return
    ring("provenance.content_tasks.work")


@shared_task(name="provenance.content_tasks.sweep_content", ignore_result=True)
def sweep_content() -> None:
    """Find what no message told of, and end what nobody came back to."""
    now = timezone.now()
    _guarded("expire abandoned uploads", lambda: uploads.expire_abandoned(now=now))
    _guarded("compact the index", similarity.compact_due)
    work()


@shared_task(name="provenance.content_tasks.tend_copies", ignore_result=True)
def tend_copies() -> None:
    """Make missing copies, audit those that are there, release what was given up."""
    stores = bootstrap.content_stores()
    now = timezone.now()
    _guarded("name overdue pins", lambda: pinning.call_overdue(now=now))
    _guarded("repair copies", lambda: pinning.repair_due(stores, now=now))
    _guarded("audit copies", lambda: pinning.audit_due(stores, now=now))
    _guarded("release copies", lambda: takedowns.release_ended(stores, now=now))


def _bite() -> int:
    stores = bootstrap.content_stores()
    store = next(iter(stores.values()))
    done = _guarded("inspect files", lambda: ingest.inspect_due(clock=timezone.now, limit=FILES_AT_ONCE))
    done += _guarded("store files", lambda: packaging.store_due(store, clock=timezone.now, limit=FILES_AT_ONCE))
    for submission in Submission.objects.filter(state__in=MOVING).order_by("changed")[:SUBMISSIONS_AT_ONCE]:
        done += _guarded(f"advance {submission.id}", partial(_advanced, submission, stores))
    if done:
        _guarded("make copies", lambda: pinning.repair_due(stores, now=timezone.now()))
    return done


def _advanced(submission: Submission, stores: pinning.Stores) -> int:
    return int(publication.advance(submission, now=timezone.now(), stores=stores))


def _guarded(what: str, work: Callable[[], int]) -> int:
    # One poisoned row must not keep the others waiting; it stays due, and the log says why.
    try:
        return work()
    except Refusal as refusal:
        _LOG.warning("Could not %s: %s", what, refusal)
    except Exception:  # noqa: BLE001  # whatever it was, the other rows go on
        _LOG.exception("Could not %s.", what)
    return 0
