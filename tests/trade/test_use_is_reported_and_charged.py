"""Usage: reports, cumulative vouchers, deposits and charges on a real chain; also without a price, and corrections."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from marketplace import journal
from marketplace.actions.usage import Usage, report_usage
from marketplace.actions.vouchers import charge_minimums, retry_voucher
from marketplace.core.terms import Rate, RateUnit, Use
from marketplace.core.voucher import Subject, UsageRefusal
from marketplace.idempotency import IdempotencyRefusal
from marketplace.models import LicenseRow, UsageReport, VoucherRow
from marketplace.queries.actors import AccessRefusal
from provenance.models import IntakeStatement, Intent
from tests.trade.register import Register, terms

pytestmark = pytest.mark.django_db
RATE = Rate(RateUnit.RECORDS_1000, price=2_000_000, allowance=1)


def used(register: Register, quantity: int = 5_000, **changes: Any) -> Usage:
    day = register.now.date()
    fields = {
        "version": 1, "first": day, "last": day, "use": Use.FINE_TUNE, "quantity": quantity,
        "model": Subject(id="faces-7b"), "run": Subject(commitment="ab" * 32),
    }  # fmt: skip
    return Usage(**{**fields, **changes})


def licensed(register: Register, ada, cleo, *, rate: Rate | None = RATE) -> str:
    listing = register.publish(ada, price=1_000_000, with_terms=terms(rate=rate, report_use=rate is not None))
    return register.buy_funded(cleo, listing).license


def test_a_report_becomes_a_charge_of_exactly_what_the_terms_say(register: Register, ada, cleo):
    license_id = licensed(register, ada, cleo)
    before = register.balance(cleo).available
    report = report_usage(by=cleo, license_id=license_id, key="r1", used=used(register), now=register.now)
    # 5,000 records less an allowance of 1,000, at 2.00 per 1,000
    assert (report.cumulative_units, report.cumulative_amount) == (5_000, 8_000_000)
    assert register.balance(cleo).held == 8_000_000
    register.run()
    voucher = VoucherRow.objects.get()
    assert voucher.state == VoucherRow.State.CHARGED, voucher.cause
    assert LicenseRow.objects.get().charged == 8_000_000
    assert register.balance(cleo) == journal.Balance(available=before - 8_000_000, held=0)
    said = IntakeStatement.objects.get(type="usage.reported")
    assert report.digest in said.statement
    assert "faces-7b" not in said.statement, "the log holds the digest only"
    register.check_books()


def test_the_next_voucher_charges_only_what_was_added(register: Register, ada, cleo):
    license_id = licensed(register, ada, cleo)
    for number in range(3):
        report_usage(by=cleo, license_id=license_id, key=f"r{number}", used=used(register, 1_500), now=register.now)
    register.run()
    assert VoucherRow.objects.get(sequence=3).state == VoucherRow.State.CHARGED
    assert {row.state for row in VoucherRow.objects.filter(sequence__lt=3)} <= {
        VoucherRow.State.SUPERSEDED,
        VoucherRow.State.CHARGED,
    }
    assert LicenseRow.objects.get().charged == 7_000_000, "4,500 less 1,000, at 2.00 per 1,000: never rounded up"
    assert register.balance(cleo).held == 0
    register.check_books()


def test_a_free_rate_is_reported_all_the_same(register: Register, ada, cleo):
    license_id = licensed(register, ada, cleo, rate=None)
    report = report_usage(by=cleo, license_id=license_id, key="r1", used=used(register), now=register.now)
    assert (report.unit, report.quantity, report.cumulative_amount) == ("", 5_000, 0)
    assert VoucherRow.objects.get().state == VoucherRow.State.RECORDED
    assert IntakeStatement.objects.filter(type="usage.reported").count() == 1
    register.run()
    assert not Intent.objects.filter(kind="market.charge").exists()


def test_a_correction_replaces_a_report_and_never_lowers_what_was_signed(register: Register, ada, cleo):
    license_id = licensed(register, ada, cleo)
    first = report_usage(by=cleo, license_id=license_id, key="r1", used=used(register, 9_000), now=register.now)
    register.run()
    fixed = used(register, 3_000, corrects=first.digest)
    second = report_usage(by=cleo, license_id=license_id, key="r2", used=fixed, now=register.now)
    assert (second.cumulative_units, second.cumulative_amount) == (9_000, 16_000_000)
    assert UsageReport.objects.get(pk=first.digest).corrected
    assert IntakeStatement.objects.filter(type="usage.corrected").count() == 1
    with pytest.raises(UsageRefusal) as refused:
        report_usage(by=cleo, license_id=license_id, key="r3", used=fixed, now=register.now)
    assert refused.value.code == "usage.corrected_twice"
    third = report_usage(by=cleo, license_id=license_id, key="r4", used=used(register, 7_000), now=register.now)
    assert third.cumulative_amount == 18_000_000, "what the correction took back is credited: 10,000 in all"


def test_a_report_without_money_stands_and_is_charged_when_there_is_money(register: Register, ada, cleo):
    license_id = licensed(register, ada, cleo)
    left = register.balance(cleo).available
    journal.move(
        source=journal.available(cleo.account.pk), target=journal.OUTSIDE, token=register.token, amount=left - 1,
        effect="spent", now=register.now,
    )  # fmt: skip
    report = report_usage(by=cleo, license_id=license_id, key="r1", used=used(register), now=register.now)
    assert report.cumulative_amount == 8_000_000
    voucher = VoucherRow.objects.get()
    assert voucher.state == VoucherRow.State.UNFUNDED
    assert "balance" in voucher.cause
    journal.move(
        source=journal.OUTSIDE, target=journal.available(cleo.account.pk), token=register.token, amount=left - 1,
        effect="returned", now=register.now,
    )  # fmt: skip
    register.run()
    voucher.refresh_from_db()
    assert voucher.state == VoucherRow.State.CHARGED, voucher.cause
    register.check_books()


def test_the_same_key_is_the_same_report(register: Register, ada, cleo):
    license_id = licensed(register, ada, cleo)
    said = used(register)
    first = report_usage(by=cleo, license_id=license_id, key="r1", used=said, now=register.now)
    again = report_usage(by=cleo, license_id=license_id, key="r1", used=said, now=register.now)
    assert first.pk == again.pk
    with pytest.raises(IdempotencyRefusal):
        report_usage(by=cleo, license_id=license_id, key="r1", used=used(register, 6_000), now=register.now)
    assert VoucherRow.objects.count() == 1


def test_what_the_license_does_not_grant_cannot_be_reported(register: Register, ada, cleo, mallory):
    license_id = licensed(register, ada, cleo)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"use": Use.PRETRAIN}, "usage.use_not_granted"),
        ({"version": 2}, "usage.version_not_covered"),
        ({"first": date(2020, 1, 1)}, "usage.before_license"),
        ({"last": register.now.date() - timedelta(days=1)}, "usage.period"),
        ({"corrects": "ab" * 32}, "usage.corrects_unknown"),
    ]
    for number, (change, code) in enumerate(cases):
        with pytest.raises(UsageRefusal) as refused:
            report_usage(
                by=cleo, license_id=license_id, key=f"c{number}", used=used(register, **change), now=register.now
            )
        assert refused.value.code == code
    with pytest.raises(AccessRefusal):
        report_usage(by=mallory, license_id=license_id, key="m", used=used(register), now=register.now)
    assert not UsageReport.objects.exists()


def test_a_minimum_is_owed_for_each_closed_epoch(register: Register, ada, cleo):
    rate = Rate(RateUnit.RUN, price=1_000_000, minimum=300_000, cap=900_000)
    license_id = licensed(register, ada, cleo, rate=rate)
    begin = LicenseRow.objects.get().start.timestamp() // 60 * 60
    first, second = (datetime.fromtimestamp(begin + 60 * epochs + 1, tz=UTC) for epochs in (0, 2))
    assert charge_minimums(now=first) == 0
    assert charge_minimums(now=second) == 1
    assert charge_minimums(now=second) == 0
    assert VoucherRow.objects.get(license=license_id).cumulative_amount == 600_000
    assert charge_minimums(now=second + timedelta(hours=1)) == 1
    assert VoucherRow.objects.order_by("-sequence")[0].cumulative_amount == 900_000, "the cap"


def test_a_charge_that_failed_is_tried_again_without_a_second_deposit(register: Register, ada, cleo):
    license_id = licensed(register, ada, cleo)
    report_usage(by=cleo, license_id=license_id, key="r1", used=used(register), now=register.now)
    register.work()
    register.sign()
    register.work()
    voucher = VoucherRow.objects.get()
    good = voucher.signature
    VoucherRow.objects.update(signature="0x" + "11" * 64 + "1b")
    register.run()
    voucher.refresh_from_db()
    assert voucher.state == VoucherRow.State.FAILED
    assert "UsageBadSignature" in voucher.cause
    VoucherRow.objects.update(signature=good)
    retry_voucher(by=cleo, license_id=license_id, sequence=1, now=register.now)
    register.run()
    voucher.refresh_from_db()
    assert voucher.state == VoucherRow.State.CHARGED, voucher.cause
    assert Intent.objects.filter(kind="market.deposit").count() == 1
    register.check_books()
