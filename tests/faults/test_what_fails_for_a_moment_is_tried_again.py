"""A database that is busy, a deadlock, a serialization failure: visitors are told to come back, tasks do it again."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from marketplace import tasks
from marketplace.actions import quotes

pytestmark = pytest.mark.django_db

PASSING = ("database is locked", "deadlock detected", "could not serialize access due to concurrent update")


@pytest.mark.parametrize("words", PASSING)
def test_a_page_says_that_it_passes_and_logs_no_visitor_in_or_out(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise OperationalError(words)

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", busy)
    client = Client(raise_request_exception=False)
    client.cookies["cadastre_session"] = "a" * 32
    answer = client.get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "Reload the page" in answer.content.decode()
    assert words not in answer.content.decode()


def test_a_fault_of_ours_is_still_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", broken)
    client = Client(raise_request_exception=False)
    client.cookies["cadastre_session"] = "a" * 32
    assert client.get("/").status_code == 500


@pytest.mark.parametrize("words", PASSING)
def test_a_task_leaves_the_row_due_and_the_next_ring_does_it(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    done: list[str] = []

    def advance(**_: Any) -> None:
        done.append("tried")
        if len(done) == 1:
            raise OperationalError(words)

    others: list[str] = []
    monkeypatch.setattr(quotes, "advance_quotes", advance)
    monkeypatch.setattr(tasks.offers, "advance_offers", lambda **_: others.append("offers"))
    tasks.advance()
    tasks.advance()
    assert (done, others) == (["tried", "tried"], ["offers", "offers"])
