import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.splits import SHARES_LIMIT, Share, Splits, SplitsRefusal, divide_income
from provenance.core.refusal import Refusal
from tests.marketplace_core.cast import ADA, BEN, CLEO, account
from tests.marketplace_core.worked import blocks

NONCE = "00" * 16


def splits(*bps, owner=ADA):
    shares = [Share(account(f"0x{number + 1:040x}"), share, "photographer") for number, share in enumerate(bps)]
    return Splits(account(owner), tuple(shares), NONCE)


@pytest.mark.parametrize("block", blocks("royalties.md", "splits"))
def test_the_worked_split_of_the_specification_holds(block):
    given_line, expected_line = block.strip().splitlines()
    income = int(re.search(r"income (\d+)", given_line)[1])
    shares = [int(share) for share in re.search(r"shares ([\d ]+)", given_line)[1].split()]
    parts, kept = divide_income(income, splits(*shares))
    assert f"{' '.join(str(amount) for _, amount in parts)}, owner {kept}" == expected_line


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(1, 100), max_size=SHARES_LIMIT))
def test_every_unit_has_exactly_one_owner(income, shares):
    parts, kept = divide_income(income, splits(*shares))
    assert sum(amount for _, amount in parts) + kept == income
    assert kept >= 0


def test_a_document_is_read_back_as_it_was_written():
    document = splits(3_333, 2_500)
    assert Splits.from_document(document.to_document()) == document
    assert Splits.from_document(document.to_document()).digest == document.digest


def test_an_empty_list_of_shares_leaves_all_to_the_owner():
    assert divide_income(100, splits()) == ((), 100)
    assert splits().owner_bps == 10_000


@pytest.mark.parametrize(
    ("shares", "code"),
    [
        ([Share(account(BEN), 6_000, "x"), Share(account(CLEO), 4_001, "x")], "splits.over_100_percent"),
        ([Share(account(BEN), 10, "x"), Share(account(BEN), 10, "y")], "splits.twice"),
        ([Share(account(CLEO), 10, "x"), Share(account(BEN), 10, "x")], "splits.not_sorted"),
        ([Share(account(f"0x{number:040x}"), 1, "x") for number in range(101)], "splits.too_many"),
    ],
)
def test_shares_that_cannot_be_paid_are_refused_by_name(shares, code):
    with pytest.raises(SplitsRefusal) as refusal:
        Splits(account(ADA), tuple(shares), NONCE)
    assert refusal.value.code == code


def test_shares_of_exactly_100_percent_are_accepted():
    assert splits(6_000, 4_000).owner_bps == 0


@pytest.mark.parametrize("change", [{"bps": 0}, {"account": "0x12"}, {"role": ""}, {"bps": 10_001}])
def test_a_share_of_nothing_or_for_nobody_is_refused(change):
    with pytest.raises(Refusal):
        Share(**({"account": account(BEN), "bps": 10, "role": "x"} | change))


def test_a_document_with_an_unknown_key_is_refused():
    with pytest.raises(Refusal, match="unknown"):
        Splits.from_document({**splits().to_document(), "memo": "hello"})
