"""What became of a payment whose transaction is over: only the chain says, because others could have sent it, too.

The treasury pays by authorizations (EIP-3009), and whoever sees one waiting to be mined can send it first. Ours then
reverts although the money has moved. So the end of a transaction that was signed gives nothing back:

1. A purchase or deposit that never took a nonce was never seen: what it held is given back at once
   (`projections.intents`). If a restored database only forgot the nonce, the contract's event decides.
2. Otherwise what is held stays held until the authorization is out of time at a final block. If it was used by then,
   whoever sent it, the payment took place; if not, it never can, and what was held is given back.
3. Withdrawals and collected income make no event that is followed: the token is asked (`transfers`).
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from marketplace.actions.orders import fail_order
from marketplace.actions.transfers import settle_transfers
from marketplace.actions.vouchers import fail_voucher
from marketplace.models import LicenseRow, Order, VoucherRow
from provenance.models import Block, Intent, IntentState

OVER = (IntentState.FAILED, IntentState.EXPIRED)


def was_seen(intent: Intent) -> bool:
    """Say whether somebody may have seen what a transaction carries: it took a nonce, so it may have been sent."""
    return intent.nonce is not None


def cause_of(intent: Intent) -> str:
    """Return why a transaction did not take place, in words."""
    return intent.cause or f"The transaction is {intent.state}."


def resolve_outcomes(*, now: datetime) -> int:
    """Decide on orders, deposits and transfers whose transaction is over, as far as time and chain allow.

    Returns how many were decided. Safe twice. Asks the node about transfers. Raises ChainRefusal.
    """
    over = Intent.objects.filter(state__in=OVER, nonce__isnull=False).select_related("deployment")
    return _resolve_orders(over, now) + _resolve_deposits(over, now) + settle_transfers(now=now)


def _resolve_orders(over: QuerySet[Intent], now: datetime) -> int:
    waiting = Order.objects.filter(
        state__in=(Order.State.PLACED, Order.State.PAYING), intent_key__in=over.values("key")
    )
    decided = 0
    for order in waiting:
        intent = over.get(key=order.intent_key)
        # A license would stand at a final block by now. One that exists answers for its order (`projections.events`).
        if _is_out_of_time(intent) and not LicenseRow.objects.filter(order=order).exists():
            decided += fail_order(order=order.pk, cause=cause_of(intent), now=now)
    return decided


def _resolve_deposits(over: QuerySet[Intent], now: datetime) -> int:
    waiting = VoucherRow.objects.filter(state=VoucherRow.State.DEPOSITING, intent_key__in=over.values("key"))
    decided = 0
    for voucher in waiting:
        intent = over.get(key=voucher.intent_key)
        # Its event would have been followed by now (`projections.finality`).
        if _is_out_of_time(intent):
            fail_voucher(voucher, deposited=False, cause=cause_of(intent), now=now)
            decided += 1
    return decided


def _valid_before(intent: Intent) -> int:
    return int(intent.payload["valid_before"])


def _is_out_of_time(intent: Intent) -> bool:
    deployment = intent.deployment
    final = Block.objects.filter(deployment=deployment, number=deployment.finalized)
    time = final.values_list("timestamp", flat=True).first()
    return time is not None and time >= _valid_before(intent)
