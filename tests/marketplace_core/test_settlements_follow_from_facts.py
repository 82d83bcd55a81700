import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.core.allocation import explain, missing_payees
from marketplace.core.facts import Facts, FactsRefusal, PayeeAdded, Register
from marketplace.core.settlement import SettlementRefusal, check_successor, first_difference, settle
from marketplace.core.settlement_documents import read_documents, write_documents
from marketplace.core.splits import Share, Splits
from provenance.core.refusal import Refusal
from provenance.core.typed_data import ZERO_ADDRESS
from tests.marketplace_core.books import (
    ADA_PAYEE,
    ADA_SHARES_WITH_DORA,
    BEN_PAYEE,
    DORA_PAYEE,
    FEE_PAYEE,
    BeneficiarySet,
    FreezeChanged,
    OwnerChanged,
    PayeeChanged,
    Refund,
    SplitsSet,
    amounts,
    charge,
    facts,
    next_epoch,
    purchase,
)
from tests.marketplace_core.cast import ADA, CLEO, DORA, MALLORY, TUSD, account, border
from tests.marketplace_core.worked import blocks


def test_the_worked_settlement_of_the_specification_holds():
    lines = [line.split() for line in blocks("settlement.md", "payments")[0].strip().splitlines()]
    payments = [purchase(int(number), int(dataset), int(price)) for _, number, dataset, price in lines]
    settlement = settle(facts(purchases=payments))
    expected = json.loads(blocks("settlement.md", "json")[0])
    assert [json.loads(line.encoded()) for line in settlement.allocations] == expected["allocations"]
    assert [json.loads(line.encoded()) for line in settlement.balances] == expected["balances"]
    assert "0x" + settlement.payout_tree().root.hex() == expected["root"]
    assert write_documents(settlement).digest.hex == expected["index_sha256"]


def test_a_sale_pays_the_owner_the_people_who_share_and_the_fee():
    settlement = settle(facts(purchases=[purchase(1, 1, 240_000_000)]))
    assert amounts(settlement) == {FEE_PAYEE: 6_000_000, ADA_PAYEE: 187_200_000, DORA_PAYEE: 46_800_000}
    assert settlement.totals.revenue == settlement.totals.cumulative == 240_000_000


def test_a_sale_of_a_derived_dataset_pays_up_the_lineage_and_then_the_ancestors_splits():
    settlement = settle(facts(purchases=[purchase(1, 2, 100_000_000)]))
    net = 97_500_000
    assert amounts(settlement) == {
        FEE_PAYEE: 2_500_000, ADA_PAYEE: net * 5 // 100 * 8 // 10, BEN_PAYEE: net * 95 // 100, DORA_PAYEE: net // 100,
    }  # fmt: skip


def test_tiny_payments_pay_ancestors_the_share_of_their_sum():
    tiny = settle(facts(purchases=[purchase(number, 2, 19, fee_bps=0) for number in range(1, 1_001)]))
    large = settle(facts(purchases=[purchase(1, 2, 19_000, fee_bps=0)]))
    assert amounts(tiny) == amounts(large)
    assert amounts(tiny)[ADA_PAYEE] == 760


def test_held_money_enters_once_its_hold_is_over():
    held = [purchase(1, 1, 100, block=10, hold=1_000)]  # until second 1,120
    with pytest.raises(SettlementRefusal, match="nothing to settle"):
        settle(facts(93, purchases=held))  # block 93 is second 1,116
    assert settle(facts(94, purchases=held)).totals.revenue == 100


def test_a_refunded_purchase_never_enters():
    bought = [purchase(1, 1, 100, hold=1_000), purchase(2, 1, 50)]
    settlement = settle(facts(purchases=bought, refunds=[Refund(20, 0, 1)]))
    assert [line.license for line in settlement.revenue] == [2]
    later = settle(facts(19, purchases=bought, refunds=[Refund(20, 0, 1)]))
    assert [line.license for line in later.revenue] == [2]


def test_a_refund_of_money_that_already_entered_is_refused_as_impossible():
    first = facts(50, purchases=[purchase(1, 1, 100)])
    with pytest.raises(FactsRefusal, match="refunded after its hold was over"):
        settle(next_epoch(first, 90, refunds=[Refund(60, 0, 1)]))


def test_a_frozen_dataset_waits_and_enters_after_it_was_unfrozen():
    frozen = FreezeChanged(20, 0, 1, frozen=True)
    bought = [purchase(1, 1, 100, fee_bps=0), purchase(2, 2, 1_000, fee_bps=0)]
    first = facts(50, purchases=bought, changes=[frozen])
    assert [line.license for line in settle(first).revenue] == [2]
    still = next_epoch(first, 60)
    assert settle(still).revenue == ()
    thawed = next_epoch(still, 80, changes=(*still.changes, FreezeChanged(70, 0, 1, frozen=False)))
    assert [line.license for line in settle(thawed).revenue] == [1]
    assert settle(next_epoch(thawed, 90)).revenue == ()


def test_what_was_used_enters_at_once_with_the_fee_of_its_license():
    settlement = settle(facts(purchases=[purchase(1, 1, 0)], charges=[charge(1, 50, 1_000, 1_000)]))
    assert [(line.kind, line.gross, line.fee) for line in settlement.revenue] == [("usage", 1_000, 25)]


def test_a_charge_without_units_is_a_minimum_and_the_rest_of_a_voucher_keeps_its_kind():
    charges = [
        charge(1, 50, 1_000, 400, log=100),
        charge(1, 50, 1_000, 600, log=101),
        charge(1, 50, 1_300, 100, log=102),
        charge(1, 50, 1_300, 200, log=103),
        charge(1, 60, 1_400, 100, log=104),
    ]
    settlement = settle(facts(purchases=[purchase(1, 1, 0)], charges=charges))
    assert [line.kind for line in settlement.revenue] == ["usage", "usage", "minimum", "minimum", "usage"]


def test_payments_in_another_token_belong_to_other_books():
    other = "0x" + "ee" * 20
    settlement = settle(facts(purchases=[purchase(1, 1, 100), purchase(2, 1, 999, token=other)]))
    assert settlement.totals.revenue == 100


def test_balances_are_cumulative_and_nobody_drops_out():
    first = facts(50, purchases=[purchase(1, 1, 1_000), purchase(2, 2, 1_000, block=60)])
    second = next_epoch(first, 90)
    earlier, later = settle(first), settle(second)
    check_successor(earlier, later)
    assert later.totals.cumulative == 2_000
    assert {line.payee for line in later.balances} == {1, 2, 3, 4}
    assert later.start == earlier.end


def test_splits_owner_and_beneficiary_count_as_they_stand_at_the_last_block():
    bought = [purchase(1, 1, 1_000, fee_bps=0)]
    assert amounts(settle(facts(purchases=bought, changes=[SplitsSet(30, 0, 1, None)]))) == {ADA_PAYEE: 1_000}
    assert amounts(settle(facts(29, purchases=bought, changes=[SplitsSet(30, 0, 1, None)]))) == {
        ADA_PAYEE: 800, DORA_PAYEE: 200,
    }  # fmt: skip
    sold = [OwnerChanged(30, 0, 1, DORA)]
    assert amounts(settle(facts(purchases=bought, changes=sold))) == {DORA_PAYEE: 1_000}


def test_a_dispute_reroutes_the_income_to_the_true_owner_also_as_an_ancestor():
    rerouted = [BeneficiarySet(30, 0, 1, BEN_PAYEE)]
    settlement = settle(
        facts(purchases=[purchase(1, 1, 1_000, fee_bps=0), purchase(2, 2, 1_000, fee_bps=0)], changes=rerouted)
    )
    assert amounts(settlement) == {BEN_PAYEE: 2_000}
    restored = [*rerouted, BeneficiarySet(31, 0, 1, 0)]
    assert ADA_PAYEE in amounts(settle(facts(purchases=[purchase(1, 1, 1_000)], changes=restored)))


def test_a_payee_that_moved_keeps_its_number_and_nobody_moves_it_back():
    moved = [PayeeChanged(30, 0, ADA_PAYEE, CLEO)]
    settlement = settle(facts(purchases=[purchase(1, 1, 1_000)], changes=moved))
    assert {line.account for line in settlement.balances if line.payee == ADA_PAYEE} == {account(CLEO)}
    again = [*moved, PayeeAdded(31, 0, 9, ADA)]
    assert 9 not in amounts(settle(facts(purchases=[purchase(1, 1, 1_000)], changes=again)))


def test_an_account_without_a_payee_number_is_named_so_that_anybody_can_enroll_it():
    stranger = Splits(account(ADA), (Share(account(MALLORY), 100, "editor"),), "22" * 16)
    given = facts(
        purchases=[purchase(1, 1, 1_000)],
        changes=[SplitsSet(30, 0, 1, stranger.digest)],
        splits={stranger.digest: stranger},
    )
    with pytest.raises(FactsRefusal) as refusal:
        settle(given)
    assert (refusal.value.code, refusal.value.actual) == ("facts.payee_missing", MALLORY)
    assert missing_payees(given, Register.at(100, given.changes), [2]) == (MALLORY,)
    assert missing_payees(facts(), Register.at(100, facts().changes), [1, 2]) == ()


@pytest.mark.parametrize("holder", [f"eip155:1:{DORA}", account(ZERO_ADDRESS)])
def test_a_share_that_can_never_be_paid_stays_with_the_owner_and_stops_nothing(holder):
    hostile = Splits(account(ADA), (Share(holder, 5_000, "nobody"),), "33" * 16)
    changes = [SplitsSet(30, 0, 1, hostile.digest)]
    given = facts(purchases=[purchase(1, 1, 1_000, fee_bps=0)], changes=changes, splits={hostile.digest: hostile})
    assert amounts(settle(given)) == {ADA_PAYEE: 1_000}


def test_a_splits_document_that_nobody_has_leaves_all_to_the_owner():
    assert amounts(settle(facts(purchases=[purchase(1, 1, 1_000, fee_bps=0)], splits={}))) == {ADA_PAYEE: 1_000}


def test_fees_without_a_payee_are_refused():
    changes = [change for change in facts().changes if type(change).__name__ != "FeePayeeSet"]
    with pytest.raises(FactsRefusal, match="no payee receives them"):
        settle(replace(facts(purchases=[purchase(1, 1, 1_000)]), changes=changes))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"purchases": [purchase(1, 1, 5), purchase(1, 1, 5)]}, "facts.license_twice"),
        ({"purchases": [purchase(1, 1, 5), replace(purchase(1, 1, 5), license=2)]}, "facts.event_twice"),
        ({"charges": [charge(9, 1, 1, 1)]}, "facts.license_unknown"),
        ({"purchases": [purchase(1, 7, 5)]}, "facts.dataset_unknown"),
        ({"balances": {99: 5}}, "facts.payee_unknown"),
    ],
)
def test_facts_that_contradict_each_other_are_refused_by_name(given, code):
    with pytest.raises(FactsRefusal) as refusal:
        settle(facts(**given))
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "change",
    [
        {"borders": (border(1),)}, {"borders": (border(5), border(5))}, {"epoch": 0},
        {"borders": (border(1), border(5, 100), border(9, 99)), "previous": ADA_SHARES_WITH_DORA.digest},
        {"borders": (border(1), border(5), border(9))}, {"previous": ADA_SHARES_WITH_DORA.digest},
    ],
)  # fmt: skip
def test_borders_out_of_order_are_refused(change):
    with pytest.raises(FactsRefusal):
        facts(**change)


def test_each_payment_is_explained_by_exact_fractions():
    settlement = settle(facts(purchases=[purchase(1, 2, 1_001), purchase(2, 2, 77), purchase(3, 1, 5)]))
    explained = [explain(line, settlement.allocations) for line in settlement.revenue]
    for line, parts in zip(settlement.revenue, explained, strict=True):
        assert sum(part for _, part in parts) == line.net
    for allocation in settlement.allocations:
        total = sum((part for parts in explained for found, part in parts if found is allocation), Fraction(0))
        assert total == allocation.amount


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_in_which_facts_arrive_changes_no_byte(order):
    bought = [purchase(number, 1 + number % 2, 1_000 + number, block=10 + number % 3) for number in range(1, 30)]
    shuffled = facts(purchases=bought[::order], charges=[charge(2, 5, 70, 70), charge(3, 5, 70, 70, log=101)][::order])
    shuffled = replace(shuffled, changes=shuffled.changes[::order])
    settled = facts(purchases=bought, charges=[charge(2, 5, 70, 70), charge(3, 5, 70, 70, log=101)])
    assert write_documents(settle(shuffled)) == write_documents(settle(settled))


@st.composite
def histories(draw):
    """Up to three epochs of purchases, refunds, charges and freezes, as the contracts could have emitted them."""
    ends = sorted(draw(st.sets(st.integers(20, 200), min_size=1, max_size=3)))
    purchases, refunds, charges, freezes = [], [], [], []
    for number in range(1, draw(st.integers(1, 8)) + 1):
        block = draw(st.integers(5, 200))
        hold = draw(st.sampled_from([0, 0, 120, 1_200]))
        bought = purchase(
            number, draw(st.integers(1, 2)), draw(st.integers(0, 10_000)), block, hold=hold,
            fee_bps=draw(st.sampled_from([0, 250, 500])),
        )  # fmt: skip
        purchases.append(bought)
        if hold and draw(st.booleans()):
            refunds.append(Refund(block + draw(st.integers(0, hold // 12 - 1)), 500 + number, number))
        units = signed = 0
        for step in range(draw(st.integers(0, 3))):
            units, moved = units + draw(st.integers(0, 9)), draw(st.integers(1, 500))
            signed += moved
            charges.append(charge(number, units, signed, moved, block=block + 5 * step, log=1_000 + 10 * number + step))
    for dataset in (1, 2):
        state = False
        for block in sorted(draw(st.sets(st.integers(5, 200), max_size=3))):
            state = not state
            freezes.append(FreezeChanged(block, 600 + dataset, dataset, frozen=state))
    return ends, purchases, refunds, charges, freezes


def settled_in_sequence(history):
    ends, purchases, refunds, charges, freezes = history
    current, done = None, []
    for end in ends:
        given = {"purchases": purchases, "refunds": refunds, "charges": charges}
        if current is None:
            current = facts(end, changes=freezes, **given)
        else:
            current = Facts(
                **{name: getattr(current, name) for name in ("deployment", "token", "changes", "splits")}, **given,
                epoch=current.epoch + 1, borders=(*current.borders, border(end)),
                previous=ADA_SHARES_WITH_DORA.digest,
                balances={line.payee: line.cumulative for line in done[-1].balances} if done else {},
            )  # fmt: skip
        try:
            done.append(settle(current))
        except SettlementRefusal as refusal:
            assert refusal.code == "settlement.empty"  # noqa: PT017
    return done


@settings(max_examples=150)
@given(histories())
def test_over_any_history_every_payment_enters_once_and_every_unit_is_owed_to_somebody(history):
    ends, purchases, refunds, charges, freezes = history
    done = settled_in_sequence(history)
    entered = [(line.block, line.log) for settlement in done for line in settlement.revenue]
    assert len(entered) == len(set(entered))
    for earlier, later in pairwise(done):
        check_successor(earlier, later)
    # An independent model: walk the borders and take what is ready, not refunded and not frozen.
    refunded = {refund.license: refund.block for refund in refunds}
    of_license = {bought.license: bought for bought in purchases}
    waiting = {(b.block, b.log): (b.price, b.dataset, b.held_until, b.license) for b in purchases if b.price}
    waiting |= {(c.block, c.log): (c.moved, of_license[c.license].dataset, 0, None) for c in charges}
    taken = set()
    for end in ends:
        for position, (_, dataset, until, number) in waiting.items():
            frozen = [change.frozen for change in freezes if change.dataset == dataset and change.block <= end]
            if (
                position[0] <= end
                and until <= end * 12
                and not (number in refunded and refunded[number] <= end)
                and not (frozen and frozen[-1])
            ):
                taken.add(position)
    assert set(entered) == taken
    owed = done[-1].totals.cumulative if done else 0
    assert owed == sum(waiting[position][0] for position in taken)


@settings(max_examples=50)
@given(histories())
def test_an_auditor_recomputes_the_same_documents_to_the_last_byte(history):
    for settlement in settled_in_sequence(history):
        documents = write_documents(settlement)
        published = read_documents(documents.index, documents.shards, digest=documents.digest)
        assert published == settlement
        assert first_difference(settlement, published) is None
        assert write_documents(published) == documents


def test_a_balance_that_would_go_down_is_refused():
    first = facts(50, purchases=[purchase(1, 1, 1_000)])
    earlier, later = settle(first), settle(next_epoch(first, 90))
    lowered = tuple(
        line._replace(cumulative=line.cumulative - 1) if line.payee == ADA_PAYEE else line for line in later.balances
    )
    with pytest.raises(SettlementRefusal, match="would go down"):
        check_successor(earlier, replace(later, balances=lowered))
    dropped = tuple(line for line in later.balances if line.payee != DORA_PAYEE)
    with pytest.raises(SettlementRefusal, match="would go down"):
        check_successor(earlier, replace(later, balances=dropped))
    raised = tuple(line._replace(cumulative=line.cumulative + 1) for line in later.balances)
    with pytest.raises(SettlementRefusal, match="add up"):
        check_successor(earlier, replace(later, balances=raised))


def test_a_settlement_that_leaves_a_gap_is_no_successor():
    first = facts(50, purchases=[purchase(1, 1, 1_000)])
    later = settle(next_epoch(first, 90))
    for change in ({"start": border(51)}, {"epoch": 1}, {"token": "0x" + "ee" * 20}):
        with pytest.raises(SettlementRefusal):
            check_successor(settle(first), replace(later, **change))


@pytest.mark.parametrize("field", ["revenue", "allocations", "balances"])
def test_lines_that_do_not_add_up_are_no_settlement(field):
    settlement = settle(facts(purchases=[purchase(1, 1, 1_000)]))
    with pytest.raises(Refusal):
        replace(settlement, **{field: getattr(settlement, field)[:-1]})


def test_the_token_of_a_settlement_is_named_by_caip_19():
    assert str(settle(facts(purchases=[purchase(1, 1, 5)])).token_name) == f"eip155:31337/erc20:{TUSD}"
