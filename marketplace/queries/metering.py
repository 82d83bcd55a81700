"""What a license's reported use comes to: reports in order, epochs, what is owed, what the licensee signs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from django.conf import settings

from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.offer import market_domain
from marketplace.core.terms import Rate, Terms
from marketplace.core.voucher import EpochUse, Owed, UsageRefusal, UsageReport, Voucher, in_force, next_owed
from marketplace.journal import AMOUNT_LIMIT
from marketplace.models import LicenseRow, VoucherRow
from marketplace.models import UsageReport as ReportRow
from marketplace.queries.deployments import deployment_of
from marketplace.queries.lineage import terms_by_digest
from provenance.core.canonical import parse_canonical
from provenance.core.digest import Sha256
from provenance.core.typed_data import TypedData
from provenance.models import Deployment


def license_terms(row: LicenseRow) -> Terms:
    """Return the terms frozen in a license. Raises UsageRefusal when nobody gave them to this register."""
    terms = terms_by_digest(row.terms)
    if terms is None:
        raise UsageRefusal(
            "usage.terms_unknown", "The terms of this license are not known here.", actual=row.terms,
            todo="Give the terms document to this register first.",
        )  # fmt: skip
    return terms


def reported(license_id: str) -> list[UsageReport]:
    """Return the reports of a license that have entered, in the order in which they did."""
    rows = ReportRow.objects.filter(license=license_id, state=ReportRow.State.ENTERED).order_by("sequence")
    return [UsageReport.from_document(parse_canonical(bytes(row.document))) for row in rows]


def last_voucher(license_id: str) -> VoucherRow | None:
    """Return the latest voucher of a license, whatever became of it."""
    return VoucherRow.objects.filter(license=license_id).order_by("-sequence").first()


def owed_for(row: LicenseRow, rate: Rate | None, reports: Sequence[UsageReport], *, now: datetime) -> Owed:
    """Return the cumulative units and amount that the reports lead to; without a rate, units only.

    Raises UsageRefusal for what the journal, which keeps signed 64 bits, cannot hold.
    """
    counting = in_force(reports)
    if rate is None:
        owed = Owed(sum(report.quantity for report in counting), 0)
    else:
        last = last_voucher(row.pk)
        before = Owed() if last is None else Owed(last.cumulative_units, last.cumulative_amount)
        owed = next_owed(before, rate, epochs_of(row, rate, counting, now=now))
    if max(owed.units, owed.amount) > AMOUNT_LIMIT:
        raise UsageRefusal(
            "usage.overflow", "The license's use is more than the journal can book.", limit=str(AMOUNT_LIMIT),
            actual=str(max(owed.units, owed.amount)), todo="Report less at a time, or correct an earlier report.",
        )  # fmt: skip
    return owed


def epochs_of(row: LicenseRow, rate: Rate, reports: Iterable[UsageReport], *, now: datetime) -> list[EpochUse]:
    """Return the epochs of the license's life so far: use counts in the epoch in which its period ended.

    Epochs here are fixed stretches of `CADASTRE_EPOCH_SECONDS` since 1970, so that a minimum can be computed before
    any settlement. The one that is running is not closed.
    """
    length = settings.CADASTRE_EPOCH_SECONDS
    first, current = int(row.start.timestamp()) // length, int(now.timestamp()) // length
    last = current if row.end is None else min(current, int(row.end.timestamp()) // length)
    quantities: dict[int, int] = {}
    for report in reports:
        ended = datetime.combine(date.fromisoformat(report.last), datetime.max.time(), tzinfo=UTC)
        epoch = min(max(int(ended.timestamp()) // length, first), current)
        quantities[epoch] = quantities.get(epoch, 0) + report.quantity
    # Without a minimum an epoch without use owes nothing, and there may be millions of short ones.
    listed = range(first, last + 1) if rate.minimum else ()
    return [
        EpochUse(epoch, quantities.get(epoch, 0), closed=epoch < current) for epoch in sorted({*quantities, *listed})
    ]


def license_deployment(license_id: str) -> Deployment:
    """Return the deployment whose market sold a license (CAIP-19)."""
    return deployment_of(AssetName.parse(license_id, AssetKind.LICENSE))


def voucher_typed_data(row: VoucherRow) -> TypedData:
    """Return what the licensee signs."""
    name = AssetName.parse(row.license, AssetKind.LICENSE)
    voucher = Voucher(name.number or 0, row.cumulative_units, row.cumulative_amount, bytes.fromhex(row.reports_root))
    return voucher.typed_data(market_domain(name.chain, name.contract))


def deposit_reference(row: VoucherRow) -> bytes:
    """Return the 32 bytes that tie a deposit to the voucher it pays for, and to the try."""
    return Sha256.of(f"cadastre.deposit/1:{row.license}:{row.sequence}:{row.attempt}".encode()).raw
