"""An account statement: what came into and left an account's balance, from the journal itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from marketplace import journal
from marketplace.models import Account, Transfer


@dataclass(frozen=True, slots=True)
class Movement:
    """One line: `amount` in base units, negative when money left; `what` is a stable word for the kind of movement."""

    number: int
    time: datetime
    what: str
    amount: int
    effect: str


_WORDS = (
    ("order:", "purchase"),
    ("LicensePurchased:", "purchase"),
    ("LicenseRefunded:", "refund"),
    ("voucher:", "usage"),
    ("Deposited:", "usage"),
    ("top-up:", "top-up"),
    ("withdrawal:", "withdrawal"),
)


def movements_of(
    account: Account, token: str, *, begin: datetime | None = None, end: datetime | None = None
) -> Iterator[Movement]:
    """Yield what entered or left the account (available and held together), newest first; `end` is exclusive.

    Movements between the two pots are not listed: they change what may be spent, not what there is.
    """
    pots = (journal.available(account.pk), journal.held(account.pk))
    into, out_of = Q(target__name__in=pots), Q(source__name__in=pots)
    rows = _within(Transfer.objects.filter(into ^ out_of, source__token=token), begin, end)
    for row in rows.select_related("source", "target").order_by("-created", "-pk").iterator():
        sign = 1 if row.target.name in pots else -1
        yield Movement(row.pk, row.created, _word(row.effect), sign * row.amount, row.effect)


def _within(rows: QuerySet[Transfer], begin: datetime | None, end: datetime | None) -> QuerySet[Transfer]:
    if begin is not None:
        rows = rows.filter(created__gte=begin)
    return rows if end is None else rows.filter(created__lt=end)


def _word(effect: str) -> str:
    return next((word for prefix, word in _WORDS if effect.startswith(prefix)), "other")
