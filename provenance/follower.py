"""Reads the chain and keeps local rows equal to it: headers compared, logs by block hash, projections folded.

1. Ask the node for its final block and its head, in this order, and let `provenance.core.follow` plan.
2. Apply: read headers and logs without a transaction, then write them in one, if the block before is still ours.
3. Rewind: delete orphaned blocks with their events, tell trade which subjects lost events, fold them anew.
4. Finalize: mark events, tell the log (`chain_facts`) and trade (`hooks.on_final`).
5. A reorg past finality halts everything that cannot be rewound. An operator looks, then `confirm_reorg` rewinds and
   retracts; nothing is deleted from the log.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from django.core.mail import mail_admins
from django.db import IntegrityError, transaction
from django.db.models import Max

from provenance import hooks
from provenance.chain_facts import record_final, retract
from provenance.core import follow as core
from provenance.core.refusal import Refusal
from provenance.models import Block, ChainEvent, Deployment
from provenance.ports import Chain, ChainDown, ChainRefusal, EventLog, Header
from provenance.projections import fold, subject_of

log = logging.getLogger(__name__)

ROUNDS = 32
BLOCKS_PER_TRANSACTION = 100
EVENTS_PER_TRANSACTION = 200
KEPT_BELOW_FINALITY = 5_000
"""Headers kept below the final block, to see how deep a reorg past finality goes."""


class FollowerRefusal(Refusal):
    """Something is asked of the follower that its state does not allow."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What a call did: blocks applied and rewound, events made final, and why it halted, if it did."""

    applied: int = 0
    rewound: int = 0
    finalized: int = 0
    halted: str = ""


def follow(
    deployment: Deployment, chain: Chain, now: dt.datetime, *, rounds: int = ROUNDS, finalizing: bool = True
) -> Followed:
    """Bring the rows of a deployment up to the chain's head. Safe twice and twice at once.

    A halted deployment stays where it is. A node that does not answer ends the call; the next one goes on.
    Without `finalizing` nothing becomes final, for whoever has to fetch what final events are explained by first.
    """
    done = Followed()
    try:
        for _ in range(rounds):
            before = done
            done = _round(deployment, chain, now, done, confirmed=False, finalizing=finalizing)
            if done == before or done.halted:
                break
    except _LostRaceError:
        log.info("another follower of %s was faster", deployment)
    except ChainDown as refusal:
        log.warning("%s: %s", deployment, refusal)
    return done


def confirm_reorg(deployment: Deployment, chain: Chain, now: dt.datetime, *, by: str) -> Followed:
    """Rewind past finality after an operator (`by`) has looked: orphaned facts are retracted by further entries.

    Raises FollowerRefusal when nothing halted.
    """
    if not Deployment.objects.filter(pk=deployment.pk).exclude(halted="").exists():
        raise FollowerRefusal("follower.not_halted", "There is no reorganization to confirm.", actual=str(deployment))
    log.critical("%s: reorganization past finality confirmed by %s", deployment, by)
    done = _round(deployment, chain, now, Followed(), confirmed=True)
    rest = follow(deployment, chain, now)
    return Followed(
        done.applied + rest.applied, done.rewound + rest.rewound, done.finalized + rest.finalized, rest.halted
    )


def adopt_restored(deployment: Deployment, chain: Chain, now: dt.datetime) -> Followed:
    """Go back to what a development chain still has after it came back from an older state, even past finality.

    The lanes send their stored bytes again and the facts come back; what the log said of them is retracted until then.
    Nothing is done when the chain has everything that was applied. Only `confirm_reorg --restored` calls this, and only
    for a development chain: no other chain forgets blocks that it called final.
    """
    deployment.refresh_from_db()
    position = position_of(deployment)
    head = chain.header("latest").number
    keep = max(min(head, position.applied), deployment.first_block - 1)
    while keep >= deployment.first_block and _local_hash(deployment, keep) != _hash_at(chain, keep):
        keep -= 1
    rewound = 0
    if keep < position.applied:
        rewound = _rewind(deployment, core.Rewind(keep, past_finality=keep < position.finalized))
    Deployment.objects.filter(pk=deployment.pk).update(halted="")
    done = follow(deployment, chain, now)
    return replace(done, rewound=done.rewound + rewound)


def position_of(deployment: Deployment) -> core.Position:
    """Return where the follower of a deployment stands."""
    base = deployment.first_block - 1
    applied = Block.objects.filter(deployment=deployment).aggregate(highest=Max("number"))["highest"]
    return core.Position(deployment.first_block, base if applied is None else applied, max(deployment.finalized, base))


def _round(
    deployment: Deployment, chain: Chain, now: dt.datetime, done: Followed, *, confirmed: bool, finalizing: bool = True
) -> Followed:
    deployment.refresh_from_db()
    if deployment.halted and not confirmed:
        return replace(done, halted=deployment.halted)
    finalized = chain.header("finalized").number
    Deployment.objects.filter(pk=deployment.pk).update(followed_at=now)
    remote = core.Remote(chain.header("latest").number, finalized, lambda number: _hash_at(chain, number))
    steps = core.plan_following(
        position_of(deployment),
        lambda number: _local_hash(deployment, number),
        remote,
        confirmed_past_finality=confirmed,
    )
    for step in steps:
        match step:
            case core.Wait():
                return done
            case core.Rewind():
                done = replace(done, rewound=done.rewound + _rewind(deployment, step))
            case core.Apply():
                applied = _apply(deployment, chain, step)
                done = replace(done, applied=done.applied + applied)
                if applied <= step.last - step.first:
                    return done  # the chain moved while it was read; plan anew
            case core.Finalize() if not finalizing:
                continue
            case core.Finalize():
                done = replace(done, finalized=done.finalized + _finalize(deployment, step.number))
            case core.Halt():
                return replace(done, halted=_halt(deployment, step))
            case other:
                assert_never(other)
    return done


def _apply(deployment: Deployment, chain: Chain, step: core.Apply) -> int:
    applied = 0
    for first in range(step.first, step.last + 1, BLOCKS_PER_TRANSACTION):
        last = min(first + BLOCKS_PER_TRANSACTION - 1, step.last)
        try:
            headers = _linked(deployment, chain.headers(range(first, last + 1)))
            with_logs = chain.blocks_with_logs(first, last)
            logs = {header.hash: chain.logs(header.hash) for header in headers if header.number in with_logs}
        except ChainDown:
            raise
        except ChainRefusal as refusal:
            log.info("%s: the chain moved while it was read: %s", deployment, refusal)
            return applied
        _write(deployment, headers, logs)
        applied += len(headers)
        if len(headers) <= last - first:
            return applied
    return applied


def _linked(deployment: Deployment, headers: Sequence[Header]) -> list[Header]:
    """Return the headers as far as each names the one before as its parent."""
    linked: list[Header] = []
    for header in headers:
        before = linked[-1].hash if linked else _local_hash(deployment, header.number - 1)
        if before is not None and header.parent != before:
            break
        linked.append(header)
    return linked


def _write(deployment: Deployment, headers: Sequence[Header], logs: dict[str, list[EventLog]]) -> None:
    if not headers:
        return
    times = {header.hash: header.timestamp for header in headers}
    try:
        with transaction.atomic():
            _lock(deployment)
            _check_place(deployment, headers[0])
            Block.objects.bulk_create(
                Block(
                    deployment=deployment, number=header.number, hash=header.hash, parent=header.parent,
                    timestamp=header.timestamp,
                )
                for header in headers
            )  # fmt: skip
            events = [_event(deployment, each, times) for found in logs.values() for each in found]
            events.sort(key=lambda event: (event.block_number, event.log_index))
            ChainEvent.objects.bulk_create(events)
            fold(deployment, (event.subject for event in events))
            for event in events:
                hooks.tell_event(event)
    except IntegrityError as error:
        raise _LostRaceError from error


def _check_place(deployment: Deployment, header: Header) -> None:
    # A rewind by another follower since the plan was made wins: what follows an orphan is not written.
    before = _local_hash(deployment, header.number - 1)
    is_first = header.number == deployment.first_block
    if (before is None and not is_first) or (before is not None and before != header.parent):
        raise _LostRaceError


def _event(deployment: Deployment, each: EventLog, times: dict[str, int]) -> ChainEvent:
    return ChainEvent(
        deployment=deployment,
        block_number=each.block_number,
        block_hash=each.block_hash,
        block_time=times[each.block_hash],
        tx=each.tx,
        log_index=each.log_index,
        contract=each.address,
        name=each.name,
        subject=subject_of(each),
        args=dict(each.args),
    )


def _rewind(deployment: Deployment, step: core.Rewind) -> int:
    with transaction.atomic():
        _lock(deployment)
        orphans = ChainEvent.objects.filter(deployment=deployment, block_number__gt=step.keep)
        subjects = sorted(set(orphans.values_list("subject", flat=True)))
        for event in orphans.filter(final=True).order_by("block_number", "log_index"):
            retract(event)
        orphans.delete()
        blocks, _ = Block.objects.filter(deployment=deployment, number__gt=step.keep).delete()
        fold(deployment, subjects)
        if subjects:
            hooks.tell_rewind(deployment, subjects)
        if step.past_finality:
            Deployment.objects.filter(pk=deployment.pk).update(finalized=step.keep, halted="")
    log.warning("%s: rewound %d blocks to %d", deployment, blocks, step.keep)
    return blocks


def _finalize(deployment: Deployment, number: int) -> int:
    made_final = 0
    while True:
        with transaction.atomic():
            _lock(deployment)
            events = list(
                ChainEvent.objects.filter(deployment=deployment, final=False, block_number__lte=number)
                .select_related("deployment")
                .order_by("block_number", "log_index")[:EVENTS_PER_TRANSACTION]
            )
            if not events:
                break
            ChainEvent.objects.filter(pk__in=[event.pk for event in events]).update(final=True)
            fold(deployment, (event.subject for event in events))
            for event in events:
                event.final = True
                record_final(event)
                hooks.tell_final(event)
        made_final += len(events)
    Deployment.objects.filter(pk=deployment.pk, finalized__lt=number, halted="").update(finalized=number)
    Block.objects.filter(deployment=deployment, number__lt=number - KEPT_BELOW_FINALITY).delete()
    return made_final


def _halt(deployment: Deployment, step: core.Halt) -> str:
    cause = (
        f"Block {step.fork} was final here as {step.local_hash}; the chain now has {step.remote_hash}. Settling and "
        f"final facts stand still. Look at the chain, then run `manage.py confirm_reorg {deployment.pk}`."
    )
    if Deployment.objects.filter(pk=deployment.pk, halted="").update(halted=cause):
        log.critical("%s halted: %s", deployment, cause)
        mail_admins("Cadastre halted: a reorganization past finality", cause, fail_silently=True)
    return cause


def _lock(deployment: Deployment) -> None:
    Deployment.objects.select_for_update().get(pk=deployment.pk)


def _local_hash(deployment: Deployment, number: int) -> str | None:
    return Block.objects.filter(deployment=deployment, number=number).values_list("hash", flat=True).first()


def _hash_at(chain: Chain, number: int) -> str | None:
    try:
        return chain.header(number).hash
    except ChainDown:
        raise
    except ChainRefusal as refusal:
        if refusal.code == "chain.no_block":
            return None
        raise


class _LostRaceError(Exception):
    """Another follower was faster; its rows stand."""
