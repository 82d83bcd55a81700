"""Who got what of a dataset's income, from the documents of accepted settlements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from marketplace.core.allocation import AllocationLine
from marketplace.models import PayoutRow, SettlementRow
from marketplace.queries.deployments import tokens_of
from marketplace.queries.settlements import SettlingRefusal, read_settlement
from provenance.models import DatasetRecord

# A page reads the documents of all settlements; beyond this many payees in them it would take seconds.
PAYEES_READ = 20_000


@dataclass(frozen=True, slots=True)
class SharedIncome:
    """What one settlement says about a dataset's own income. `paid`: numbers of the payees that have been paid."""

    settlement: SettlementRow
    lines: tuple[AllocationLine, ...]
    paid: frozenset[int]


def incomes_of(record: DatasetRecord) -> list[SharedIncome] | None:
    """Return the shared income of a dataset by epoch; None when it cannot be told here.

    That is when a settlement's documents are not known here, or when reading all of them would take too long.
    """
    tokens = [token.caip for token in tokens_of(record.deployment)]
    rows = list(SettlementRow.objects.filter(token__in=tokens, state=SettlementRow.State.ACCEPTED).order_by("epoch"))
    if sum(row.payees for row in rows) > PAYEES_READ:
        return None
    found = []
    for row in rows:
        try:
            registry, allocations = _allocations(row.digest)
        except SettlingRefusal:
            return None
        lines = tuple(line for line in allocations if line.dataset == record.token)
        if lines and registry == record.deployment.registry:
            paid = PayoutRow.objects.filter(settlement=row, state=PayoutRow.State.PAID)
            numbers = paid.filter(payee__in=[line.payee for line in lines]).values_list("payee", flat=True)
            found.append(SharedIncome(row, lines, frozenset(numbers)))
    return found


@lru_cache(maxsize=64)
def _allocations(digest: str) -> tuple[str, tuple[AllocationLine, ...]]:
    """A settlement never changes under its digest."""
    settlement = read_settlement(digest)
    return settlement.deployment.registry, tuple(settlement.allocations)
