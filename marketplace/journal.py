"""The journal's one verb: move. Every movement has a source, a target and a cause, so the whole sums to zero.

The rules are those of `marketplace.core.journal`, which tests run beside this; here the database keeps them.

Money is booked here when its fact on chain is final, never before; until then it is held. So at every final block the
pots of custodial accounts together are what the treasury holds on chain, and the market's pots are what the market
holds (`settling.reconciling` compares both).

Pots (base units of one token each):

- `available/{account}`, `held/{account}`: what an account may spend, and what its open orders and withdrawals hold
- `market/unsettled`: paid in and not yet settled; `market/owed`: settled and not yet paid out; `market/deposits`:
  deposits for usage; `market/bonds`: bonds of strangers' proposals, and what was forfeited
- `register/income`: the market's fees, once paid out to the treasury
- `world/faucet`, `world/outside`, `world/payees`: the other side of what comes in and goes out; these run negative
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q, Sum

from marketplace.core.journal import JournalRefusal, Pot
from marketplace.core.journal import Transfer as CoreTransfer
from marketplace.core.money import MoneyRefusal
from marketplace.models import JournalAccount, Transfer

UNSETTLED = "market/unsettled"
OWED = "market/owed"
DEPOSITS = "market/deposits"
BONDS = "market/bonds"
REGISTER = "register/income"
FAUCET = "world/faucet"
OUTSIDE = "world/outside"
PAYEES = "world/payees"
MARKET_POTS = (UNSETTLED, OWED, DEPOSITS, BONDS)

AMOUNT_LIMIT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has of one token, in base units."""

    available: int
    held: int


def available(account: UUID) -> str:
    """Return the name of the pot from which an account spends."""
    return f"available/{account}"


def held(account: UUID) -> str:
    """Return the name of the pot that open orders and withdrawals of an account hold."""
    return f"held/{account}"


def move(*, source: str, target: str, token: str, amount: int, effect: str, now: datetime) -> bool:
    """Move `amount` base units of `token` (CAIP-19) from pot to pot, once per `effect`.

    Returns False if this effect has already been booked, with the same pots and amount. Raises JournalRefusal when it
    was booked otherwise, when the amount is not positive, and when a pot that may not be negative holds too little.
    """
    CoreTransfer(Pot(source, token), Pot(target, token), amount, effect)  # refuses what is no transfer
    if amount > AMOUNT_LIMIT:
        raise JournalRefusal("journal.amount", "The amount is too large.", limit=AMOUNT_LIMIT, actual=amount)
    booked = _booked(effect, source, target, token, amount)
    if booked:
        return False
    origin, goal = _pot(source, token), _pot(target, token)
    try:
        with transaction.atomic():
            _book(origin, goal, amount, effect, now)
    except IntegrityError:
        # Somebody else booked the same effect between the look and the insert; anything else is a real fault.
        if not _booked(effect, source, target, token, amount):
            raise
        return False
    return True


def bookable(units: int) -> int:
    """Return an amount if the journal can book it: it keeps signed 64 bits. Raises MoneyRefusal."""
    if units > AMOUNT_LIMIT:
        raise MoneyRefusal(
            "amount.too_large", "The amount is more than the journal can book.", limit=AMOUNT_LIMIT, actual=str(units)
        )
    return units


def is_booked(effect: str) -> bool:
    """Return whether an effect, or a part of it (`{effect}:…`), has been booked."""
    return Transfer.objects.filter(Q(effect=effect) | Q(effect__startswith=f"{effect}:")).exists()


def balance_of(account: UUID, token: str) -> Balance:
    """Return what an account may spend and what is held of it."""
    names = (available(account), held(account))
    found = dict(JournalAccount.objects.filter(name__in=names, token=token).values_list("name", "balance"))
    return Balance(available=found.get(names[0], 0), held=found.get(names[1], 0))


def pot_balance(name: str, token: str) -> int:
    """Return the balance of one pot; a pot that nothing ever entered is empty."""
    return JournalAccount.objects.filter(name=name, token=token).values_list("balance", flat=True).first() or 0


def treasury_total(token: str) -> int:
    """Return what all accounts have, available and held, and the register's own: what the treasury holds on chain."""
    customers = Q(name__startswith="available/") | Q(name__startswith="held/") | Q(name=REGISTER)
    return JournalAccount.objects.filter(customers, token=token).aggregate(total=Sum("balance"))["total"] or 0


def market_total(token: str) -> int:
    """Return what the market's pots together hold: what the market contract must hold on chain."""
    pots = JournalAccount.objects.filter(name__in=MARKET_POTS, token=token)
    return pots.aggregate(total=Sum("balance"))["total"] or 0


def differences() -> list[str]:
    """Compare every pot's balance with its transfers, and each token's sum with zero; return what differs.

    The balances are kept beside the transfers, so a hand-edited row is found here.
    """
    incoming = dict(Transfer.objects.values_list("target").annotate(total=Sum("amount")))
    outgoing = dict(Transfer.objects.values_list("source").annotate(total=Sum("amount")))
    found: list[str] = []
    sums: dict[str, int] = {}
    for pot in JournalAccount.objects.order_by("token", "name").iterator():
        moved = incoming.get(pot.pk, 0) - outgoing.get(pot.pk, 0)
        if moved != pot.balance:
            found.append(f"{pot.name} of {pot.token} says {pot.balance}; its transfers say {moved}")
        sums[pot.token] = sums.get(pot.token, 0) + pot.balance
    found += [f"the pots of {token} sum to {total}, not 0" for token, total in sums.items() if total]
    return found


def _booked(effect: str, source: str, target: str, token: str, amount: int) -> bool:
    row = Transfer.objects.select_related("source", "target").filter(effect=effect).first()
    if row is None:
        return False
    asked = (source, target, token, amount)
    was = (row.source.name, row.target.name, row.source.token, row.amount)
    if was != asked:
        raise JournalRefusal(
            "journal.effect_differs",
            f"The effect {effect} was booked before, otherwise.",
            limit=f"{was[0]} to {was[1]}: {was[3]}",
            actual=f"{source} to {target}: {amount}",
            todo="Name a new effect; what was booked is never changed.",
        )
    return True


def _book(origin: JournalAccount, goal: JournalAccount, amount: int, effect: str, now: datetime) -> None:
    # Rows are locked in the order of their ids, so that two opposite movements cannot wait for each other.
    for pot in sorted((origin, goal), key=lambda each: each.pk):
        if pot is origin:
            _take(origin, amount)
        else:
            JournalAccount.objects.filter(pk=goal.pk).update(balance=F("balance") + amount)
    Transfer.objects.create(source=origin, target=goal, amount=amount, effect=effect, created=now)


def _take(pot: JournalAccount, amount: int) -> None:
    enough = Q(kind=JournalAccount.Kind.WORLD) | Q(balance__gte=amount)
    taken = JournalAccount.objects.filter(enough, pk=pot.pk).update(balance=F("balance") - amount)
    if taken != 1:
        has = JournalAccount.objects.filter(pk=pot.pk).values_list("balance", flat=True).get()
        raise JournalRefusal(
            "balance.too_low", "The balance is too low.", limit=has, actual=amount,
            todo="Add money to the balance, or choose a smaller amount.",
        )  # fmt: skip


def _pot(name: str, token: str) -> JournalAccount:
    found = JournalAccount.objects.filter(name=name, token=token).first()
    if found is not None:
        return found
    kind = JournalAccount.Kind.GUARDED if Pot(name, token).guarded else JournalAccount.Kind.WORLD
    return JournalAccount.objects.get_or_create(name=name, token=token, defaults={"kind": kind})[0]
