import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.money import BPS
from marketplace.core.royalty import (
    ANCESTORS_LIMIT,
    Bounds,
    RoyaltyRefusal,
    allocate,
    ancestor_shares,
    registration_bounds,
)
from tests.marketplace_core.worked import blocks, edges


def lineage(named_edges):
    parents = {}
    for child, parent, bps in named_edges:
        parents.setdefault(ord(child), []).append((ord(parent), bps))
    return parents


def bounds_of(parents):
    stored = {}

    def of(dataset):
        if dataset not in stored:
            for parent, _ in parents.get(dataset, ()):
                of(parent)
            stored[dataset] = registration_bounds(parents.get(dataset, ()), stored)
        return stored[dataset]

    for dataset in list(parents):
        of(dataset)
    return stored


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
    assert bounds_of(lineage(edges(edge_line)))[ord(name)] == Bounds(int(stack), int(ancestors))


def test_an_eleventh_hop_of_ten_percent_is_refused_at_registration():
    stored = {0: Bounds()}
    for hop in range(1, 11):
        stored[hop] = registration_bounds([(hop - 1, 1_000)], stored)
    assert stored[10].stack_bps == BPS
    with pytest.raises(RoyaltyRefusal) as refusal:
        registration_bounds([(10, 1_000)], stored)
    assert (refusal.value.code, refusal.value.limit, refusal.value.actual) == ("royalty.stack", 10_000, 11_000)


@pytest.mark.parametrize(
    ("parents", "code"),
    [
        ([(number, 0) for number in range(17)], "royalty.parents"),
        ([(1, 10), (1, 10)], "royalty.parent_twice"),
        ([(99, 10)], "royalty.parent_unknown"),
        ([(1, 5_000), (2, 5_001)], "royalty.stack"),
        ([(1, 10_001)], "share.over_100_percent"),
    ],
)
def test_what_the_registry_refuses_is_refused_by_name(parents, code):
    stored = {number: Bounds() for number in range(17)}
    with pytest.raises(Exception) as refusal:  # the code says which
        registration_bounds(parents, stored)
    assert refusal.value.code == code


def test_spamming_ancestors_ends_at_the_limit():
    stored = {1: Bounds(0, ANCESTORS_LIMIT - 1)}
    assert registration_bounds([(1, 0)], stored).ancestors == ANCESTORS_LIMIT
    stored = {1: Bounds(0, ANCESTORS_LIMIT)}
    with pytest.raises(RoyaltyRefusal, match="too many ancestors"):
        registration_bounds([(1, 0)], stored)


def test_a_lineage_that_the_registry_cannot_have_accepted_is_refused_and_never_overpaid():
    with pytest.raises(RoyaltyRefusal) as refusal:
        allocate(3, 100, {3: [(1, 6_000), (2, 6_000)]})
    assert (refusal.value.code, refusal.value.actual) == ("royalty.over_100_percent", 12_000)
    with pytest.raises(RoyaltyRefusal, match="its own ancestor"):
        allocate(1, 100, {1: [(2, 10)], 2: [(1, 10)]})


def test_an_inserted_intermediary_does_not_dilute_what_is_owed_further_up():
    direct = {2: [(1, 1_000)]}
    inserted = {3: [(1, 1_000)], 2: [(3, 0)]}
    assert dict(allocate(2, 10_000, direct).incomes)[1] == dict(allocate(2, 10_000, inserted).incomes)[1] == 1_000


def test_a_thousand_ancestors_with_a_full_stack_settle_exactly():
    parents = {0: [(1, 10)]}
    for dataset in range(1, 1_000):
        parents[dataset] = [(dataset + 1, 10)]
    allocation = allocate(0, 2**64 - 1, parents)
    assert sum(amount for _, amount in allocation.incomes) == 2**64 - 1
    assert len(allocation.ancestors) == 1_000
    assert allocation.kept_bps == 0


@st.composite
def accepted_lineages(draw):
    """A lineage as the registry would have accepted it, registration by registration."""
    parents, stored = {}, {}
    for dataset in range(draw(st.integers(1, 12))):
        wanted = draw(st.lists(st.integers(0, max(0, dataset - 1)), unique=True, max_size=min(dataset, 4)))
        pairs = [(parent, draw(st.integers(0, 3_000))) for parent in sorted(wanted) if parent < dataset]
        try:
            stored[dataset] = registration_bounds(pairs, stored)
        except RoyaltyRefusal:
            pairs = []
            stored[dataset] = Bounds()
        parents[dataset] = pairs
    return parents, stored


@given(accepted_lineages(), st.integers(0, 2**64 - 1))
def test_allocation_is_total_exact_and_never_negative_over_every_accepted_lineage(accepted, net):
    parents, stored = accepted
    for earner in parents:
        allocation = allocate(earner, net, parents)
        assert sum(amount for _, amount in allocation.incomes) == net
        assert all(amount >= 0 for _, amount in allocation.incomes)
        shares = ancestor_shares(earner, parents)
        assert sum(shares.values()) <= stored[earner].stack_bps
        assert len(shares) <= stored[earner].ancestors


@given(accepted_lineages(), st.integers(0, 2**62), st.integers(0, 2**62))
def test_more_income_never_lowers_an_ancestors_amount(accepted, net, more):
    parents, _ = accepted
    earner = max(parents)
    before, after = allocate(earner, net, parents), allocate(earner, net + more, parents)
    paid = dict(after.incomes)
    assert all(amount <= paid[dataset] for dataset, _, amount in before.ancestors)


@given(accepted_lineages(), st.integers(0, 10**9))
def test_shares_equal_a_plain_sum_over_the_set_of_reachable_edges(accepted, net):
    parents, _ = accepted
    earner = max(parents)
    reachable, frontier = set(), {earner}
    while frontier:
        found = {(child, parent, bps) for child in frontier for parent, bps in parents[child]} - reachable
        reachable |= found
        frontier = {parent for _, parent, _ in found}
    independent = {}
    for _, parent, bps in reachable:
        independent[parent] = independent.get(parent, 0) + bps
    paid = {dataset: amount for dataset, _, amount in allocate(earner, net, parents).ancestors}
    assert paid == {dataset: net * bps // BPS for dataset, bps in independent.items() if bps}


@given(accepted_lineages(), st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_each_payment_is_explained_by_exact_fractions_that_sum_both_ways(accepted, payments):
    parents, _ = accepted
    allocation = allocate(max(parents), sum(payments), parents)
    explained = [allocation.explain(payment) for payment in payments]
    for payment, parts in zip(payments, explained, strict=True):
        assert sum(part for _, part in parts) == payment
    for number, (_, amount) in enumerate(allocation.incomes):
        assert sum((parts[number][1] for parts in explained), Fraction(0)) == amount


def test_a_payment_larger_than_the_income_explains_nothing():
    with pytest.raises(RoyaltyRefusal):
        allocate(1, 10, {}).explain(11)
