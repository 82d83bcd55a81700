"""docs/faults.md has every event and every bad input, and each test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`([\w/.]+\.(?:py|t\.sol))::(\w+)`")
LATER = {46, 47, 48}
BAD_INPUT = {
    "Empty folder", "Zero-byte file", "0 rows", "169-megapixel PNG", "Zip with `../`", "3 GiB file",
    "Names with newlines and emoji", "Shares over 100 %", "Parents that do not exist", "Eleventh hop of 10 %",
    "Price of 0", "Price with 7 decimals", "Fee-on-transfer token", "Expired or cancelled authorization",
    "Unknown license id", "Wrong API key", "Broken bundle", "Full disk",
}  # fmt: skip


def rows(title: str) -> list[list[str]]:
    part = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_all_seventy_events_are_there_once_in_order_and_named():
    events = rows("Events")
    assert [int(row[0]) for row in events] == list(range(1, 71))
    assert all(len(row) == 4 and all(row) for row in events)


def test_every_bad_input_is_there_once():
    named = [row[0] for row in rows("Bad input")]
    assert set(named) == BAD_INPUT
    assert len(named) == len(BAD_INPUT)


def test_a_row_without_a_test_says_plainly_that_it_comes_later():
    for number, _, what, tests in rows("Events"):
        if int(number) in LATER:
            assert (tests, what.startswith("Later: ")) == ("later", True)
        else:
            assert NAMED.search(tests), number
    assert all(NAMED.search(row[2]) for row in rows("Bad input"))


def test_nothing_but_names_of_tests_stands_in_the_last_column():
    for row in (*rows("Events"), *rows("Bad input")):
        assert NAMED.sub("", row[-1]).strip(", ") in {"", "later"}, row


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))), ids=lambda part: part[-60:])
def test_each_named_test_exists(file: str, name: str):
    if file.endswith(".t.sol"):
        source, defined = ROOT / "contracts" / "test" / file, rf"^    function {name}\("
    else:
        source, defined = ROOT / "tests" / file, rf"^def {name}\("
    assert source.is_file(), source
    assert re.search(defined, source.read_text(encoding="utf-8"), re.MULTILINE), f"{file} has no {name}"
