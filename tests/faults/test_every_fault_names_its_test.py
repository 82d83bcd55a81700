"""docs/faults.md has every event and every bad input, and each test that it names is there."""

from __future__ import annotations

import pytest

from tests.docs_tables import NAMED, is_there, names_nothing_but_tests, page, rows

PAGE = page("faults.md")
LATER = {46, 47, 48}
BAD_INPUT = {
    "Empty folder", "Zero-byte file", "0 rows", "169-megapixel PNG", "Zip with `../`", "3 GiB file",
    "Names with newlines and emoji", "Shares over 100 %", "Parents that do not exist", "Eleventh hop of 10 %",
    "Price of 0", "Price with 7 decimals", "Fee-on-transfer token", "Expired or cancelled authorization",
    "Unknown license id", "Wrong API key", "Broken bundle", "Full disk",
}  # fmt: skip


def test_all_seventy_events_are_there_once_in_order_and_named():
    events = rows(PAGE, "Events")
    assert [int(row[0]) for row in events] == list(range(1, 71))
    assert all(len(row) == 4 and all(row) for row in events)


def test_every_bad_input_is_there_once():
    named = [row[0] for row in rows(PAGE, "Bad input")]
    assert set(named) == BAD_INPUT
    assert len(named) == len(BAD_INPUT)


def test_a_row_without_a_test_says_plainly_that_it_comes_later():
    for number, _, what, tests in rows(PAGE, "Events"):
        if int(number) in LATER:
            assert (tests, what.startswith("Later: ")) == ("later", True)
        else:
            assert NAMED.search(tests), number
    assert all(NAMED.search(row[2]) for row in rows(PAGE, "Bad input"))


def test_nothing_but_names_of_tests_stands_in_the_last_column():
    for row in (*rows(PAGE, "Events"), *rows(PAGE, "Bad input")):
        assert row[-1] == "later" or names_nothing_but_tests(row[-1]), row


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))), ids=lambda part: part[-60:])
def test_each_named_test_exists(file: str, name: str):
    assert is_there(file, name), f"{file} has no {name}"
