"""Reporting use: the report is private, its digest is logged, and what it costs follows from the frozen terms."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction

from marketplace import idempotency, market_calls
from marketplace.actions.vouchers import make_voucher
from marketplace.core.terms import Terms, Use
from marketplace.core.voucher import Owed, Subject, UsageRefusal, UsageReport, check_report, in_force, reports_root
from marketplace.models import LicenseRow
from marketplace.models import UsageReport as ReportRow
from marketplace.queries.actors import Act, Actor
from marketplace.queries.metering import last_voucher, license_terms, owed_for, reported
from marketplace.queries.orders import own_license
from provenance.core.canonical import Json, document_bytes
from provenance.core.digest import Sha256


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

    What it adds to the license's cumulative amount is held and charged; a report is never refused for want of money.
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


def preview_usage(*, by: Actor, license_id: str, used: Usage, now: datetime) -> Owed:
    """Return the units of a report and what it would add to the amount owed; refuses what `report_usage` refuses."""
    by.require(Act.USE)
    row = own_license(by.account, license_id)
    terms = license_terms(row)
    report = _checked_report(row, terms, used)
    reports = [*reported(license_id), report]
    in_force(reports)
    last = last_voucher(license_id)
    after = owed_for(row, terms.rate, reports, now=now)
    return Owed(report.quantity, after.amount - (0 if last is None else last.cumulative_amount))


@transaction.atomic
def _report(by: Actor, license_id: str, key: str, used: Usage, now: datetime) -> ReportRow:
    # One report of a license at a time: sequence numbers and cumulative figures follow from those before it.
    license_row = LicenseRow.objects.select_for_update().get(pk=license_id)
    terms = license_terms(license_row)
    report = _checked_report(license_row, terms, used)
    reports = [*reported(license_id), report]
    in_force(reports)
    owed = owed_for(license_row, terms.rate, reports, now=now)
    root = reports_root([each.digest for each in reports]).hex()
    unit = None if report.unit is None else report.unit.value
    row = ReportRow.objects.create(
        digest=report.digest.hex,
        account=by.account,
        license=license_id,
        dataset=license_row.dataset,
        sequence=len(reports),
        document=document_bytes(report.to_document()),
        version=report.version,
        period_from=used.first,
        period_to=used.last,
        use=report.use.value,
        unit=unit or "",
        quantity=report.quantity,
        corrects=used.corrects,
        cumulative_units=owed.units,
        cumulative_amount=owed.amount,
        reports_root=root,
        idempotency_key=key,
        created=now,
    )
    if used.corrects:
        ReportRow.objects.filter(pk=used.corrects).update(corrected=True)
    make_voucher(license_row, owed, root, now=now)
    market_calls.state_fact(
        type="usage.corrected" if used.corrects else "usage.reported",
        subject=license_id,
        unique=row.digest,
        body={
            "report": row.digest,
            "unit": unit,
            "quantity": str(report.quantity),
            "cumulative_amount": str(owed.amount),
            "reports_root": root,
        },
        now=now,
    )
    return row


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
