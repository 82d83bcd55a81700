"""Which money enters a settlement, and when.

1. A purchase is *ready* at a border if it stands at or before the border's block and its hold is over by the border's
   time. A charge of metered use has no hold.
2. It *enters* at the first border at which it is ready and its dataset is not frozen. It enters once.
3. A purchase that was refunded by then never enters.
4. The fee of a line is `gross × fee_bps / 10,000` of the license, rounded down; the rest is the dataset's.

Because borders are facts of the chain, an auditor finds the same answer without any earlier settlement's lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from marketplace.core.facts import Border, Charge, Facts, FactsRefusal, Purchase, Register
from marketplace.core.money import BPS


class RevenueKind(StrEnum):
    """What was paid for: a license, metered use, or the minimum of a period without as much use."""

    PURCHASE = "purchase"
    USAGE = "usage"
    MINIMUM = "minimum"


class RevenueLine(NamedTuple):
    """One payment that entered; amounts in base units. A tuple, because a settlement may have millions."""

    block: int
    log: int
    tx: str
    kind: RevenueKind
    license: int
    dataset: int
    gross: int
    fee: int

    @property
    def net(self) -> int:
        """What is left for the dataset and its ancestors."""
        return self.gross - self.fee

    def encoded(self) -> str:
        """Return the line's RFC 8785 form."""
        return (
            f'{{"block":{self.block},"dataset":{self.dataset},"fee":"{self.fee}","gross":"{self.gross}",'
            f'"kind":"{self.kind}","license":{self.license},"log":{self.log},"tx":"{self.tx}"}}'
        )


def revenue_lines(facts: Facts, register: Register) -> tuple[RevenueLine, ...]:
    """Return what enters at the last border, in order of (block, log). Payments of nothing are no lines.

    `register` is the fold at the last border. Raises FactsRefusal.
    """
    purchases = {purchase.license: purchase for purchase in facts.purchases}
    if len(purchases) != len(facts.purchases):
        raise FactsRefusal("facts.license_twice", "A license was purchased twice.", actual=len(facts.purchases))
    lines = [*_from_purchases(facts, register), *_from_charges(facts, register, purchases)]
    lines.sort()
    for line, following in pairwise(lines):
        if line[:2] == following[:2]:
            raise FactsRefusal("facts.event_twice", "One event stands there twice.", actual=f"{line.block}/{line.log}")
    return tuple(lines)


def _from_purchases(facts: Facts, register: Register) -> Iterator[RevenueLine]:
    end, refunded = (
        facts.end,
        {refund.license: refund.block for refund in facts.refunds if refund.block <= facts.end.block},
    )
    for purchase in facts.purchases:
        if purchase.token != facts.token or purchase.price == 0:
            continue
        entered = _entered_at(facts.borders, purchase.block, purchase.held_until, purchase.dataset, register)
        refund = refunded.get(purchase.license)
        if refund is not None:
            if entered is not None and entered.block < refund:
                raise FactsRefusal(
                    "facts.refund_after_entry", f"License {purchase.license} was refunded after its hold was over.",
                    limit=entered.block, actual=refund,
                )  # fmt: skip
            continue
        if entered is end:
            fee = purchase.price * purchase.fee_bps // BPS
            yield RevenueLine(
                purchase.block, purchase.log, purchase.tx, RevenueKind.PURCHASE, purchase.license, purchase.dataset,
                purchase.price, fee,
            )  # fmt: skip


def _from_charges(facts: Facts, register: Register, purchases: dict[int, Purchase]) -> Iterator[RevenueLine]:
    token, start, end = facts.token, facts.start.block, facts.end
    signed_before: dict[int, tuple[int, int, RevenueKind]] = {}
    for charge in sorted(facts.charges, key=_position):
        if charge.token != token or charge.block > end.block:
            continue
        purchase = purchases.get(charge.license)
        if purchase is None:
            raise FactsRefusal(
                "facts.license_unknown", "A charge names a license that was never purchased.", actual=charge.license
            )
        kind = _charged_for(charge, signed_before)
        dataset = purchase.dataset
        # Nearly all charges enter at the first border after them; only datasets that were ever frozen need the walk.
        if dataset in register.freezes:
            enters = _entered_at(facts.borders, charge.block, 0, dataset, register) is end
        else:
            enters = charge.block > start
        if enters and charge.moved:
            yield RevenueLine(
                charge.block, charge.log, charge.tx, kind, charge.license, dataset, charge.moved,
                charge.moved * purchase.fee_bps // BPS,
            )  # fmt: skip


def _charged_for(charge: Charge, before: dict[int, tuple[int, int, RevenueKind]]) -> RevenueKind:
    # A voucher that adds an amount and no units pays a minimum. One that adds neither collects what the deposit could
    # not cover the last time, for the same cause.
    units, signed, kind = before.get(charge.license, (0, 0, RevenueKind.USAGE))
    if charge.units > units:
        kind = RevenueKind.USAGE
    elif charge.signed > signed:
        kind = RevenueKind.MINIMUM
    before[charge.license] = (charge.units, charge.signed, kind)
    return kind


def _entered_at(
    borders: Sequence[Border], block: int, ready_time: int, dataset: int, register: Register
) -> Border | None:
    """Return the first border at which the payment was ready and its dataset not frozen; None if there is none yet."""
    low, high = 1, len(borders)
    while low < high:
        middle = (low + high) // 2
        if borders[middle].block >= block and borders[middle].time >= ready_time:
            high = middle
        else:
            low = middle + 1
    for border in borders[low:]:
        if not register.was_frozen(dataset, border.block):
            return border
    return None


def _position(charge: Charge) -> tuple[int, int]:
    return charge.block, charge.log
