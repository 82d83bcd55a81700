import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.lineage import Bounds, Edge, Lineage, LineageRefusal, check_registration


def code_of(action, *arguments):
    with pytest.raises(LineageRefusal) as caught:
        action(*arguments)
    return caught.value.code


@st.composite
def graphs(draw):
    size = draw(st.integers(1, 12))
    edges = []
    for child in range(2, size + 1):
        parents = draw(st.sets(st.integers(1, child - 1), max_size=5))
        edges += [Edge(child, parent, draw(st.integers(0, 3000))) for parent in sorted(parents)]
    return draw(st.permutations(edges))


def test_ten_hops_of_ten_percent_are_everything_and_an_eleventh_is_refused():
    bounds = Bounds()
    for _ in range(10):
        bounds = check_registration([(1000, bounds)])
    assert bounds == Bounds(10_000, 10)
    with pytest.raises(LineageRefusal) as caught:
        check_registration([(1000, bounds)])
    assert (caught.value.code, caught.value.limit, caught.value.actual) == ("lineage.stack", 10_000, 11_000)
    assert check_registration([(0, bounds)]).stack_bps == 10_000


def test_a_thousand_and_twenty_four_ancestors_pass_and_one_more_is_refused():
    assert check_registration([(0, Bounds(0, 1023))]).ancestors == 1024
    assert code_of(check_registration, [(0, Bounds(0, 1024))]) == "lineage.ancestors"
    assert code_of(check_registration, [(0, Bounds())] * 17) == "lineage.parents"


def test_a_diamond_has_four_edges_however_many_ways_lead_through_it():
    diamond = Lineage([Edge(4, 2, 500), Edge(4, 3, 400), Edge(2, 1, 1000), Edge(3, 1, 1000)])
    assert diamond.ancestors(4) == {1, 2, 3}
    assert len(diamond.edges_above(4)) == 4
    # The bound counts dataset 1 once for each way: 3 ancestors, counted as 4.
    assert diamond.bounds()[4] == Bounds(2900, 4)


def doubled(below):
    """The bounds of a dataset with two parents that are both built from one below them."""
    side = check_registration([(0, below)])
    return check_registration([(0, side), (0, side)])


def test_a_diamond_of_diamonds_doubles_its_bound_with_each_layer_and_is_refused_in_time():
    bounds = Bounds()
    for _ in range(8):
        bounds = doubled(bounds)
    assert bounds.ancestors == 1020
    with pytest.raises(LineageRefusal) as caught:
        doubled(bounds)
    assert (caught.value.code, caught.value.actual) == ("lineage.ancestors", 2044)


def test_cycles_are_refused():
    assert code_of(Edge, 1, 1, 0) == "lineage.cycle"
    assert code_of(Lineage, [Edge(1, 2, 0), Edge(2, 3, 0), Edge(3, 1, 0)]) == "lineage.cycle"


def test_an_edge_twice_and_a_share_over_everything_are_refused():
    assert code_of(Lineage, [Edge(2, 1, 5), Edge(2, 1, 6)]) == "lineage.duplicate"
    assert code_of(Edge, 2, 1, 10_001) == "lineage.share"
    assert code_of(Lineage, [Edge(100, parent, 0) for parent in range(17)]) == "lineage.parents"


def test_a_chain_of_ten_thousand_needs_no_deep_recursion():
    chain = Lineage(Edge(number + 1, number, 0) for number in range(1, 10_000))
    assert chain.datasets[0] == 1
    assert len(chain.ancestors(10_000)) == 9_999


@given(graphs())
def test_parents_come_before_children(edges):
    order = Lineage(edges).datasets
    assert all(order.index(edge.parent) < order.index(edge.child) for edge in edges)


@given(graphs())
def test_the_bounds_are_never_below_the_truth(edges):
    lineage = Lineage(edges)
    for dataset, bounds in lineage.bounds().items():
        assert bounds.ancestors >= len(lineage.ancestors(dataset))
        assert bounds.stack_bps >= sum(edge.bps for edge in lineage.edges_above(dataset))


@given(graphs())
def test_reachable_edges_are_those_of_the_dataset_and_its_ancestors(edges):
    lineage = Lineage(edges)
    for dataset in lineage.datasets:
        family = {dataset, *lineage.ancestors(dataset)}
        assert set(lineage.edges_above(dataset)) == {edge for edge in edges if edge.child in family}
