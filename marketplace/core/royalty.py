"""Who earns from whom: LAP, the liquid absolute percentage, over the lineage of datasets.

1. The *edges* of an earning dataset are all distinct edges (child, parent, share) that can be reached from it upwards.
   An edge that several paths use is one edge: a diamond is not paid twice.
2. An ancestor's share is the sum of the edges that point into it, in basis points.
3. An ancestor receives that share of the net income, rounded down, once per (earning dataset, token, epoch).
4. The earner keeps everything else, so that the remainders of step 3 are the earner's.

The registry accepts a dataset only within two bounds (`provenance.core.lineage`) that count shared paths again, so they
bound what step 2 sums: the allocation is total over every graph that the registry accepts, and is checked all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from marketplace.core.money import BPS, check_units
from provenance.core.lineage import Lineage
from provenance.core.refusal import Refusal


class RoyaltyRefusal(Refusal):
    """A lineage is one that the registry cannot have accepted, or an amount cannot be allocated over it."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """How the net income of `earner` is divided: `ancestors` as (dataset, bps, amount), sorted; the rest is `kept`."""

    earner: int
    net: int
    ancestors: tuple[tuple[int, int, int], ...]
    kept: int

    @property
    def kept_bps(self) -> int:
        """The earner's own share in basis points, before remainders."""
        return BPS - sum(bps for _, bps, _ in self.ancestors)

    @property
    def incomes(self) -> tuple[tuple[int, int], ...]:
        """(dataset, amount) for the earner first, then each ancestor; the amounts sum to `net`."""
        return ((self.earner, self.kept), *((dataset, amount) for dataset, _, amount in self.ancestors))

    def explain(self, units: int) -> tuple[tuple[int, Fraction], ...]:
        """Return (dataset, exact share) of one line of income of `units` out of `net`, never rounded.

        Summed over all lines the shares are exactly the allocated amounts; summed over the datasets, exactly `units`.
        """
        if not 0 <= units <= self.net:
            raise RoyaltyRefusal(
                "royalty.line", "A line of income is part of the net income.", limit=self.net, actual=units
            )
        if self.net == 0:
            return tuple((dataset, Fraction(0)) for dataset, _ in self.incomes)
        return tuple((dataset, Fraction(amount * units, self.net)) for dataset, amount in self.incomes)


def ancestor_shares(earner: int, lineage: Lineage) -> dict[int, int]:
    """Return ancestor → share in basis points (steps 1 and 2), including ancestors whose share is 0.

    Raises RoyaltyRefusal for shares over 100 %, which the registry's bounds rule out.
    """
    shares: dict[int, int] = {}
    for edge in lineage.edges_above(earner):
        shares[edge.parent] = shares.get(edge.parent, 0) + edge.bps
    total = sum(shares.values())
    if total > BPS:
        raise RoyaltyRefusal(
            "royalty.over_100_percent", f"The ancestors of dataset {earner} are owed more than it earns.",
            limit=BPS, actual=total,
        )  # fmt: skip
    return shares


def allocate(earner: int, net: int, lineage: Lineage) -> Allocation:
    """Allocate `net` base units that dataset `earner` earned in one token and epoch (steps 3 and 4).

    Raises RoyaltyRefusal, MoneyRefusal.
    """
    check_units(net)
    shares = sorted(ancestor_shares(earner, lineage).items())
    ancestors = tuple((dataset, bps, net * bps // BPS) for dataset, bps in shares if bps)
    return Allocation(earner, net, ancestors, net - sum(amount for _, _, amount in ancestors))
