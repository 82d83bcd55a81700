"""docs/promises.md has every promise, says how it is kept, and each test that it names is there."""

from __future__ import annotations

import pytest

from tests.docs_tables import NAMED, ROOT, is_there, names_nothing_but_tests, page, rows

PAGE = page("promises.md")
PROMISES = (
    "Bytes.", "Evidence is append-only.", "Nothing personal, and nothing guessable about sealed data,",
    "Money is conserved.", "Effects happen once.", "Terms are frozen at purchase; paid means entitled.",
    "Sealed stays sealed.", "The chain is the judge of rights and money.", "A copy does not get listed here.",
    "No kill switch.", "A refusal explains itself",
)  # fmt: skip
FEWEST = 4


def test_all_eleven_promises_are_there_once_in_order_with_how_they_are_kept():
    table = rows(PAGE, "Promises")
    assert [int(row[0]) for row in table] == list(range(1, 12))
    assert [row[1].partition("**")[2].partition("**")[0] for row in table] == list(PROMISES)
    assert all(len(row) == 4 and all(row) for row in table)


def test_every_promise_names_tests_and_nothing_but_tests_that_prove_it():
    for number, _, _, tests in rows(PAGE, "Promises"):
        assert names_nothing_but_tests(tests), number
        assert len(set(NAMED.findall(tests))) >= FEWEST, number


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))), ids=lambda part: part[-60:])
def test_each_named_test_exists(file: str, name: str):
    assert is_there(file, name), f"{file} has no {name}"


def test_the_page_is_found_from_the_first_page_and_from_the_sites_list_of_pages():
    from marketplace.web.docs import PAGES

    assert "(docs/promises.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"promises", "faults"} <= set(PAGES)
