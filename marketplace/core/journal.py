"""Double entry: money moves from pot to pot, so that the journal sums to zero by construction.

1. A transfer has two different pots of one token, a positive amount, and the name of the effect that it books.
2. One effect is booked once: the same transfer again changes nothing, another one under its name is refused.
3. A balance is a fold over the transfers. Guarded pots never fall below zero; pots of the world outside (`world/…`)
   may, because what they owe is what everybody else has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from marketplace.core.money import UNITS_LIMIT, check_units
from provenance.core.refusal import Refusal

EFFECT_LIMIT = 200
WORLD = "world/"


class JournalRefusal(Refusal):
    """A transfer that would break the books."""


@dataclass(frozen=True, slots=True, order=True)
class Pot:
    """One pot of one token (CAIP-19), such as `available/{account}`, `held/{account}`, `world/faucet`."""

    name: str
    token: str

    @property
    def guarded(self) -> bool:
        """True for pots that never fall below zero."""
        return not self.name.startswith(WORLD)


@dataclass(frozen=True, slots=True)
class Transfer:
    """`amount` base units from `source` to `target`; `effect` names what it books, such as `order:{id}:hold`."""

    source: Pot
    target: Pot
    amount: int
    effect: str

    def __post_init__(self) -> None:
        check_units(self.amount)
        if self.amount == 0:
            raise JournalRefusal("journal.amount", "A transfer moves something.", limit=1, actual=0)
        if self.source == self.target:
            raise JournalRefusal(
                "journal.same_pot", "Money does not move from a pot to itself.", actual=self.source.name
            )
        if self.source.token != self.target.token:
            raise JournalRefusal(
                "journal.token", "A transfer moves one token.", limit=self.source.token, actual=self.target.token
            )
        if not 1 <= len(self.effect) <= EFFECT_LIMIT:
            raise JournalRefusal("journal.effect", "An effect has a name.", limit=EFFECT_LIMIT, actual=len(self.effect))


@dataclass(slots=True)
class Books:
    """Balances and effects so far. `post` is the only way to change them."""

    balances: dict[Pot, int] = field(default_factory=dict)
    effects: dict[str, Transfer] = field(default_factory=dict)

    @classmethod
    def of(cls, transfers: Iterable[Transfer]) -> Self:
        """Fold `transfers` in order. Raises JournalRefusal."""
        books = cls()
        for transfer in transfers:
            books.post(transfer)
        return books

    def post(self, transfer: Transfer) -> bool:
        """Book `transfer`; return False if its effect was booked before, with the same content.

        Raises JournalRefusal, and then nothing has changed.
        """
        known = self.effects.get(transfer.effect)
        if known is not None:
            if known != transfer:
                raise JournalRefusal(
                    "journal.effect_differs", f"The effect {transfer.effect} was booked before, otherwise.",
                    limit=known.amount, actual=transfer.amount,
                )  # fmt: skip
            return False
        after = balances_after(transfer, self.balances)
        self.balances |= after
        self.effects[transfer.effect] = transfer
        return True

    def balance(self, pot: Pot) -> int:
        """Return the balance of `pot` in base units; a pot that nothing ever entered is empty."""
        return self.balances.get(pot, 0)


def balances_after(transfer: Transfer, balances: Mapping[Pot, int]) -> dict[Pot, int]:
    """Return the two balances after `transfer`. Raises JournalRefusal when a guarded pot holds too little."""
    source = balances.get(transfer.source, 0) - transfer.amount
    target = balances.get(transfer.target, 0) + transfer.amount
    if source < 0 and transfer.source.guarded:
        raise JournalRefusal(
            "journal.insufficient", f"{transfer.source.name} holds too little for {transfer.effect}.",
            limit=balances.get(transfer.source, 0), actual=transfer.amount, todo="Add funds and try again.",
        )  # fmt: skip
    if target > UNITS_LIMIT:
        raise JournalRefusal(
            "journal.overflow", "The balance would not fit into 64 bits.", limit=str(UNITS_LIMIT), actual=str(target)
        )
    return {transfer.source: source, transfer.target: target}
