"""Reporting use: the report is private, its digest is logged, and what it costs follows from the frozen terms.

1. What a report adds to the amount owed is its cost. Minimums are due without it and are nobody's spending.
2. A report that costs nothing enters at once, whoever sends it.
3. A member or key with a limit spends at most the limit on the use of one license, in however many reports; what goes
   beyond it, and whatever costs of a member who needs approval, waits. It is not refused: the use has happened.
4. A report that waits counts for nothing and is logged nowhere until somebody who may spend as much lets it enter.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction
from django.db.models import Sum

from marketplace import idempotency, market_calls
from marketplace.actions.vouchers import make_voucher
from marketplace.core.terms import Terms, Use
from marketplace.core.voucher import Owed, Subject, UsageRefusal, UsageReport, check_report, in_force, reports_root
from marketplace.models import LicenseRow
from marketplace.models import UsageReport as ReportRow
from marketplace.queries.actors import Act, Actor
from marketplace.queries.metering import last_voucher, license_terms, owed_for, reported
from marketplace.queries.orders import own_license, own_report
from provenance.core.canonical import Json, document_bytes, parse_canonical
from provenance.core.digest import Sha256

State = ReportRow.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was used: dates of the period (both included), the use, and single records, tokens, runs or bytes.

    `corrects` is the digest of the report that this one replaces.
    """

    version: int
    first: date
    last: date
    use: Use
    quantity: int
    model: Subject
    run: Subject
    corrects: str = ""

    def to_json(self) -> list[Json]:
        """Return what must be equal for a retry to be a retry."""
        return [
            self.version, self.first.isoformat(), self.last.isoformat(), self.use.value, str(self.quantity),
            self.model.to_document(), self.run.to_document(), self.corrects,
        ]  # fmt: skip


def report_usage(*, by: Actor, license_id: str, key: str, used: Usage, now: datetime) -> ReportRow:
    """Report use of a license (CAIP-19), also where the rate is zero. The same key and request is the same report.

    What it adds to the license's cumulative amount is held and charged, or waits for approval where that is more than
    `by` may spend; a report is never refused for want of money.
    Raises AccessRefusal, UsageRefusal, IdempotencyRefusal.
    """
    by.require(Act.USE)
    own_license(by.account, license_id)

    def effect() -> tuple[int, dict[str, Json]]:
        return 201, {"report": _report(by, license_id, key, used, now).pk}

    outcome = idempotency.once(
        account=by.account.pk, key=key, request=["usage", license_id, used.to_json()], effect=effect, now=now
    )
    return ReportRow.objects.get(pk=str(outcome.response["report"]))


def approve_report(*, by: Actor, report: str, now: datetime) -> ReportRow:
    """Let a report (its digest) that waits enter, and be charged. Raises AccessRefusal, UsageRefusal."""
    by.require(Act.APPROVE)
    by.require_person()
    found = own_report(by.account, report)
    if found.reported_by_id == by.membership.pk and _must_wait(by, found.license, found.cost):
        raise UsageRefusal(
            "usage.own_approval", "Somebody else has to approve your report.", todo="Ask an owner or finance."
        )
    with transaction.atomic():
        license_row = LicenseRow.objects.select_for_update().get(pk=found.license)
        if ReportRow.objects.filter(pk=report, state=State.APPROVAL).update(approved_by=by.membership) != 1:
            raise _not_waiting(found)
        _enter(found, license_row, UsageReport.from_document(parse_canonical(bytes(found.document))), now)
    return own_report(by.account, report)


def decline_report(*, by: Actor, report: str, cause: str = "") -> ReportRow:
    """Decline a report that waits; whoever sent it may take it back. Raises AccessRefusal, UsageRefusal."""
    found = own_report(by.account, report)
    if found.reported_by_id != by.membership.pk:
        by.require(Act.APPROVE)
        by.require_person()
    waiting = ReportRow.objects.filter(pk=report, state=State.APPROVAL)
    if waiting.update(state=State.DECLINED, cause=cause[:500]) != 1:
        raise _not_waiting(found)
    return own_report(by.account, report)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a report would add to the amount owed, minimums that are due included; whether it would wait."""

    amount: int
    waits: bool


def preview_usage(*, by: Actor, license_id: str, used: Usage, now: datetime) -> Preview:
    """Return what a report would come to; refuses what `report_usage` refuses."""
    by.require(Act.USE)
    row = own_license(by.account, license_id)
    terms = license_terms(row)
    report = _checked_report(row, terms, used)
    before, after = _owed(row, terms, report, now)
    last = last_voucher(license_id)
    return Preview(
        amount=after.amount - (0 if last is None else last.cumulative_amount),
        waits=_must_wait(by, license_id, after.amount - before.amount),
    )


@transaction.atomic
def _report(by: Actor, license_id: str, key: str, used: Usage, now: datetime) -> ReportRow:
    # One report of a license at a time: sequence numbers and cumulative figures follow from those before it.
    license_row = LicenseRow.objects.select_for_update().get(pk=license_id)
    terms = license_terms(license_row)
    report = _checked_report(license_row, terms, used)
    before, after = _owed(license_row, terms, report, now)
    row = ReportRow.objects.create(
        digest=report.digest.hex,
        account=by.account,
        license=license_id,
        dataset=license_row.dataset,
        state=State.APPROVAL,
        document=document_bytes(report.to_document()),
        version=report.version,
        period_from=used.first,
        period_to=used.last,
        use=report.use.value,
        unit="" if report.unit is None else report.unit.value,
        quantity=report.quantity,
        corrects=used.corrects,
        cost=after.amount - before.amount,
        reported_by=by.membership,
        cumulative_units=before.units,
        cumulative_amount=before.amount,
        idempotency_key=key,
        created=now,
    )
    if not _must_wait(by, license_id, row.cost):
        _enter(row, license_row, report, now)
        row.refresh_from_db()
    return row


def _enter(row: ReportRow, license_row: LicenseRow, report: UsageReport, now: datetime) -> None:
    """Let a report count, be logged and be charged; call it with the license's row locked."""
    reports = [*reported(row.license), report]
    in_force(reports)
    owed = owed_for(license_row, license_terms(license_row).rate, reports, now=now)
    root = reports_root([each.digest for each in reports]).hex()
    moved = ReportRow.objects.filter(pk=row.pk, state=State.APPROVAL).update(
        state=State.ENTERED, sequence=len(reports), cumulative_units=owed.units, cumulative_amount=owed.amount,
        reports_root=root,
    )  # fmt: skip
    if moved != 1:
        raise _not_waiting(row)
    if row.corrects:
        ReportRow.objects.filter(pk=row.corrects).update(corrected=True)
    make_voucher(license_row, owed, root, now=now)
    market_calls.state_fact(
        type="usage.corrected" if row.corrects else "usage.reported",
        subject=row.license,
        unique=row.digest,
        body={
            "report": row.digest,
            "unit": row.unit or None,
            "quantity": str(row.quantity),
            "cumulative_amount": str(owed.amount),
            "reports_root": root,
        },
        now=now,
    )


def _owed(row: LicenseRow, terms: Terms, report: UsageReport, now: datetime) -> tuple[Owed, Owed]:
    """Return what is owed without a report and with it (step 1). Raises UsageRefusal."""
    before = reported(row.pk)
    in_force([*before, report])
    if report.corrects and ReportRow.objects.filter(corrects=report.corrects.hex, state=State.APPROVAL).exists():
        raise UsageRefusal(
            "usage.corrected_twice", "A correction of this report waits for approval.", actual=report.corrects.hex,
            todo="Have it approved or declined first.",
        )  # fmt: skip
    return (
        owed_for(row, terms.rate, before, now=now),
        owed_for(row, terms.rate, [*before, report], now=now),
    )


def _must_wait(by: Actor, license_id: str, cost: int) -> bool:
    """Say whether somebody has to approve that `by` spends `cost` on the use of a license (steps 2 and 3)."""
    if not cost:
        return False
    if by.needs_approval or by.spend_limit is None:
        return by.needs_approval
    own = ReportRow.objects.filter(license=license_id, reported_by=by.membership, approved_by=None, state=State.ENTERED)
    return cost + (own.aggregate(spent=Sum("cost"))["spent"] or 0) > by.spend_limit


def _not_waiting(row: ReportRow) -> UsageRefusal:
    return UsageRefusal(
        "usage.state", "The report does not wait for approval.", limit=str(State.APPROVAL), actual=str(row.state),
        todo="Look at the license's page for what became of it.",
    )  # fmt: skip


def _checked_report(row: LicenseRow, terms: Terms, used: Usage) -> UsageReport:
    if used.first < row.start.date():
        raise UsageRefusal(
            "usage.before_license", "The period begins before the license.",
            limit=row.start.date().isoformat(), actual=used.first.isoformat(),
        )  # fmt: skip
    report = UsageReport(
        license=row.pk,
        version=used.version,
        first=used.first.isoformat(),
        last=used.last.isoformat(),
        use=used.use,
        unit=None if terms.rate is None else terms.rate.unit,
        quantity=used.quantity,
        model=used.model,
        run=used.run,
        salt=secrets.token_hex(16),
        corrects=Sha256.from_hex(used.corrects) if used.corrects else None,
    )
    check_report(report, uses=terms.uses, rate=terms.rate, version=None if terms.all_versions else row.version)
    return report
