"""What an account has earned: per payout, with the settlement that explains it, and what is still on its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext

from marketplace.core.allocation import AllocationLine
from marketplace.core.caip import AccountName, AssetKind, AssetName
from marketplace.core.revenue import RevenueLine
from marketplace.models import Account, LicenseRow, Listing, PaidTotal, PayeeRow, PayoutRow, SettlementRow
from marketplace.queries.addresses import addresses_of
from marketplace.queries.deployments import deployment_of
from marketplace.queries.settlements import read_settlement


@dataclass(frozen=True, slots=True)
class Earnings:
    """Base units of one token, cumulative. `held` and `unsettled` are gross; the others are the account's own.

    `held`: refundable still. `unsettled`: in no settlement yet. `pending`: settled, not accepted or being pushed.
    `claimable`: accepted, waiting for the payee, the threshold or a claim. `paid`: arrived on chain. `next_payout` is
    the earliest end of the running epoch plus its window; `why` says what it waits for.
    """

    token: str
    held: int
    unsettled: int
    pending: int
    claimable: int
    paid: int
    next_payout: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a payout is what it is: the allocation lines of the payee, and the revenue lines of those datasets."""

    allocations: tuple[AllocationLine, ...]
    revenue: tuple[RevenueLine, ...]


def payouts_of(account: Account) -> QuerySet[PayoutRow]:
    """Return what settlements owe to the account's addresses, newest first."""
    rows = PayoutRow.objects.select_related("settlement").filter(address__in=addresses_of(account))
    return rows.order_by("-settlement__epoch", "leaf")


def earnings_of(account: Account, token: str, *, now: datetime) -> Earnings:
    """Return the account's earnings in a token (CAIP-19) as of the newest final block."""
    sales = LicenseRow.objects.filter(
        token=token, final=True, dataset__in=Listing.objects.filter(account=account).values("pk")
    )
    active = sales.exclude(state=LicenseRow.State.REFUNDED)
    held = active.filter(hold_until__gt=now)
    payouts = payouts_of(account).filter(settlement__token=token)
    settled_until = _settled_until(token)
    fresh = active.filter(hold_until__lte=now)
    unsettled = (
        fresh
        if settled_until is None
        else fresh.filter(Q(block__gt=settled_until[0]) | Q(hold_until__gt=settled_until[1]))
    )
    pending = payouts.filter(
        Q(settlement__state__in=_PENDING) | Q(state__in=(PayoutRow.State.OWED, PayoutRow.State.PUSHING))
    ).exclude(settlement__state=SettlementRow.State.VETOED)
    due, why = _next_payout(token, now)
    return Earnings(
        token=token,
        held=_sum(held, "price"),
        unsettled=_sum(unsettled, "price"),
        pending=_sum(pending, "amount"),
        claimable=_claimable(account, token),
        paid=_paid(account, token),
        next_payout=due,
        why=why,
    )


def explain_payout(payout: PayoutRow) -> Explanation:
    """Return the lines of the settlement that make up a payout. Raises SettlingRefusal when its documents are gone."""
    settlement = read_settlement(payout.settlement.digest)
    allocations = tuple(line for line in settlement.allocations if line.payee == payout.payee)
    datasets = {line.dataset for line in allocations}
    return Explanation(allocations, tuple(line for line in settlement.revenue if line.dataset in datasets))


_PENDING = (SettlementRow.State.COMPUTED, SettlementRow.State.PINNED, SettlementRow.State.PROPOSED)


def _claimable(account: Account, token: str) -> int:
    rows = payouts_of(account).filter(settlement__token=token, settlement__state=SettlementRow.State.ACCEPTED)
    claimable = rows.filter(state=PayoutRow.State.CLAIMABLE)
    return _sum(claimable, "amount")


def _paid(account: Account, token: str) -> int:
    market = _market(token)
    numbers = PayeeRow.objects.filter(market=market, address__in=addresses_of(account)).values("number")
    return _sum(PaidTotal.objects.filter(token=token, payee__in=numbers), "paid")


def _settled_until(token: str) -> tuple[int, datetime] | None:
    last = (
        SettlementRow.objects.filter(token=token).exclude(state=SettlementRow.State.VETOED).order_by("-epoch").first()
    )
    return None if last is None else (last.to_block, last.ended_at)


def _next_payout(token: str, now: datetime) -> tuple[datetime | None, str]:
    under_way = SettlementRow.objects.filter(token=token, state__in=_PENDING).order_by("epoch").first()
    if under_way is not None:
        if under_way.accept_after is not None:
            words = gettext("Paid on %(day)s unless somebody objects.") % {"day": _day(under_way.accept_after)}
            return under_way.accept_after, words
        return None, gettext("The settlement is being published.")
    last = _settled_until(token)
    window = timedelta(seconds=settings.CADASTRE_SETTLEMENT_WINDOW)
    if last is None:
        return None, gettext("The first payout follows the first period in which something is earned.")
    ends = last[1] + timedelta(seconds=settings.CADASTRE_EPOCH_SECONDS)
    due = max(ends, now) + window
    words = gettext("The period ends on %(day)s; then everybody has %(window)s to object.") % {
        "day": _day(ends), "window": _days(window),
    }  # fmt: skip
    return due, words


def _day(moment: datetime) -> str:
    return date_format(moment, "j F")


def _days(window: timedelta) -> str:
    if window.days:
        return ngettext("%(count)s day", "%(count)s days", window.days) % {"count": window.days}
    seconds = int(window.total_seconds())
    return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds}


def _market(token: str) -> str:
    deployment = deployment_of(AssetName.parse(token, AssetKind.TOKEN))
    return str(AccountName(deployment.chain_id, deployment.market))


def _sum(rows: QuerySet, column: str) -> int:
    return rows.aggregate(total=Sum(column))["total"] or 0
