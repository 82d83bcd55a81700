"""Final roots and payouts: what was owed becomes paid, once, in the journal, the log and the payouts' rows."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db.models import F

from marketplace import alarms, journal, market_calls
from marketplace.core.payout_tree import pushed_payments, unpack_leaves
from marketplace.models import PaidTotal, PayoutRow
from marketplace.queries.settlements import pending_roots
from provenance.models import ChainEvent

log = logging.getLogger(__name__)

_REASONS = {1: "The payee has not accepted yet.", 2: "The token refused the transfer to this address."}


def record_proposed(event: ChainEvent) -> None:
    """A root is proposed for good: a person must know of a pending one that this register did not compute."""
    for root in pending_roots():
        if root.fact == event.fact and not root.is_ours:
            alarms.raise_alarm(
                code="root.unknown", subject=f"{root.token} {root.epoch}", now=market_calls.event_time(event),
                message=f"A root over {root.cumulative} base units was proposed in {root.tx}, and this register "
                "computed no such settlement. Unless it is vetoed, anybody can accept it after its window.",
            )  # fmt: skip


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
    """Payees were paid, each up to its cumulative amount, but for those that were skipped."""
    if journal.is_booked(f"payout:{event.fact}"):
        return  # a chain that is read again tells it again, when the leaves are paid and explain nothing any more
    token, epoch, total = _token(event), event.number("epoch"), event.number("total")
    leaves = unpack_leaves(bytes.fromhex(event.args["leaves"].removeprefix("0x")))
    paid = {payee: _paid(token, payee) for payee, _ in leaves}
    payments = pushed_payments(leaves, paid=paid, skipped=_skipped_with(event), total=total)
    if payments is None:
        alarms.raise_alarm(
            code="payouts.unexplained", subject=event.fact, now=market_calls.event_time(event),
            message=f"{total} base units were pushed, which what was paid before does not explain.",
        )  # fmt: skip
        _book(event, total, event.fact, journal.PAYEES)
        return
    for payment in payments:
        account = _account_at(event, payment.payee)
        _pay(event, payment.payee, account, payment.amount, payment.cumulative, epoch)


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


def _skipped_with(event: ChainEvent) -> list[tuple[int, int]]:
    skipped = ChainEvent.objects.filter(
        deployment=event.deployment, tx=event.tx, name="PayoutSkipped", log_index__lt=event.log_index
    ).order_by("log_index")
    token = event.args["token"]
    return [(each.number("payee"), each.number("amount")) for each in skipped if each.args["token"] == token]


def _account_at(event: ChainEvent, payee: int) -> str:
    """Return where a payee was paid when the event happened; a settlement names where it was at its border."""
    moves = ChainEvent.objects.filter(
        deployment=event.deployment, subject=f"payee/{payee}", name__in=("PayeeAdded", "PayeeChanged"),
        block_number__lte=event.block_number,
    ).order_by("-block_number", "-log_index")  # fmt: skip
    place = (event.block_number, event.log_index)
    last = next(each for each in moves if (each.block_number, each.log_index) < place)
    return str(last.args["account" if last.name == "PayeeAdded" else "to"])


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
