"""Doorbells of chain and log. Every task takes what is due from the database, in bounded bites, safe twice and at once.

`sign` runs in the signer (queue `signer`), the only process that holds keys; the others run in workers. Beat rings them
every few seconds, so that a lost message costs seconds.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from celery import shared_task
from django.utils import timezone

from provenance import anchoring, bootstrap, follower, lanes, sequencer, signing
from provenance.core.refusal import Refusal
from provenance.doorbell import ring
from provenance.models import Deployment
from provenance.ports import ChainDown, ChainRefusal, KeyRing

log = logging.getLogger(__name__)

SIGN, FOLLOW, ANCHOR = signing.SIGN_TASK, "provenance.tasks.follow", "provenance.tasks.anchor"
WORK_SECONDS = 20.0
LANE_ROUNDS = 4
"""Enough to sign, send and see mined; then grants, the log and the follower have their turn before what came since."""

Result = TypeVar("Result")


@shared_task(name=SIGN, ignore_result=True)
def sign() -> None:
    """Sign, send and sequence until nothing is due, for 20 seconds at most."""
    keys = bootstrap.keyring()
    until = monotonic() + WORK_SECONDS
    while monotonic() < until and sign_once(keys, timezone.now()):
        pass


@shared_task(name=FOLLOW, ignore_result=True)
def follow() -> None:
    """Bring every deployment up to its chain's head."""
    for deployment in Deployment.objects.order_by("pk"):
        chain = bootstrap.chain(deployment)
        done = _guarded(f"follow {deployment}", lambda: follower.follow(deployment, chain, timezone.now()))  # noqa: B023
        if done is not None and done.finalized:
            ring(SIGN)  # final facts wait to be sequenced


@shared_task(name=ANCHOR, ignore_result=True)
def anchor() -> None:
    """Commit to the log's subjects and anchor its head, when either is due."""
    _guarded("commit the index", lambda: anchoring.commit_index_due(timezone.now()))
    for deployment in Deployment.objects.filter(active=True, halted="").order_by("-pk")[:1]:
        if _guarded("anchor", lambda: anchoring.anchor_due(deployment, timezone.now())) is not None:  # noqa: B023
            ring(SIGN)


def sign_once(keys: KeyRing, now: dt.datetime) -> int:
    """Take one bite of everything that needs a key; return how much was done.

    What cannot be done now (a node that is down) never holds up the rest.
    """
    done = _guarded("sign", lambda: signing.sign_due(keys, now)) or 0
    moved = _guarded("work the lanes", lambda: _work_lanes(keys, now)) or 0
    if moved:
        ring(FOLLOW)  # what was sent or came to rest is in blocks that wait to be read
    done += moved
    sequenced = _guarded("sequence", lambda: sequencer.sequence_due(keys, now)) or 0
    _guarded("publish the log", lambda: sequencer.publish_due(now))
    return done + sequenced


def _work_lanes(keys: KeyRing, now: dt.datetime) -> int:
    done = 0
    for chain_id in Deployment.objects.values_list("chain_id", flat=True).distinct():
        deployment = Deployment.objects.filter(chain_id=chain_id).order_by("-pk")[0]
        chain = bootstrap.chain(deployment)
        for name in lanes.lanes_due(chain_id):
            try:
                lane = lanes.open_lane(name, ring=keys, chain=chain, now=now)
                done += lanes.work_lane(lane, keys, chain, now, rounds=LANE_ROUNDS)
            except ChainDown as refusal:
                log.warning("lane %s of chain %d waits: %s", name, chain_id, refusal)
                break
            except ChainRefusal:
                log.exception("lane %s of chain %d stopped", name, chain_id)
    return done


def _guarded(what: str, work: Callable[[], Result]) -> Result | None:
    try:
        return work()
    except Refusal as refusal:
        log.warning("%s: %s", what, refusal)
    except Exception:
        log.exception("could not %s", what)
    return None
