"""Final roots and payouts: what was owed becomes paid, once, in the journal, the log and the payouts' rows."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db.models import F

from marketplace import alarms, journal, market_calls
from marketplace.models import PaidTotal, PayoutRow, SettlementRow
from provenance.models import ChainEvent

log = logging.getLogger(__name__)

_REASONS = {1: "The payee has not accepted yet.", 2: "The token refused the transfer to this address."}


def record_accepted(event: ChainEvent) -> None:
    """A root is accepted for good: what it adds is owed from now on."""
    deployment, token, epoch = event.deployment, _token(event), event.number("epoch")
    before = _accepted_before(event)
    added = event.number("cumulativeTotal") - before
    if added:
        journal.move(
            source=journal.UNSETTLED, target=journal.OWED, token=token, amount=added,
            effect=f"{event.name}:{event.fact}", now=market_calls.event_time(event),
        )  # fmt: skip
    proposed = (
        ChainEvent.objects.filter(
            deployment=deployment, name="RootProposed", subject=event.subject, block_number__lte=event.block_number
        )
        .order_by("-block_number", "-log_index")
        .first()
    )
    if proposed is None:
        return
    market_calls.state_event(
        type="settlement.accepted",
        subject=f"settlement:{token}:{epoch}",
        event=event,
        body={
            "epoch": epoch,
            "root": proposed.args["root"],
            "digest": str(proposed.args["settlement"]).removeprefix("0x"),
            "cumulative": str(event.number("cumulativeTotal")),
        },
    )


def record_paid(event: ChainEvent) -> None:
    """A payee claimed."""
    payee, amount, cumulative = event.number("payee"), event.number("amount"), event.number("cumulativeAmount")
    epoch = _epoch_at(event)
    _pay(event, payee, event.args["account"], amount, cumulative, epoch)


def record_pushed(event: ChainEvent) -> None:
    """A range of leaves was paid: each up to its cumulative amount, but for those that were skipped.

    The event carries the sum only; the leaves are those of the settlement that we know. Of a stranger's settlement
    the sum is booked, and its payouts stay unnamed here until somebody gives us its documents.
    """
    if journal.is_booked(f"payout:{event.fact}"):
        return  # a chain that is read again tells it again, when the leaves are paid and explain nothing any more
    token, epoch, total = _token(event), event.number("epoch"), event.number("total")
    first, count = event.number("first"), event.number("count")
    row = SettlementRow.objects.filter(token=token, epoch=epoch).first()
    skipped = _skipped_with(event)
    leaves = [] if row is None else list(
        PayoutRow.objects.filter(settlement=row, leaf__gte=first, leaf__lt=first + count).order_by("leaf")
    )  # fmt: skip
    due = [(leaf, leaf.cumulative - _paid(token, leaf.payee)) for leaf in leaves if leaf.payee not in skipped]
    due = [(leaf, amount) for leaf, amount in due if amount > 0]
    if sum(amount for _, amount in due) != total:
        alarms.raise_alarm(
            code="payouts.unexplained", subject=event.fact, now=market_calls.event_time(event),
            message=f"{total} base units were pushed; the leaves known here explain {sum(each for _, each in due)}.",
        )  # fmt: skip
        if total:
            _book(event, total, event.fact, journal.PAYEES)
        return
    for leaf, amount in due:
        _pay(event, leaf.payee, leaf.address, amount, leaf.cumulative, epoch)


def record_skipped(event: ChainEvent) -> None:
    """A payee was passed over; its share stays claimable, with the cause."""
    cause = _REASONS.get(event.number("reason"), "The market passed over this payee.")
    PayoutRow.objects.filter(settlement__token=_token(event), payee=event.number("payee"), state__in=_OPEN).update(
        state=PayoutRow.State.CLAIMABLE, cause=cause, changed=market_calls.event_time(event)
    )


_OPEN = (PayoutRow.State.OWED, PayoutRow.State.PUSHING, PayoutRow.State.CLAIMABLE)


def _pay(event: ChainEvent, payee: int, address: str, amount: int, cumulative: int, epoch: int) -> None:  # noqa: PLR0917  # one line of the event
    token, now = _token(event), market_calls.event_time(event)
    own = address == market_calls.known_address(market_calls.TREASURY)
    target = journal.REGISTER if own else journal.PAYEES
    if not _book(event, amount, f"{event.fact}:{payee}", target):
        return
    PaidTotal.objects.get_or_create(token=token, payee=payee)
    PaidTotal.objects.filter(token=token, payee=payee).update(paid=F("paid") + amount)
    _mark_paid(event, payee, cumulative, now)
    market_calls.state_event(
        type="payout.made",
        subject=event.deployment.account_caip(address),
        event=event,
        part=str(payee),
        body={
            "payee": payee,
            "token": token,
            "amount": str(amount),
            "cumulative": str(cumulative),
            "epoch": epoch,
        },
    )


def _mark_paid(event: ChainEvent, payee: int, cumulative: int, now: datetime) -> None:
    PayoutRow.objects.filter(
        settlement__token=_token(event), payee=payee, cumulative__lte=cumulative, state__in=_OPEN
    ).update(state=PayoutRow.State.PAID, tx=event.tx, cause="", changed=now)


def _book(event: ChainEvent, amount: int, effect: str, target: str) -> bool:
    return journal.move(
        source=journal.OWED, target=target, token=_token(event), amount=amount, effect=f"payout:{effect}",
        now=market_calls.event_time(event),
    )  # fmt: skip


def _skipped_with(event: ChainEvent) -> set[int]:
    skipped = ChainEvent.objects.filter(
        deployment=event.deployment, tx=event.tx, name="PayoutSkipped", log_index__lt=event.log_index
    )
    return {each.number("payee") for each in skipped}


def _accepted_before(event: ChainEvent) -> int:
    earlier = ChainEvent.objects.filter(
        deployment=event.deployment, name="RootAccepted", block_number__lte=event.block_number
    ).order_by("-block_number", "-log_index")
    place = (event.block_number, event.log_index)
    for each in earlier:
        if each.args["token"] == event.args["token"] and (each.block_number, each.log_index) < place:
            return each.number("cumulativeTotal")
    return 0


def _epoch_at(event: ChainEvent) -> int:
    accepted = ChainEvent.objects.filter(
        deployment=event.deployment, name="RootAccepted", block_number__lte=event.block_number
    ).order_by("-block_number", "-log_index")
    return next((each.number("epoch") for each in accepted if each.args["token"] == event.args["token"]), 1)


def _paid(token: str, payee: int) -> int:
    return PaidTotal.objects.filter(token=token, payee=payee).values_list("paid", flat=True).first() or 0


def _token(event: ChainEvent) -> str:
    return event.deployment.token_caip(event.args["token"])
