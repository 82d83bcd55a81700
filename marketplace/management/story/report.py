"""What `var/demo/report.json` must hold. Programs read it, so a report that lacks something is refused, not written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provenance.core.refusal import Refusal

FIELDS: dict[str, tuple[str, ...]] = {
    "datasets": ("id", "manifest_sha256", "package_root_cid", "kind", "files", "bytes", "tx"),
    "copy_refused": ("kind", "share", "matched_dataset"),
    "license": ("id", "tx", "price", "fee"),
    "download": ("files", "bytes", "sha256_ok", "cid_ok", "seconds"),
    "usage": ("unit", "quantity", "amount"),
    "settlement": ("epoch", "root", "digest", "cid", "tx", "lines"),
    "payouts": ("payee", "dataset", "reason", "amount", "tx", "balance_on_chain"),
    "verification": ("step", "result"),
    "log": ("checkpoint", "vkey"),
    "rebuilt": ("datasets", "licenses", "payouts", "log"),
}
AMOUNTS = frozenset({"price", "fee", "amount", "balance_on_chain"})
WHOLE = ("bundle", "gas", "seconds")


class ReportRefusal(Refusal):
    """The story's report does not say what it must say."""


def check_report(report: Mapping[str, Any]) -> None:
    """Refuse a report that lacks a field, or whose amounts are no decimal strings. Raises ReportRefusal."""
    for section in (*FIELDS, *WHOLE):
        if not report.get(section):
            raise ReportRefusal("report.section", f"The report says nothing about {section}.", limit=section)
    for section, names in FIELDS.items():
        rows = report[section] if isinstance(report[section], list) else [report[section]]
        for row in rows:
            _check_row(section, names, row)


def _check_row(section: str, names: tuple[str, ...], row: Mapping[str, Any]) -> None:
    for name in names:
        value = row.get(name)
        if value is None or value == "":
            raise ReportRefusal("report.field", f"A row of {section} lacks {name}.", actual=str(row)[:200])
        if name in AMOUNTS and not (isinstance(value, str) and value.isdecimal()):
            raise ReportRefusal(
                "report.amount", f"An amount in {section} is no decimal string.", actual=f"{name}: {value!r}"
            )
