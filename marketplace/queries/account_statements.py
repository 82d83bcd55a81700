"""A month of an account's money: its balance, from the journal, and what settlements paid to its addresses on chain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Q, QuerySet, Sum
from django.utils.translation import gettext as _

from marketplace import journal
from marketplace.models import Account, JournalAccount, PayoutRow, TopUp, Transfer
from marketplace.queries.earnings import payouts_of


@dataclass(frozen=True, slots=True)
class Movement:
    """One change of what an account has: base units, positive when it came in; `effect` names its cause."""

    time: datetime
    amount: int
    what: str
    effect: str


@dataclass(frozen=True, slots=True)
class AccountStatement:
    """`opening` + the movements = `closing`, in base units of one token; what is held counts as the account's.

    `arrived` was paid to addresses of the account and is no part of the balance; its effects are transactions.
    """

    start: datetime
    end: datetime
    opening: int
    movements: tuple[Movement, ...]
    closing: int
    arrived: tuple[Movement, ...]


def account_statement(account: Account, token: str, *, year: int, month: int) -> AccountStatement:
    """Return the statement of a calendar month (UTC)."""
    start = datetime(year, month, 1, tzinfo=UTC)
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    pots = _pots(account, token)
    rows = _crossing(pots).filter(created__gte=start, created__lt=end).select_related("source", "target")
    movements = tuple(_movement(row, pots) for row in rows.order_by("created", "pk"))
    opening = _total(pots, start)
    closing = opening + sum(each.amount for each in movements)
    return AccountStatement(start, end, opening, movements, closing, _arrived(account, token, start, end))


def _arrived(account: Account, token: str, start: datetime, end: datetime) -> tuple[Movement, ...]:
    # Every settlement names every payee; most earned nothing in it.
    paid = payouts_of(account).filter(
        settlement__token=token, state=PayoutRow.State.PAID, amount__gt=0, changed__gte=start, changed__lt=end
    )
    return tuple(
        Movement(row.changed, row.amount, _("Income of period %(epoch)s") % {"epoch": row.settlement.epoch}, row.tx)
        for row in paid.order_by("changed", "pk")
    )


def _pots(account: Account, token: str) -> set[int]:
    names = (journal.available(account.pk), journal.held(account.pk))
    return set(JournalAccount.objects.filter(name__in=names, token=token).values_list("pk", flat=True))


def _crossing(pots: set[int]) -> QuerySet[Transfer]:
    # What moves between "available" and "held" stays with the account.
    inside = Q(source__in=pots) & Q(target__in=pots)
    return Transfer.objects.filter(Q(source__in=pots) | Q(target__in=pots)).exclude(inside)


def _total(pots: set[int], before: datetime) -> int:
    rows = _crossing(pots).filter(created__lt=before)
    came = rows.filter(target__in=pots).aggregate(total=Sum("amount"))["total"] or 0
    went = rows.filter(source__in=pots).aggregate(total=Sum("amount"))["total"] or 0
    return came - went


def _movement(row: Transfer, pots: set[int]) -> Movement:
    came = row.target_id in pots
    return Movement(row.created, row.amount if came else -row.amount, _what(row.effect, came=came), row.effect)


def _what(effect: str, *, came: bool) -> str:
    kind, _colon, rest = effect.partition(":")
    match kind:
        case "top-up":
            return _top_up(rest)
        case "LicensePurchased":
            return _("License bought")
        case "LicenseRefunded":
            return _("License refunded")
        case "Deposited":
            return _("Paid for reported use")
        case "Withdrawn":
            return _("Deposit for use given back")
        case "withdrawal":
            return _("Withdrawn")
        case "payout":
            return _("Income")
        case _:
            return _("Paid in") if came else _("Paid")


def _top_up(number: str) -> str:
    row = TopUp.objects.filter(pk=UUID(number)).first()
    drawn = row is not None and row.source == TopUp.Source.FAUCET
    return _("Play money") if drawn else _("Income moved to the balance")
