"""Use costs money, too: who may spend little cannot spend more by reporting it, and what was used is not lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.actions.accounts import create_organization
from marketplace.actions.usage import approve_report, decline_report, preview_usage, report_usage
from marketplace.core.voucher import UsageRefusal
from marketplace.models import Membership, UsageReport, VoucherRow
from marketplace.queries.actors import AccessRefusal, Actor, actor_of_user
from marketplace.queries.catalog import usage_of_datasets
from provenance.models import IntakeStatement
from tests.trade.conftest import NOW
from tests.trade.register import Register
from tests.trade.test_orders_know_limits_and_races import member
from tests.trade.test_use_is_reported_and_charged import licensed, used

pytestmark = pytest.mark.django_db
Role = Membership.Role
State = UsageReport.State
# 2.00 per 1,000 records; the first 1,000 are free.
LIMIT = 8_000_000


@pytest.fixture
def lab(cleo: Actor) -> Actor:
    create_organization(by=cleo.membership.user, slug="lab", display_name="The Lab", now=NOW)
    return actor_of_user(cleo.membership.user, "lab")


@pytest.fixture
def license_id(register: Register, ada: Actor, lab: Actor) -> str:
    return licensed(register, ada, lab)


def report(register: Register, by: Actor, license_id: str, key: str, quantity: int, **changes: str) -> UsageReport:
    return report_usage(
        by=by, license_id=license_id, key=key, used=used(register, quantity, **changes), now=register.now
    )


def test_many_small_reports_spend_no_more_than_one_large_one(register: Register, lab: Actor, license_id: str) -> None:
    buyer = member(lab, "Ben", Role.BUYER, spend_limit=LIMIT)
    states = [report(register, buyer, license_id, f"r{number}", 2_000).state for number in range(4)]
    assert states == [State.ENTERED, State.ENTERED, State.APPROVAL, State.APPROVAL], "2.00, 6.00, then 10.00"
    assert VoucherRow.objects.order_by("-sequence")[0].cumulative_amount == 6_000_000
    assert IntakeStatement.objects.filter(type="usage.reported").count() == 2
    key = replace(buyer, spend_limit=1)
    assert report(register, key, license_id, "k", 2_000).state == State.APPROVAL, "a key of theirs with a lower limit"
    assert report(register, lab, license_id, "o", 2_000).state == State.ENTERED, "who has no limit"
    assert report(register, buyer, license_id, "f", 0).state == State.ENTERED, "what costs nothing never waits"


def test_what_waits_counts_for_nothing_until_somebody_lets_it_enter(
    register: Register, ada: Actor, lab: Actor, license_id: str
) -> None:
    buyer = member(lab, "Ben", Role.BUYER, spend_limit=LIMIT)
    finance = member(lab, "Dora", Role.FINANCE)
    assert not preview_usage(by=buyer, license_id=license_id, used=used(register, 5_000), now=register.now).waits
    wanted = used(register, 6_000)
    assert preview_usage(by=buyer, license_id=license_id, used=wanted, now=register.now).waits
    waiting = report(register, buyer, license_id, "r1", 6_000)
    assert (waiting.state, waiting.sequence, waiting.cost) == (State.APPROVAL, None, 10_000_000)
    assert report(register, buyer, license_id, "r1", 6_000).pk == waiting.pk, "a retry is the same report"
    assert not VoucherRow.objects.exists()
    assert not usage_of_datasets(ada.account).exists(), "the owner of the data sees it when it counts"
    first = report(register, lab, license_id, "r2", 1_000)
    entered = approve_report(by=finance, report=waiting.pk, now=register.now)
    assert (first.sequence, entered.sequence) == (1, 2), "in the order in which they entered"
    assert (entered.cumulative_units, entered.cumulative_amount) == (7_000, 12_000_000)
    assert entered.approved_by == finance.membership
    assert report(register, buyer, license_id, "r3", 4_000).state == State.ENTERED, "what others approved is not theirs"
    with pytest.raises(UsageRefusal) as refused:
        approve_report(by=finance, report=waiting.pk, now=register.now)
    assert refused.value.code == "usage.state"
    register.run()
    assert VoucherRow.objects.get(sequence=3).state == VoucherRow.State.CHARGED
    register.check_books()


def test_who_needs_approval_asks_somebody_else(register: Register, lab: Actor, license_id: str, mallory: Actor) -> None:
    buyer = member(lab, "Ben", Role.BUYER, needs_approval=True)
    waiting = report(register, buyer, license_id, "r1", 2_000)
    assert waiting.state == State.APPROVAL
    with pytest.raises(AccessRefusal) as role:
        approve_report(by=buyer, report=waiting.pk, now=register.now)
    assert role.value.code == "access.role"
    with pytest.raises(AccessRefusal) as stranger:
        approve_report(by=mallory, report=waiting.pk, now=register.now)
    assert stranger.value.code == "usage_report.not_found"
    limited = replace(lab, spend_limit=1)
    own = report(register, limited, license_id, "r2", 2_000)
    with pytest.raises(UsageRefusal) as refused:
        approve_report(by=limited, report=own.pk, now=register.now)
    assert refused.value.code == "usage.own_approval"
    assert approve_report(by=lab, report=own.pk, now=register.now).state == State.ENTERED, "what only their key may not"


def test_a_declined_report_leaves_room_for_another_correction(register: Register, lab: Actor, license_id: str) -> None:
    buyer = member(lab, "Ben", Role.BUYER, spend_limit=LIMIT)
    other = member(lab, "Noor", Role.BUYER)
    first = report(register, buyer, license_id, "r1", 2_000)
    fixed = report(register, buyer, license_id, "r2", 9_000, corrects=first.pk)
    assert fixed.state == State.APPROVAL
    first.refresh_from_db()
    assert not first.corrected
    with pytest.raises(UsageRefusal) as twice:
        report(register, lab, license_id, "r3", 3_000, corrects=first.pk)
    assert twice.value.code == "usage.corrected_twice"
    with pytest.raises(AccessRefusal):
        decline_report(by=other, report=fixed.pk)
    taken_back = decline_report(by=buyer, report=fixed.pk, cause="A typo.")
    assert (taken_back.state, taken_back.cause) == (State.DECLINED, "A typo.")
    assert report(register, lab, license_id, "r4", 3_000, corrects=first.pk).cumulative_amount == 4_000_000
    with pytest.raises(UsageRefusal) as late:
        approve_report(by=lab, report=fixed.pk, now=register.now)
    assert late.value.code == "usage.state"
