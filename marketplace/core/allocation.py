"""From revenue to payees: sum per earning dataset, allocate once over the lineage, then over each dataset's splits.

1. Revenue less fees is summed per earning dataset: a thousand tiny payments are one sum, so that rounding starves
   nobody.
2. The sum is allocated once by LAP (`royalty.allocate`). The earner keeps the remainder.
3. What a dataset receives goes to the beneficiary that a dispute's resolver named, if there is one; else to its splits,
   each rounded down, and what is left to its owner, who keeps the remainder.
4. Owner, splits, beneficiaries and payees are those of the epoch's last block.
5. A split counts only if its document can be had and its account can be a payee: it lives on the deployment's chain and
   is not the zero address. What does not count stays with the owner, so that no document can stop a settlement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from marketplace.core.facts import Facts, FactsRefusal, Register
from marketplace.core.money import BPS
from marketplace.core.revenue import RevenueLine
from marketplace.core.royalty import Allocation, allocate, ancestor_shares
from marketplace.core.splits import Splits
from provenance.core.caip import Account
from provenance.core.digest import Sha256
from provenance.core.typed_data import ZERO_ADDRESS


class Reason(StrEnum):
    """Why a payee receives something: it owns the earner, it owns an ancestor, or it shares a dataset's income."""

    OWNER = "owner"
    ANCESTOR = "ancestor"
    SPLIT = "split"


class AllocationLine(NamedTuple):
    """`amount` of the `net` income of `dataset` goes to `payee` (at `account`) for what it has in dataset `via`.

    `bps` is the share of `net` that `via` is owed, or for a split the share of what `via` received. `via` is written
    `for` in documents.
    """

    dataset: int
    net: int
    payee: int
    account: str
    via: int
    reason: Reason
    bps: int
    amount: int

    def encoded(self) -> str:
        """Return the line's RFC 8785 form."""
        return (
            f'{{"account":"{self.account}","amount":"{self.amount}","bps":{self.bps},"dataset":{self.dataset},'
            f'"for":{self.via},"net":"{self.net}","payee":{self.payee},"reason":"{self.reason}"}}'
        )


class Payees:
    """Who is paid for which dataset, as it stood after the epoch's last block."""

    def __init__(self, facts: Facts, register: Register) -> None:
        self._chain = facts.deployment.chain
        self._documents: Mapping[Sha256, Splits] = facts.splits
        self._register = register
        self._missing: set[str] = set()

    def account(self, payee: int) -> str:
        """Return the CAIP-10 account at which `payee` is paid. Raises FactsRefusal for an unknown number."""
        address = self._register.accounts.get(payee)
        if address is None:
            raise FactsRefusal("facts.payee_unknown", "A payee has no account.", actual=payee)
        return str(Account(self._chain, address))

    def recipients(self, dataset: int) -> tuple[int, tuple[tuple[int, int], ...]]:
        """Return (payee of the rest, ((payee, bps), …)) for the income of `dataset`; 0 stands for a missing payee."""
        beneficiary = self._register.beneficiaries.get(dataset, 0)
        if beneficiary:
            return beneficiary, ()
        owner = self._register.owners.get(dataset)
        if owner is None:
            raise FactsRefusal("facts.dataset_unknown", "A dataset that earns was never registered.", actual=dataset)
        digest = self._register.splits.get(dataset)
        document = None if digest is None else self._documents.get(digest)
        shares = []
        for share in document.shares if document is not None else ():
            account = Account.parse(share.account)
            if account.chain == self._chain and account.address != ZERO_ADDRESS:
                shares.append((self._number(account.address), share.bps))
        return self._number(owner), tuple(shares)

    @property
    def missing(self) -> tuple[str, ...]:
        """The addresses asked for so far that have no payee number."""
        return tuple(sorted(self._missing))

    def check_complete(self) -> None:
        """Raise FactsRefusal if an account that is owed something has no payee number."""
        if self._missing:
            raise FactsRefusal(
                "facts.payee_missing", "Accounts that are owed money have no payee number.",
                actual=", ".join(self.missing),
                todo="Call invitePayee for each (anyone may), then settle up to a block after that.",
            )  # fmt: skip

    def _number(self, address: str) -> int:
        number = self._register.numbers.get(address, 0)
        if number == 0:
            self._missing.add(address)
        return number


def net_incomes(lines: Iterable[RevenueLine]) -> dict[int, int]:
    """Return earning dataset → revenue less fees (step 1)."""
    nets: dict[int, int] = {}
    for line in lines:
        nets[line.dataset] = nets.get(line.dataset, 0) + line.gross - line.fee
    return nets


def allocation_lines(facts: Facts, register: Register, nets: Mapping[int, int]) -> tuple[AllocationLine, ...]:
    """Return who receives what (steps 2 to 5): by earner, the earner itself first, then its ancestors by number.

    Lines of nothing are left out. The amounts of an earner's lines sum to exactly its net income. Raises FactsRefusal,
    RoyaltyRefusal, LineageRefusal.
    """
    payees, lineage = Payees(facts, register), register.lineage()
    lines = [
        line
        for earner, net in sorted(nets.items())
        if net
        for line in _of_earner(allocate(earner, net, lineage), payees)
    ]
    payees.check_complete()
    return tuple(lines)


def missing_payees(facts: Facts, register: Register, datasets: Iterable[int]) -> tuple[str, ...]:
    """Return the addresses that are paid for `datasets` and their ancestors and have no payee number yet.

    The operator enrolls them before closing an epoch, so that no settlement waits for it.
    """
    payees, lineage = Payees(facts, register), register.lineage()
    for dataset in datasets:
        for receiver in (dataset, *ancestor_shares(dataset, lineage)):
            payees.recipients(receiver)
    return payees.missing


def explain(line: RevenueLine, allocations: Iterable[AllocationLine]) -> tuple[tuple[AllocationLine, Fraction], ...]:
    """Return each allocation of the line's dataset with the exact part of it, in base units, that this line paid.

    The parts are never rounded. Over all lines of a dataset they sum to the allocation, over all allocations to the
    line's net.
    """
    return tuple(
        (allocation, Fraction(allocation.amount * line.net, allocation.net))
        for allocation in allocations
        if allocation.dataset == line.dataset
    )


def _of_earner(allocation: Allocation, payees: Payees) -> Iterator[AllocationLine]:
    earner, net = allocation.earner, allocation.net
    incomes = ((earner, allocation.kept_bps, allocation.kept), *allocation.ancestors)
    for dataset, bps, amount in incomes:
        if not amount:
            continue
        rest_payee, shares = payees.recipients(dataset)
        parts = [(payee, share, amount * share // BPS) for payee, share in shares]
        kept = amount - sum(part for _, _, part in parts)
        reason = Reason.OWNER if dataset == earner else Reason.ANCESTOR
        split = ((payee, share, Reason.SPLIT, part) for payee, share, part in parts)
        for payee, share, why, part in ((rest_payee, bps, reason, kept), *split):
            if part:
                account = payees.account(payee) if payee else ""
                yield AllocationLine(earner, net, payee, account, dataset, why, share, part)
