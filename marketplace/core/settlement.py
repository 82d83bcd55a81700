"""The settlement of an epoch: what came in, who receives it, what everybody is owed in all, and the root over that.

1. The facts are folded up to the epoch's last block.
2. Revenue that enters becomes lines (`revenue`), lines become allocations (`allocation`), fees go to the fee's payee.
3. What each payee receives is added to what it was owed before: balances are cumulative and never go down.
4. The balances are the leaves of the payout tree (`payout_tree`), and all lines together the documents
   (`settlement_documents`).

Nothing but the facts decides a line, an order or a remainder: equal facts give equal bytes, for anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from marketplace.core.allocation import AllocationLine, allocation_lines, net_incomes
from marketplace.core.document import write_time
from marketplace.core.facts import Border, Deployment, Facts, FactsRefusal, Register
from marketplace.core.money import UNITS_LIMIT
from marketplace.core.payout_tree import PayoutTree
from marketplace.core.revenue import RevenueLine, revenue_lines
from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal


class SettlementRefusal(Refusal):
    """A settlement that does not add up, or documents that are not those of one."""


class BalanceLine(NamedTuple):
    """What a payee was allotted this epoch and has been allotted in all, paid or not, in base units."""

    payee: int
    account: str
    amount: int
    cumulative: int

    def encoded(self) -> str:
        """Return the line's RFC 8785 form."""
        return (
            f'{{"account":"{self.account}","amount":"{self.amount}","cumulative":"{self.cumulative}",'
            f'"payee":{self.payee}}}'
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a settlement's lines, in base units: `revenue` = `fees` + `allocated`; `cumulative` goes on chain."""

    revenue: int
    fees: int
    allocated: int
    cumulative: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """A whole settlement; constructing it checks that it adds up. `token` is the token's lower-case address."""

    deployment: Deployment
    token: str
    epoch: int
    start: Border
    end: Border
    previous: Sha256 | None
    revenue: tuple[RevenueLine, ...]
    allocations: tuple[AllocationLine, ...]
    balances: tuple[BalanceLine, ...]

    def __post_init__(self) -> None:
        if not self.balances:
            raise SettlementRefusal(
                "settlement.empty", "Nobody has ever earned anything: there is nothing to settle.", limit=1, actual=0,
                todo="Wait until revenue has come in and its hold is over.",
            )  # fmt: skip
        totals = self.totals
        check_sum("allocations", totals.allocated, sum(line.amount for line in self.allocations))
        check_sum("balances", totals.revenue, sum(line.amount for line in self.balances))
        if totals.cumulative > UNITS_LIMIT:
            raise SettlementRefusal(
                "settlement.overflow", "The cumulative total does not fit into 64 bits.", limit=str(UNITS_LIMIT),
                actual=str(totals.cumulative),
            )  # fmt: skip
        for line in self.balances:
            if not 0 <= line.amount <= line.cumulative:
                raise SettlementRefusal(
                    "settlement.balance_lowered", f"The balance of payee {line.payee} would go down.",
                    limit=line.cumulative, actual=line.amount,
                )  # fmt: skip

    @property
    def totals(self) -> Totals:
        """The sums over all lines."""
        gross = sum(line.gross for line in self.revenue)
        fees = sum(line.fee for line in self.revenue)
        return Totals(gross, fees, gross - fees, sum(line.cumulative for line in self.balances))

    @property
    def token_name(self) -> Asset:
        """The token as documents name it."""
        return Asset(AssetKind.TOKEN, self.deployment.chain, self.token)

    def payout_tree(self) -> PayoutTree:
        """Return the tree over the cumulative balances; its root goes on chain."""
        return PayoutTree.of(self.token, [(line.payee, line.cumulative) for line in self.balances])


def settle(facts: Facts) -> Settlement:
    """Compute the settlement that follows from `facts`. Raises FactsRefusal, RoyaltyRefusal, SettlementRefusal."""
    register = Register.at(facts.end.block, facts.changes)
    revenue = revenue_lines(facts, register)
    allocations = allocation_lines(facts, register, net_incomes(revenue))
    fees = sum(line.fee for line in revenue)
    if fees and not register.fee_payee:
        raise FactsRefusal(
            "facts.fee_payee_missing", "Fees were earned and no payee receives them.", actual=fees,
            todo="Call setFeePayee, then settle up to a block after that.",
        )  # fmt: skip
    amounts: dict[int, int] = {}
    if fees:
        amounts[register.fee_payee] = fees
    for line in allocations:
        amounts[line.payee] = amounts.get(line.payee, 0) + line.amount
    return Settlement(
        facts.deployment, facts.token, facts.epoch, facts.start, facts.end, facts.previous, revenue, allocations,
        _balances(facts, register.accounts, amounts),
    )  # fmt: skip


def _balances(facts: Facts, accounts: Mapping[int, str], amounts: Mapping[int, int]) -> tuple[BalanceLine, ...]:
    before = facts.balances
    unknown = sorted((before.keys() | amounts.keys()) - accounts.keys())
    if unknown:
        raise FactsRefusal("facts.payee_unknown", "A payee has no account.", actual=unknown[0])
    prefix = str(Account(facts.deployment.chain, ""))
    balances = []
    for payee in sorted(before.keys() | amounts.keys()):
        amount = amounts.get(payee, 0)
        balances.append(BalanceLine(payee, prefix + accounts[payee], amount, before.get(payee, 0) + amount))
    return tuple(balances)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two settlements first differ, and what each of them says there (None: the line is missing)."""

    where: str
    ours: str | None
    theirs: str | None

    @property
    def sentence(self) -> str:
        """The difference as one sentence."""
        return f"{self.where}: computed {self.ours or 'nothing'}, published {self.theirs or 'nothing'}."


def first_difference(ours: Settlement, theirs: Settlement) -> Difference | None:
    """Return the first difference in reading order, or None if the settlements are equal to the last byte."""
    for where, our_head, their_head in zip(_HEAD, _head(ours), _head(theirs), strict=True):
        if our_head != their_head:
            return Difference(where, our_head, their_head)
    pairs: tuple[tuple[str, Sequence[_Line], Sequence[_Line]], ...] = (
        ("revenue line", ours.revenue, theirs.revenue),
        ("allocation line", ours.allocations, theirs.allocations),
        ("balance", ours.balances, theirs.balances),
    )
    for where, our_lines, their_lines in pairs:
        if our_lines == their_lines:
            continue
        for number, (our_line, their_line) in enumerate(zip_longest(our_lines, their_lines), start=1):
            if our_line != their_line:
                return Difference(f"{where} {number}", _shown(our_line), _shown(their_line))
    return None


def check_successor(earlier: Settlement, later: Settlement) -> None:
    """Raise SettlementRefusal unless `later` goes on where `earlier` ended and lowers nobody's balance."""
    if (earlier.deployment, earlier.token) != (later.deployment, later.token):
        raise SettlementRefusal("settlement.other_books", "The two settlements keep different books.")
    if later.epoch <= earlier.epoch:
        raise SettlementRefusal(
            "settlement.epoch", "A later settlement has a higher epoch.", limit=earlier.epoch + 1, actual=later.epoch
        )
    if later.start != earlier.end:
        raise SettlementRefusal(
            "settlement.gap", "The later settlement does not begin where the earlier one ended.",
            limit=earlier.end.block, actual=later.start.block,
        )  # fmt: skip
    after = {line.payee: line for line in later.balances}
    for line in earlier.balances:
        found = after.pop(line.payee, None)
        cumulative = 0 if found is None else found.cumulative
        expected = line.cumulative + (0 if found is None else found.amount)
        if cumulative < line.cumulative:
            raise SettlementRefusal(
                "settlement.balance_lowered", f"The balance of payee {line.payee} would go down.",
                limit=line.cumulative, actual=cumulative,
            )  # fmt: skip
        check_sum(f"balance of payee {line.payee}", expected, cumulative)
    for line in after.values():
        check_sum(f"balance of payee {line.payee}", line.amount, line.cumulative)


_Line = RevenueLine | AllocationLine | BalanceLine
_HEAD = ("deployment", "token", "epoch", "from", "to", "previous settlement")


def _head(settlement: Settlement) -> tuple[str, ...]:
    deployment = settlement.deployment
    borders = (settlement.start, settlement.end)
    return (
        f"chain {deployment.chain}, registry {deployment.registry}, market {deployment.market}",
        str(settlement.token_name),
        str(settlement.epoch),
        *(f"block {border.block} {border.hash} at {write_time(border.time)}" for border in borders),
        "none" if settlement.previous is None else settlement.previous.hex,
    )


def _shown(line: _Line | None) -> str | None:
    return None if line is None else line.encoded()


def check_sum(what: str, expected: int, actual: int) -> None:
    """Raise SettlementRefusal unless both figures are equal, in base units."""
    if expected != actual:
        raise SettlementRefusal("settlement.sum", f"The {what} do not add up.", limit=str(expected), actual=str(actual))
