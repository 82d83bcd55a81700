"""The lineage of datasets as a value: who was built from what, for which share, fixed for ever at registration.

1. An edge (child, parent, share) exists once. The earner's ancestors are all datasets reachable upwards.
2. Two upper bounds stand on chain for each dataset, computed from its parents alone:
   `stack = Σ (share + parent's stack) ≤ 10,000` basis points and `ancestors = Σ (1 + parent's ancestors) ≤ 1,024`.
3. Both count a shared ancestor once for each path, so they may refuse early; the refusal says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from provenance.core.refusal import Refusal

STACK_LIMIT_BPS = 10_000
ANCESTORS_LIMIT = 1_024
PARENTS_LIMIT = 16


class LineageRefusal(Refusal):
    """A graph is not one that the registry accepts."""


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """`child` owes `parent` this share of what it earns, in basis points."""

    child: int
    parent: int
    bps: int

    def __post_init__(self) -> None:
        if not 0 <= self.bps <= STACK_LIMIT_BPS:
            raise LineageRefusal(
                "lineage.share", "A share lies between 0 and 100 %.", limit=STACK_LIMIT_BPS, actual=self.bps
            )
        if self.child == self.parent:
            raise LineageRefusal("lineage.cycle", "A dataset cannot be built from itself.", actual=self.child)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the registry stores: never less than the true share of all ancestors, and their true number."""

    stack_bps: int = 0
    ancestors: int = 0


class Lineage:
    """A directed graph without cycles. Datasets without parents need not be named.

    Raises LineageRefusal for a cycle, for an edge that is there twice, and for more than 16 parents.
    """

    def __init__(self, edges: Iterable[Edge]) -> None:
        parents: dict[int, dict[int, Edge]] = {}
        for edge in edges:
            known = parents.setdefault(edge.child, {})
            if edge.parent in known:
                raise LineageRefusal(
                    "lineage.duplicate", "An edge is there twice.", actual=f"{edge.child} from {edge.parent}"
                )
            known[edge.parent] = edge
            if len(known) > PARENTS_LIMIT:
                raise LineageRefusal(
                    "lineage.parents", "A dataset has too many parents.", limit=PARENTS_LIMIT, actual=len(known)
                )
        self._parents: Mapping[int, tuple[Edge, ...]] = {
            child: tuple(known[parent] for parent in sorted(known)) for child, known in parents.items()
        }
        self._order = _sorted_upwards(self._parents)

    @property
    def datasets(self) -> Sequence[int]:
        """Every dataset of an edge, parents before children, and by number where that leaves a choice."""
        return self._order

    def parents(self, dataset: int) -> tuple[Edge, ...]:
        """Return the edges to the parents, by number."""
        return self._parents.get(dataset, ())

    def ancestors(self, dataset: int) -> frozenset[int]:
        """Return every dataset that `dataset` was built from, however far up."""
        return frozenset(edge.parent for edge in self.edges_above(dataset))

    def edges_above(self, dataset: int) -> tuple[Edge, ...]:
        """Return the distinct edges reachable upwards, sorted: what a sale of `dataset` is allocated over."""
        found: set[Edge] = set()
        seen = {dataset}
        waiting = [dataset]
        while waiting:
            for edge in self.parents(waiting.pop()):
                found.add(edge)
                if edge.parent not in seen:
                    seen.add(edge.parent)
                    waiting.append(edge.parent)
        return tuple(sorted(found))

    def bounds(self) -> dict[int, Bounds]:
        """Return what the registry stores for each dataset. Limits are not enforced here (`check_registration`)."""
        found: dict[int, Bounds] = {}
        for dataset in self._order:
            found[dataset] = _summed((edge.bps, found[edge.parent]) for edge in self.parents(dataset))
        return found


def check_registration(parents: Sequence[tuple[int, Bounds]]) -> Bounds:
    """Return the bounds of a dataset with these parents, each as (share in basis points, its bounds).

    Raises LineageRefusal where the registry would refuse: `RegistryStackTooHigh`, `RegistryTooManyAncestors`.
    """
    if len(parents) > PARENTS_LIMIT:
        raise LineageRefusal(
            "lineage.parents", "A dataset has too many parents.", limit=PARENTS_LIMIT, actual=len(parents)
        )
    bounds = _summed(parents)
    if bounds.stack_bps > STACK_LIMIT_BPS:
        raise LineageRefusal(
            "lineage.stack",
            "What the parents and their parents earn adds up to more than everything. Ancestors reached on several "
            "ways count once for each way here.",
            limit=STACK_LIMIT_BPS,
            actual=bounds.stack_bps,
            todo="Leave a parent out, or ask its owner for a lower share.",
        )
    if bounds.ancestors > ANCESTORS_LIMIT:
        raise LineageRefusal(
            "lineage.ancestors",
            "There are too many ancestors. Those reached on several ways count once for each way here.",
            limit=ANCESTORS_LIMIT,
            actual=bounds.ancestors,
            todo="Build from fewer or from simpler datasets.",
        )
    return bounds


def _summed(parents: Iterable[tuple[int, Bounds]]) -> Bounds:
    stack = ancestors = 0
    for bps, above in parents:
        stack += bps + above.stack_bps
        ancestors += 1 + above.ancestors
    return Bounds(stack, ancestors)


def _sorted_upwards(parents: Mapping[int, tuple[Edge, ...]]) -> tuple[int, ...]:
    """Return all datasets in topological order without recursion, so that a hostile chain cannot exhaust the stack."""
    datasets = sorted({*parents, *(edge.parent for edges in parents.values() for edge in edges)})
    missing = {dataset: len(parents.get(dataset, ())) for dataset in datasets}
    children: dict[int, list[int]] = {}
    for child, edges in parents.items():
        for edge in edges:
            children.setdefault(edge.parent, []).append(child)
    ready = [dataset for dataset in datasets if missing[dataset] == 0]
    order: list[int] = []
    for dataset in ready:  # grows while it is walked
        order.append(dataset)
        for child in sorted(children.get(dataset, ())):
            missing[child] -= 1
            if missing[child] == 0:
                ready.append(child)
    if len(order) != len(datasets):
        looped = min(dataset for dataset in datasets if missing[dataset])
        raise LineageRefusal("lineage.cycle", "A dataset is its own ancestor.", actual=looped)
    return tuple(order)
