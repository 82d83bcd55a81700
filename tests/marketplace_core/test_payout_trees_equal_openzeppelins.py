import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.payout_tree import (
    Payment,
    PayoutTree,
    PayoutTreeRefusal,
    payout_leaf,
    push_ranges,
    pushed_payments,
    unpack_leaves,
    verify_payout,
    verify_payout_range,
)
from tests.marketplace_core.cast import MALLORY, TUSD

# Roots that @openzeppelin/merkle-tree computes for leaves_of(n) with sortLeaves: false.
OPENZEPPELIN = {
    1: "0x7455fce157aa6c056e71bf9d1986acf5ba4ecbf371788cf29ca08398366ba4ba",
    2: "0x58ced42bb61d34e8f069bf200e5aeef8f9375808d4c708a303fac8e08e314c43",
    3: "0x92bcebf29607b90a93b0e0ea07f65d6e8444aeec44911ae5a6b66722bacaa7a8",
    5: "0x2053f75ba23fe6084849b0239a4d8b98bd5dbd281641d2164b0ccf12548914e3",
    8: "0x0ea07317188197760a01c5c4ca93591146c54d92a3e7c112b686ad4a4b6bc2a2",
    13: "0x6c218264b07e87d34ff64ab4d94d81a0c6ed44585da05eb9c1cc6763f830bbe4",
    100: "0x291201061534d4f416eaf03a4e0943c989e147ea71c8abc7c236e95d40039eb2",
}

LEAVES = st.lists(
    st.tuples(st.integers(1, 2**32 - 1), st.integers(0, 2**64 - 1)),
    min_size=1,
    max_size=40,
    unique_by=lambda leaf: leaf[0],
).map(sorted)


def leaves_of(count):
    return [(3 * number + 1, (number * number + 7) * 1_000_003) for number in range(count)]


@pytest.mark.parametrize("count", OPENZEPPELIN)
def test_the_root_is_openzeppelins(count):
    assert "0x" + PayoutTree.of(TUSD, leaves_of(count)).root.hex() == OPENZEPPELIN[count]


def test_a_leaf_is_the_double_hash_of_its_abi_encoding():
    encoded = encode(["address", "uint32", "uint64"], [TUSD, 7, 10**18])
    assert payout_leaf(TUSD, 7, 10**18) == keccak(keccak(encoded))


@given(LEAVES)
def test_every_leaf_is_proved_and_no_other_amount_is(leaves):
    tree = PayoutTree.of(TUSD, leaves)
    for position, (payee, amount) in enumerate(leaves):
        proof = tree.proof(position)
        verify_payout(TUSD, payee, amount, proof, tree.root)
        for wrong in ((MALLORY, payee, amount), (TUSD, payee, amount ^ 1), (TUSD, payee ^ 1, amount)):
            with pytest.raises(PayoutTreeRefusal):
                verify_payout(*wrong, proof, tree.root)


@given(LEAVES, st.data())
def test_every_contiguous_range_is_proved_by_one_multiproof(leaves, data):
    tree = PayoutTree.of(TUSD, leaves)
    first = data.draw(st.integers(0, len(leaves) - 1))
    count = data.draw(st.integers(1, len(leaves) - first))
    proof = tree.range_proof(first, count)
    part = leaves[first : first + count]
    verify_payout_range(TUSD, part, proof, tree.root, first=first, leaf_count=len(leaves))
    if count == 1:
        assert proof == tree.proof(first)
    if count == len(leaves):
        assert proof == []
    tampered = [(payee, amount ^ 1) for payee, amount in part]
    with pytest.raises(PayoutTreeRefusal):
        verify_payout_range(TUSD, tampered, proof, tree.root, first=first, leaf_count=len(leaves))


def test_a_range_proof_that_is_too_short_or_too_long_is_refused():
    tree = PayoutTree.of(TUSD, leaves_of(5))
    proof = tree.range_proof(1, 2)
    for wrong in (proof[:-1], [*proof, b"\0" * 32]):
        with pytest.raises(PayoutTreeRefusal):
            verify_payout_range(TUSD, leaves_of(5)[1:3], wrong, tree.root, first=1, leaf_count=5)
    with pytest.raises(PayoutTreeRefusal):
        verify_payout_range(TUSD, leaves_of(5), [], tree.root, first=1, leaf_count=5)


@pytest.mark.parametrize(
    ("leaves", "code"),
    [
        ([], "payouts.empty"),
        ([(2, 1), (1, 1)], "payouts.order"),
        ([(1, 1), (1, 2)], "payouts.order"),
        ([(0, 1)], "payouts.order"),
        ([(2**32, 1)], "payouts.leaf"),
        ([(1, 2**64)], "payouts.leaf"),
        ([(1, -1)], "payouts.leaf"),
    ],
)
def test_leaves_that_the_contract_would_refuse_make_no_tree(leaves, code):
    with pytest.raises(PayoutTreeRefusal) as refusal:
        PayoutTree.of(TUSD, leaves)
    assert refusal.value.code == code


def test_a_position_outside_the_tree_is_refused():
    tree = PayoutTree.of(TUSD, leaves_of(3))
    for first, count in ((3, 1), (-1, 1), (0, 0), (2, 2)):
        with pytest.raises(PayoutTreeRefusal):
            tree.range_proof(first, count)


def test_pushed_leaves_are_packed_into_twelve_bytes_each():
    tree = PayoutTree.of(TUSD, [(1, 2), (2**32 - 1, 2**64 - 1)])
    assert tree.packed(0, 2).hex() == "00000001" + "0000000000000002" + "ff" * 12


@given(LEAVES)
def test_packed_leaves_are_read_back(leaves):
    packed = PayoutTree.of(TUSD, leaves).packed(0, len(leaves))
    assert unpack_leaves(packed) == leaves
    with pytest.raises(PayoutTreeRefusal) as refused:
        unpack_leaves(packed[:-1])
    assert refused.value.code == "payouts.packed"


@given(LEAVES, st.data())
def test_a_push_is_explained_by_its_leaves_what_was_paid_before_and_who_was_passed_over(leaves, data):
    paid = {payee: data.draw(st.integers(0, amount)) for payee, amount in leaves}
    owed = [Payment(payee, amount - paid[payee], amount) for payee, amount in leaves if amount > paid[payee]]
    made = [payment for payment in owed if data.draw(st.booleans())]
    passed_over = [(payment.payee, payment.amount) for payment in owed if payment not in made]
    total = sum(payment.amount for payment in made)
    assert pushed_payments(leaves, paid=paid, skipped=passed_over, total=total) == made
    # A claim that went wrong before, in the same transaction, passed over somebody whom the push then paid.
    before = [(payment.payee, payment.amount) for payment in made[:1]]
    assert pushed_payments(leaves, paid=paid, skipped=before + passed_over, total=total) == made
    too_much = sum(payment.amount for payment in owed) + 1
    assert pushed_payments(leaves, paid=paid, skipped=passed_over, total=too_much) is None


def test_two_leaves_of_one_payee_are_paid_up_to_the_larger_once():
    paid = {3: 10}
    leaves = [(3, 40), (3, 60), (3, 50)]
    assert pushed_payments(leaves, paid=paid, skipped=[], total=50) == [Payment(3, 50, 60)]
    assert pushed_payments(leaves, paid=paid, skipped=[(3, 30)], total=50) == [Payment(3, 50, 60)]


def test_an_inner_node_is_no_leaf():
    tree = PayoutTree.of(TUSD, leaves_of(2))
    with pytest.raises(PayoutTreeRefusal):
        verify_payout(TUSD, 1, 0, [], tree.root)


@pytest.mark.parametrize(
    ("due", "expected"),
    [
        ([], []),
        ([0, 0], []),
        ([5, 5, 5], [(0, 2), (2, 1)]),
        ([0, 5, 0, 0], [(1, 1)]),
        ([5, 0], [(0, 1)]),
        ([5, 1, 5], [(0, 1), (2, 1)]),
        ([1, 1], []),
    ],
)
def test_ranges_worth_pushing_are_found(due, expected):
    assert push_ranges(due, threshold=2, most=2) == expected


@given(st.lists(st.integers(0, 6)), st.integers(1, 5), st.integers(1, 5))
def test_every_leaf_above_the_threshold_is_pushed_once_and_none_below_it(due, threshold, most):
    ranges = push_ranges(due, threshold=threshold, most=most)
    pushed = [position for first, count in ranges for position in range(first, first + count)]
    assert len(pushed) == len(set(pushed))
    assert all(1 <= count <= most for _, count in ranges)
    assert {p for p in pushed if due[p]} == {p for p, amount in enumerate(due) if amount >= threshold}


def test_a_threshold_of_nothing_is_refused():
    with pytest.raises(PayoutTreeRefusal):
        push_ranges([1], threshold=0, most=1)
