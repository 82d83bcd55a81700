import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.offer import market_domain
from marketplace.core.terms import Rate, RateUnit, Use
from marketplace.core.voucher import (
    EpochUse,
    Owed,
    Subject,
    UsageRefusal,
    UsageReport,
    check_report,
    in_force,
    make_voucher,
    metered,
    next_owed,
    owed,
    reports_root,
)
from provenance.core.refusal import Refusal
from tests.marketplace_core.cast import CHAIN, MARKET, digest, license_of

RATE = Rate(RateUnit.RECORDS_1000, price=500_000, allowance=10)


def report(number=1, **changes):
    return UsageReport(
        **(
            {
                "license": str(license_of(5)),
                "version": 1,
                "first": "2026-11-01",
                "last": "2026-11-30",
                "use": Use.PRETRAIN,
                "unit": RateUnit.RECORDS_1000,
                "quantity": 50_000,
                "model": Subject(id="llama-9"),
                "run": Subject(commitment="ab" * 32),
                "salt": f"{number:032x}",
            }
            | changes
        )
    )


def test_use_beyond_the_allowance_is_paid_per_thousand_records():
    # 60,000 records, 10,000 of them included: 50 × 0.50
    assert owed(RATE, [EpochUse(1, 60_000)]) == Owed(60_000, 25_000_000)


def test_use_within_the_allowance_costs_nothing():
    assert owed(RATE, [EpochUse(1, 10_000)]).amount == 0
    assert owed(RATE, [EpochUse(1, 10_001)]).amount == 500


def test_the_minimum_is_owed_for_each_closed_epoch_whether_used_or_not():
    rate = Rate(RateUnit.RUN, price=100, minimum=250)
    assert owed(rate, [EpochUse(1, 0), EpochUse(2, 5), EpochUse(3, 1)]).amount == 250 + 500 + 250
    assert owed(rate, [EpochUse(1, 0, closed=False)]).amount == 0
    assert owed(rate, [EpochUse(1, 1, closed=False)]).amount == 100


def test_the_cap_ends_all_payment():
    rate = Rate(RateUnit.RUN, price=100, minimum=250, cap=600)
    assert owed(rate, [EpochUse(1, 5), EpochUse(2, 5), EpochUse(3, 50)]).amount == 600


@given(
    st.integers(0, 10**6),
    st.integers(0, 5),
    st.lists(st.integers(0, 5_000), max_size=40),
)
def test_a_thousand_tiny_reports_cost_what_one_large_report_costs(price, allowance, quantities):
    rate = Rate(RateUnit.RECORDS_1000, price=price, allowance=allowance)
    tiny = [EpochUse(epoch, quantity) for epoch, quantity in enumerate(quantities, start=1)]
    assert owed(rate, tiny).amount == metered(rate, sum(quantities))


@given(
    st.integers(0, 10**4), st.integers(0, 5), st.integers(0, 500), st.none() | st.integers(500, 10**6),
    st.lists(st.integers(0, 5_000), min_size=1, max_size=12),
)  # fmt: skip
def test_what_is_owed_never_falls_as_epochs_go_by_and_never_passes_the_cap(price, allowance, minimum, cap, quantities):
    rate = Rate(RateUnit.RECORDS_1000, price, allowance, minimum, cap)
    epochs = [EpochUse(epoch, quantity) for epoch, quantity in enumerate(quantities, start=1)]
    amounts = [owed(rate, epochs[:count]).amount for count in range(len(epochs) + 1)]
    assert amounts == sorted(amounts)
    assert cap is None or amounts[-1] <= cap


def test_a_correction_downwards_is_credited_to_later_use_and_never_lowers_a_voucher():
    signed = owed(RATE, [EpochUse(1, 60_000)])
    corrected = next_owed(signed, RATE, [EpochUse(1, 30_000)])
    assert corrected == signed
    assert next_owed(signed, RATE, [EpochUse(1, 30_000), EpochUse(2, 40_000)]) == Owed(70_000, 30_000_000)


def test_epochs_out_of_order_are_refused():
    with pytest.raises(UsageRefusal, match="in order"):
        owed(RATE, [EpochUse(2, 1), EpochUse(2, 1)])


def test_use_that_does_not_fit_into_64_bits_is_refused():
    with pytest.raises(UsageRefusal, match="64 bits"):
        owed(Rate(RateUnit.RUN, price=2**40), [EpochUse(1, 2**40)])


def test_a_cap_below_the_minimum_is_refused():
    with pytest.raises(Refusal, match="cap"):
        Rate(RateUnit.RUN, price=1, minimum=10, cap=9)


def test_a_voucher_carries_cumulative_figures_and_the_root_over_all_reports():
    reports = [report(1).digest, report(2).digest]
    first = make_voucher(5, RATE, [EpochUse(1, 60_000)], reports[:1], None)
    second = make_voucher(5, RATE, [EpochUse(1, 120_000)], reports, first)
    assert (second.units, second.amount) == (120_000, 55_000_000)
    leaves = [hashlib.sha256(b"\0" + each.raw).digest() for each in reports]
    assert second.reports_root == hashlib.sha256(b"\1" + leaves[0] + leaves[1]).digest() == reports_root(reports)
    assert second.typed_data(market_domain(CHAIN, MARKET)).message["cumulativeAmount"] == 55_000_000


def test_a_voucher_that_adds_nothing_is_not_made():
    first = make_voucher(5, RATE, [EpochUse(1, 60_000)], [digest("r")], None)
    with pytest.raises(UsageRefusal, match="not signed before"):
        make_voucher(5, RATE, [EpochUse(1, 60_000)], [digest("r")], first)


def test_a_report_is_read_back_as_it_was_written():
    for each in (report(), report(unit=None, quantity=0, corrects=digest("r"), model=Subject(commitment="cd" * 32))):
        assert UsageReport.from_document(each.to_document()) == each


@pytest.mark.parametrize(
    "change",
    [
        {"first": "2026-12-01"}, {"first": "2026-02-30"}, {"first": "1.11.2026"}, {"version": 0}, {"salt": "x"},
        {"quantity": -1}, {"license": "5"},
    ],
)  # fmt: skip
def test_a_report_that_says_nothing_sensible_is_refused(change):
    with pytest.raises(Refusal):
        report(**change)


def test_a_model_has_either_an_id_or_a_commitment():
    for wrong in ({}, {"id": "a", "commitment": "ab" * 32}, {"id": ""}, {"commitment": "zz"}):
        with pytest.raises(Refusal):
            Subject(**wrong)


def test_a_report_of_a_use_that_was_not_bought_is_refused():
    check_report(report(), uses=frozenset({Use.PRETRAIN}), rate=RATE, version=1)
    for change in ({"uses": frozenset({Use.EVALUATE})}, {"rate": Rate(RateUnit.RUN, 1)}, {"version": 2}):
        with pytest.raises(UsageRefusal):
            check_report(report(), **({"uses": frozenset({Use.PRETRAIN}), "rate": RATE, "version": 1} | change))


def test_a_correction_replaces_the_report_that_it_names():
    first, other = report(1), report(2)
    correction = report(3, quantity=10, corrects=first.digest)
    assert in_force([first, other, correction]) == (other, correction)


def test_a_report_cannot_be_corrected_twice_nor_before_it_was_made():
    first = report(1)
    again = report(2, corrects=first.digest)
    with pytest.raises(UsageRefusal, match="corrected before"):
        in_force([first, again, report(3, corrects=first.digest)])
    with pytest.raises(UsageRefusal, match="does not come before"):
        in_force([again, first])
    with pytest.raises(UsageRefusal, match="twice"):
        in_force([first, first])
