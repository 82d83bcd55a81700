"""What becomes of the transactions that trade wanted. Runs in the transaction that moves the intent; safe twice."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from marketplace import alarms
from marketplace.actions.custody import finish_handover
from marketplace.actions.money import doubt_transfer, fail_top_up, finish_top_up, finish_withdrawal
from marketplace.actions.orders import fail_order
from marketplace.actions.outcomes import OVER, cause_of, was_seen
from marketplace.actions.vouchers import fail_voucher
from marketplace.models import LicenseRow, Order, PayoutRow, SettlementRow, TopUp, VoucherRow, Withdrawal
from provenance.models import Intent, IntentState

_SENT = (IntentState.SIGNED, IntentState.BROADCAST)


def follow_intent(intent: Intent) -> None:
    """Move the row that wanted this transaction."""
    match intent.kind:
        case "market.purchase" | "wallet.purchase":
            _purchase(intent)
        case "market.deposit" | "wallet.deposit" | "market.charge":
            _voucher(intent)
        case "token.mint" | "token.collect":
            _top_up(intent)
        case "token.withdraw":
            _withdrawal(intent)
        case "registry.hand_over":
            _handover(intent)
        case "market.push":
            _push(intent)
        case "market.propose" | "market.accept":
            _settlement(intent)
        case _:
            return


def _purchase(intent: Intent) -> None:
    order = UUID(intent.payload["order"])
    if intent.state in _SENT:
        Order.objects.filter(pk=order, state=Order.State.PLACED).update(state=Order.State.PAYING, changed=_now(intent))
    elif _never_happens(intent) and not LicenseRow.objects.filter(order=order).exists():
        # A license that exists answers for its order: the contract refused the second of two equal purchases.
        fail_order(order=order, cause=cause_of(intent), now=_now(intent))


def _voucher(intent: Intent) -> None:
    voucher = VoucherRow.objects.filter(pk=intent.payload["voucher"]).first()
    if voucher is None:
        return
    is_deposit = intent.kind != "market.charge"
    if _never_happens(intent) or (intent.state in OVER and not is_deposit):
        fail_voucher(voucher, deposited=not is_deposit, cause=cause_of(intent), now=_now(intent))


def _top_up(intent: Intent) -> None:
    number = UUID(intent.payload["top_up"])
    if intent.state == IntentState.FINAL:
        finish_top_up(top_up=number, now=_now(intent))
    elif intent.state in OVER and intent.kind == "token.collect":
        doubt_transfer(TopUp, number, cause=cause_of(intent), now=_now(intent))
    elif intent.state in OVER:
        fail_top_up(top_up=number, cause=cause_of(intent), now=_now(intent))


def _withdrawal(intent: Intent) -> None:
    number = UUID(intent.payload["withdrawal"])
    if intent.state == IntentState.FINAL:
        finish_withdrawal(withdrawal=number, now=_now(intent))
    elif intent.state in OVER:
        doubt_transfer(Withdrawal, number, cause=cause_of(intent), now=_now(intent))


def _handover(intent: Intent) -> None:
    if intent.state == IntentState.FINAL:
        finish_handover(intent_key=intent.key)
    elif intent.state in OVER:
        finish_handover(intent_key=intent.key, failed=cause_of(intent))


def _push(intent: Intent) -> None:
    if intent.state in OVER:
        PayoutRow.objects.filter(intent_key=intent.key, state=PayoutRow.State.PUSHING).update(
            state=PayoutRow.State.CLAIMABLE, cause=cause_of(intent)[:500], changed=_now(intent)
        )


def _settlement(intent: Intent) -> None:
    if intent.state not in OVER:
        return
    row = SettlementRow.objects.filter(pk=intent.payload["settlement"]).first()
    # A root that was vetoed, or accepted by somebody else, needs no transaction of ours any more.
    if row is not None and row.state in {SettlementRow.State.PINNED, SettlementRow.State.PROPOSED}:
        alarms.raise_alarm(
            code="settlement.stuck", subject=str(row), now=_now(intent),
            message=f"{intent.kind} did not take place: {cause_of(intent)}",
        )  # fmt: skip
        # What was never proposed would be under way for ever: this try is over, and the next one takes all of it up.
        SettlementRow.objects.filter(pk=row.pk, state=SettlementRow.State.PINNED).update(
            state=SettlementRow.State.VETOED, changed=_now(intent)
        )


def _never_happens(intent: Intent) -> bool:
    """Say whether a payment is over for good. One whose authorization may have been seen is decided by the chain."""
    return intent.state in OVER and not was_seen(intent)


def _now(intent: Intent) -> datetime:
    return intent.updated_at
