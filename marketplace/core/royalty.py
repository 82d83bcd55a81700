"""Who earns from whom: LAP, the liquid absolute percentage, over the lineage of datasets.

1. The *edges* of an earning dataset are all distinct edges (child, parent, share) that can be reached from it upwards.
   An edge that several paths use is one edge: a diamond is not paid twice.
2. An ancestor's share is the sum of the edges that point into it, in basis points.
3. An ancestor receives that share of the net income, rounded down, once per (earning dataset, token, epoch).
4. The earner keeps everything else, so that the remainders of step 3 are the earner's.

The registry accepts a dataset only if `stack = Σ (share + parent's stack) ≤ 10,000` and
`ancestors = Σ (1 + parent's ancestors) ≤ 1,024`. Both count shared paths again, so they bound what step 2 sums: the
allocation is total over every graph that the registry accepts, and is checked all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from marketplace.core.money import BPS, check_bps, check_units
from provenance.core.refusal import Refusal

PARENTS_LIMIT = 16
ANCESTORS_LIMIT = 1_024

Parents = Mapping[int, Sequence[tuple[int, int]]]
"""Dataset → its (parent, share in basis points) pairs, as registered. A dataset without parents may be absent."""


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


def ancestor_shares(earner: int, parents: Parents) -> dict[int, int]:
    """Return ancestor → share in basis points (steps 1 and 2), including ancestors whose share is 0.

    Raises RoyaltyRefusal for a cycle through the earner, for more than 1,024 ancestors, and for shares over 100 %.
    """
    shares: dict[int, int] = {}
    waiting = [earner]
    for dataset in waiting:  # grows while it is walked; a dataset joins it once
        for parent, bps in parents.get(dataset, ()):
            if parent in shares:
                shares[parent] += bps
                continue
            if parent == earner:
                raise RoyaltyRefusal("royalty.cycle", "A dataset is its own ancestor.", actual=earner)
            shares[parent] = bps
            waiting.append(parent)
    if len(shares) > ANCESTORS_LIMIT:
        raise RoyaltyRefusal(
            "royalty.ancestors", f"Dataset {earner} has too many ancestors.", limit=ANCESTORS_LIMIT, actual=len(shares)
        )
    total = sum(shares.values())
    if total > BPS:
        raise RoyaltyRefusal(
            "royalty.over_100_percent", f"The ancestors of dataset {earner} are owed more than it earns.",
            limit=BPS, actual=total,
        )  # fmt: skip
    return shares


def allocate(earner: int, net: int, parents: Parents) -> Allocation:
    """Allocate `net` base units that dataset `earner` earned in one token and epoch (steps 3 and 4).

    Raises RoyaltyRefusal, MoneyRefusal.
    """
    check_units(net)
    shares = sorted(ancestor_shares(earner, parents).items())
    ancestors = tuple((dataset, bps, net * bps // BPS) for dataset, bps in shares if bps)
    return Allocation(earner, net, ancestors, net - sum(amount for _, _, amount in ancestors))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the registry stores per dataset: two upper bounds, both of which over-count shared paths."""

    stack_bps: int = 0
    ancestors: int = 0


def registration_bounds(parents: Sequence[tuple[int, int]], stored: Mapping[int, Bounds]) -> Bounds:
    """Return the bounds of a new dataset with these (parent, share) pairs, as the registry computes them.

    Raises RoyaltyRefusal for what the registry refuses: more than 16 parents, one parent twice, a parent that does not
    exist, a stack over 100 %, more than 1,024 ancestors.
    """
    if len(parents) > PARENTS_LIMIT:
        raise RoyaltyRefusal(
            "royalty.parents", "A dataset has too many parents.", limit=PARENTS_LIMIT, actual=len(parents),
            todo="Build an intermediate dataset from some of them first.",
        )  # fmt: skip
    stack = ancestors = 0
    seen: set[int] = set()
    for parent, bps in parents:
        if parent in seen:
            raise RoyaltyRefusal("royalty.parent_twice", "A parent is named twice.", actual=parent)
        if parent not in stored:
            raise RoyaltyRefusal("royalty.parent_unknown", "A parent is not registered.", actual=parent)
        seen.add(parent)
        stack += check_bps(bps, "share owed to a parent") + stored[parent].stack_bps
        ancestors += 1 + stored[parent].ancestors
    if stack > BPS:
        raise RoyaltyRefusal(
            "royalty.stack", "What the ancestors are owed adds up to more than 100 %.", limit=BPS, actual=stack,
            todo="Use fewer parents, or parents that ask for less. Shared ancestors are counted once per path, "
            "so the true sum may be lower.",
        )  # fmt: skip
    if ancestors > ANCESTORS_LIMIT:
        raise RoyaltyRefusal(
            "royalty.ancestors", "The dataset would have too many ancestors.", limit=ANCESTORS_LIMIT, actual=ancestors,
            todo="Use fewer parents. Shared ancestors are counted once per path, so the true number may be lower.",
        )  # fmt: skip
    return Bounds(stack, ancestors)
