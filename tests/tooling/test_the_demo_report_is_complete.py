"""`make demo` writes no report that lacks a field which programs read."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest

from marketplace.management.speaking import SpeakingCommand
from marketplace.management.story.report import FIELDS, WHOLE, ReportRefusal, check_report

TX = "0x" + "7c" * 32
REPORT: dict[str, Any] = {
    "datasets": [
        {"id": "1-2-3", "manifest_sha256": "ab" * 32, "package_root_cid": "bafy", "kind": "image", "files": 14,
         "bytes": 9, "tx": TX},
    ],
    "copy_refused": {"kind": "image", "share": "100 %", "matched_dataset": "1-2-3"},
    "license": {"id": "1-2-1", "tx": TX, "price": "90000000", "fee": "2250000"},
    "download": {"files": 15, "bytes": 8, "sha256_ok": True, "cid_ok": True, "seconds": 1.9},
    "usage": {"unit": "records-1000", "quantity": "25000", "amount": "20000000"},
    "settlement": {"epoch": 1, "root": "0x01", "digest": "cd" * 32, "cid": "bafk", "tx": TX, "lines": 9},
    "payouts": [
        {"payee": 1, "dataset": [], "reason": ["fee"], "amount": "8750000", "tx": TX, "balance_on_chain": "0"},
    ],
    "verification": [{"step": "bundle", "result": "pass", "detail": ""}],
    "log": {"checkpoint": "register.example/log\n9\n…", "vkey": "register.example/log+…"},
    "rebuilt": {"datasets": 4, "lineage": 2, "licenses": 2, "payouts": 4, "log": 60},
    "bundle": "var/demo/bundle.json",
    "gas": {"market.purchase": 200_000},
    "seconds": {"all": 119.0},
}  # fmt: skip


def test_a_report_with_every_field_passes() -> None:
    check_report(REPORT)


@pytest.mark.parametrize(("section", "name"), [(section, name) for section in FIELDS for name in FIELDS[section]])
def test_each_field_is_missed_by_name(section: str, name: str) -> None:
    report = copy.deepcopy(REPORT)
    row = report[section][0] if isinstance(report[section], list) else report[section]
    del row[name]
    with pytest.raises(ReportRefusal, match=f"{section} lacks {name}"):
        check_report(report)


@pytest.mark.parametrize("section", [*FIELDS, *WHOLE])
def test_each_section_is_missed_by_name(section: str) -> None:
    with pytest.raises(ReportRefusal, match=section):
        check_report({**REPORT, section: []})


@pytest.mark.parametrize("amount", [90_000_000, 90.0, "90.00", "-1"])
def test_an_amount_that_is_no_decimal_string_is_refused(amount: object) -> None:
    with pytest.raises(ReportRefusal) as refused:
        check_report({**REPORT, "license": {**REPORT["license"], "price": amount}})
    assert refused.value.code == "report.amount"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "seen"),
    [(_Terminal(), "\r\x1b[K  … Ada signs up\r\x1b[K  ✓ Ada signs up\n"), (io.StringIO(), "  ✓ Ada signs up\n")],
)
def test_what_is_being_done_is_shown_to_those_who_watch(out: io.StringIO, seen: str) -> None:
    command = SpeakingCommand(stdout=out)
    command.begin("  … Ada signs up")
    command.say("  ✓ Ada signs up")
    assert out.getvalue() == seen
