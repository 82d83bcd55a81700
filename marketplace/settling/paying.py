"""Paying an accepted root: ranges worth a push are pushed, the rest stays claimable by anybody for its payee."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction

from marketplace import market_calls
from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.payout_tree import push_ranges
from marketplace.models import PaidTotal, PayeeRow, PayoutRow, SettlementRow
from marketplace.queries.deployments import deployment_of
from marketplace.settling.closing import is_stopped
from provenance.models import ChainEvent, Deployment

PUSH_MOST = 100


def push_due(*, now: datetime) -> int:
    """Want the pushes of every accepted root once; return how many ranges. Two workers want the same ranges once."""
    wanted = 0
    for row in SettlementRow.objects.filter(state=SettlementRow.State.ACCEPTED, pushed_at=None).order_by("epoch"):
        deployment = deployment_of(AssetName.parse(row.token, AssetKind.TOKEN))
        if _acceptance_final(row, deployment) and not is_stopped(deployment):
            wanted += _push(row, deployment, now)
    return wanted


@transaction.atomic
def _push(row: SettlementRow, deployment: Deployment, now: datetime) -> int:
    # Compare-and-set: of two payout workers one goes on. The keys of the intents would stop the other one, too.
    if SettlementRow.objects.filter(pk=row.pk, pushed_at=None).update(pushed_at=now, changed=now) != 1:
        return 0
    payouts = list(PayoutRow.objects.filter(settlement=row).order_by("leaf"))
    due = _due(row, deployment, payouts)
    ranges = push_ranges(due, threshold=max(1, settings.CADASTRE_PUSH_THRESHOLD), most=PUSH_MOST)
    pushed: dict[int, str] = {}
    for first, count in ranges:
        key = f"push:{row.token}:{row.epoch}:{first}"
        market_calls.want(
            kind="market.push",
            key=key,
            payload={"settlement": str(row.pk), "first": first, "count": count},
            deployment=deployment,
            now=now,
        )
        pushed |= {leaf: key for leaf in range(first, first + count) if due[leaf]}
    for payout, amount in zip(payouts, due, strict=True):
        _mark(payout, pushed.get(payout.leaf, ""), amount, now)
    return len(ranges)


def _mark(payout: PayoutRow, key: str, amount: int, now: datetime) -> None:
    if key:
        state, cause = PayoutRow.State.PUSHING, ""
    elif payout.amount and not amount:
        state, cause = PayoutRow.State.CLAIMABLE, "Waits until the payee has accepted the share."
    elif amount:
        state, cause = PayoutRow.State.CLAIMABLE, "Below the threshold of a push: it is paid with the next ones."
    else:
        state, cause = PayoutRow.State.PAID, ""
    PayoutRow.objects.filter(pk=payout.pk, state=PayoutRow.State.OWED).update(
        state=state, intent_key=key, cause=cause, changed=now
    )


def _due(row: SettlementRow, deployment: Deployment, payouts: list[PayoutRow]) -> list[int]:
    """Return what each leaf is still owed; 0 for payees who have not accepted, because a push would pass them over."""
    paid = dict(PaidTotal.objects.filter(token=row.token).values_list("payee", "paid"))
    market = deployment.account_caip(deployment.market)
    waiting = set(PayeeRow.objects.filter(market=market, accepted=False).values_list("number", flat=True))
    return [
        0 if payout.payee in waiting else max(0, payout.cumulative - paid.get(payout.payee, 0)) for payout in payouts
    ]


def _acceptance_final(row: SettlementRow, deployment: Deployment) -> bool:
    token = AssetName.parse(row.token, AssetKind.TOKEN).contract
    return ChainEvent.objects.filter(
        deployment=deployment, name="RootAccepted", subject=f"settlement/{token}/{row.epoch}", final=True
    ).exists()
