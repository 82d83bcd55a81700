"""tools/compare_demo_reports.py finds a difference that matters, and never takes absence for equality."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "tools" / "compare_demo_reports.py"

REPORT: dict[str, Any] = {
    "datasets": [{"id": "1", "kind": "image", "files": 20, "bytes": 4_000_000, "plaintext_sha256": "ab" * 32}],
    "copy_refused": {"kind": "near", "share": 10_000, "matched": "1"},
    "license": {"id": "2", "price": "240000000", "fee": "6000000"},
    "download": {"files": 3, "bytes": 70_000, "sha256_ok": True, "cid_ok": True, "seconds": 1.5},
    "usage": {"unit": "records-1000", "quantity": "12", "amount": "600000"},
    "settlement": {"epoch": 1, "root": "0x01", "lines": 4},
    "payouts": [{"payee": 1, "reason": "owner", "amount": "7"}, {"payee": 2, "reason": "ancestor", "amount": "5"}],
    "verification": [{"step": "inclusion", "result": "pass"}],
}


def compare(folder: Path, second: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    paths = [folder / "first.json", folder / "second.json"]
    for path, report in zip(paths, (REPORT, second), strict=True):
        path.write_text(json.dumps(report))
    return subprocess.run([sys.executable, SCRIPT, *paths], capture_output=True, text=True, check=False)


def test_runs_that_differ_in_keys_and_order_of_payees_agree(tmp_path: Path) -> None:
    second = copy.deepcopy(REPORT)
    second["license"]["id"] = "77"
    second["settlement"]["root"] = "0x02"
    second["payouts"].reverse()
    assert compare(tmp_path, second).returncode == 0


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("license", "price", "240000001"), ("copy_refused", "share", 9_999), ("download", "sha256_ok", False)],
)
def test_a_different_amount_match_or_digest_fails_and_is_named(
    tmp_path: Path, section: str, key: str, value: object
) -> None:
    second = copy.deepcopy(REPORT)
    second[section][key] = value
    result = compare(tmp_path, second)
    assert result.returncode == 1
    assert f"{section}[0].{key}" in result.stderr


def test_a_missing_section_is_not_taken_for_equal(tmp_path: Path) -> None:
    second = {name: content for name, content in REPORT.items() if name != "payouts"}
    result = compare(tmp_path, second)
    assert result.returncode == 1
    assert "no section 'payouts'" in result.stderr


def test_a_section_emptied_in_the_second_run_fails(tmp_path: Path) -> None:
    result = compare(tmp_path, REPORT | {"payouts": []})
    assert result.returncode == 1
    assert "'payouts' is empty" in result.stderr
