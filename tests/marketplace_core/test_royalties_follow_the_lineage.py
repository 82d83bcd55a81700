import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.money import BPS
from marketplace.core.royalty import RoyaltyRefusal, allocate, ancestor_shares
from provenance.core.lineage import (
    ANCESTORS_LIMIT,
    STACK_LIMIT_BPS,
    Bounds,
    Edge,
    Lineage,
    LineageRefusal,
    check_registration,
)
from tests.marketplace_core.worked import blocks, edges


def lineage(named_edges):
    return Lineage(Edge(ord(child), ord(parent), bps) for child, parent, bps in named_edges)


@pytest.mark.parametrize("block", blocks("royalties.md", "royalty"))
def test_the_worked_numbers_of_the_specification_hold(block):
    edge_line, income_line, expected_line = block.strip().splitlines()
    earner, net = re.fullmatch(r"(\w) earns (\d+)", income_line).groups()
    allocation = allocate(ord(earner), int(net), lineage(edges(edge_line)))
    expected = {ord(name): int(amount) for name, amount in re.findall(r"(\w) (\d+)", expected_line)}
    assert {dataset: amount for dataset, amount in expected.items() if amount or dataset == ord(earner)} == {
        dataset: amount for dataset, amount in allocation.incomes if amount or dataset == ord(earner)
    }


@pytest.mark.parametrize("block", blocks("royalties.md", "bounds"))
def test_the_registrys_bounds_count_shared_paths_again(block):
    edge_line, expected_line = block.strip().splitlines()
    name, stack, ancestors = re.fullmatch(r"(\w) stack (\d+), ancestors (\d+)", expected_line).groups()
    assert lineage(edges(edge_line)).bounds()[ord(name)] == Bounds(int(stack), int(ancestors))


def test_an_eleventh_hop_of_ten_percent_is_refused_at_registration():
    bounds = Bounds()
    for _ in range(10):
        bounds = check_registration([(1_000, bounds)])
    assert bounds.stack_bps == BPS
    with pytest.raises(LineageRefusal) as refusal:
        check_registration([(1_000, bounds)])
    assert (refusal.value.limit, refusal.value.actual) == (10_000, 11_000)


def test_spamming_ancestors_ends_at_the_limit():
    assert check_registration([(0, Bounds(0, ANCESTORS_LIMIT - 1))]).ancestors == ANCESTORS_LIMIT
    with pytest.raises(LineageRefusal):
        check_registration([(0, Bounds(0, ANCESTORS_LIMIT))])


def test_a_lineage_that_the_registry_cannot_have_accepted_is_refused_and_never_overpaid():
    with pytest.raises(RoyaltyRefusal) as refusal:
        allocate(3, 100, Lineage([Edge(3, 1, 6_000), Edge(3, 2, 6_000)]))
    assert (refusal.value.code, refusal.value.actual) == ("royalty.over_100_percent", 12_000)
    with pytest.raises(LineageRefusal, match="its own ancestor"):
        Lineage([Edge(1, 2, 10), Edge(2, 1, 10)])


def test_an_inserted_intermediary_does_not_dilute_what_is_owed_further_up():
    direct = Lineage([Edge(2, 1, 1_000)])
    inserted = Lineage([Edge(3, 1, 1_000), Edge(2, 3, 0)])
    assert dict(allocate(2, 10_000, direct).incomes)[1] == dict(allocate(2, 10_000, inserted).incomes)[1] == 1_000


def test_a_thousand_ancestors_with_a_full_stack_settle_exactly():
    allocation = allocate(0, 2**64 - 1, Lineage(Edge(number, number + 1, 10) for number in range(1_000)))
    assert sum(amount for _, amount in allocation.incomes) == 2**64 - 1
    assert len(allocation.ancestors) == 1_000
    assert allocation.kept_bps == 0


@st.composite
def accepted_lineages(draw):
    """A lineage as the registry would have accepted it, registration by registration."""
    edges, bounds = [], {}
    for dataset in range(draw(st.integers(1, 12))):
        wanted = draw(st.sets(st.integers(0, max(0, dataset - 1)), max_size=min(dataset, 4)))
        pairs = [(parent, draw(st.integers(0, 3_000))) for parent in sorted(wanted) if parent < dataset]
        try:
            bounds[dataset] = check_registration([(bps, bounds[parent]) for parent, bps in pairs])
        except LineageRefusal:
            bounds[dataset], pairs = Bounds(), []
        edges += [Edge(dataset, parent, bps) for parent, bps in pairs]
    return Lineage(edges), bounds


@given(accepted_lineages(), st.integers(0, 2**64 - 1))
def test_allocation_is_total_exact_and_never_negative_over_every_accepted_lineage(accepted, net):
    graph, bounds = accepted
    for earner in bounds:
        allocation = allocate(earner, net, graph)
        assert sum(amount for _, amount in allocation.incomes) == net
        assert all(amount >= 0 for _, amount in allocation.incomes)
        shares = ancestor_shares(earner, graph)
        assert sum(shares.values()) <= bounds[earner].stack_bps <= STACK_LIMIT_BPS
        assert len(shares) <= bounds[earner].ancestors


@given(accepted_lineages(), st.integers(0, 2**62), st.integers(0, 2**62))
def test_more_income_never_lowers_an_ancestors_amount(accepted, net, more):
    graph, bounds = accepted
    earner = max(bounds)
    before, after = allocate(earner, net, graph), allocate(earner, net + more, graph)
    paid = dict(after.incomes)
    assert all(amount <= paid[dataset] for dataset, _, amount in before.ancestors)


@given(accepted_lineages(), st.integers(0, 10**9))
def test_shares_equal_a_plain_sum_over_the_set_of_reachable_edges(accepted, net):
    graph, bounds = accepted
    earner = max(bounds)
    parents = {child: [(edge.parent, edge.bps) for edge in graph.parents(child)] for child in bounds}
    reachable, frontier = set(), {earner}
    while frontier:
        found = {(child, parent, bps) for child in frontier for parent, bps in parents[child]} - reachable
        reachable |= found
        frontier = {parent for _, parent, _ in found}
    independent = {}
    for _, parent, bps in reachable:
        independent[parent] = independent.get(parent, 0) + bps
    paid = {dataset: amount for dataset, _, amount in allocate(earner, net, graph).ancestors}
    assert paid == {dataset: net * bps // BPS for dataset, bps in independent.items() if bps}


@given(accepted_lineages(), st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_each_payment_is_explained_by_exact_fractions_that_sum_both_ways(accepted, payments):
    graph, bounds = accepted
    allocation = allocate(max(bounds), sum(payments), graph)
    explained = [allocation.explain(payment) for payment in payments]
    for payment, parts in zip(payments, explained, strict=True):
        assert sum(part for _, part in parts) == payment
    for number, (_, amount) in enumerate(allocation.incomes):
        assert sum((parts[number][1] for parts in explained), Fraction(0)) == amount


def test_a_payment_larger_than_the_income_explains_nothing():
    with pytest.raises(RoyaltyRefusal):
        allocate(1, 10, Lineage([])).explain(11)
