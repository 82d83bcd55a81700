"""A thousand people sign up at once and publish free datasets: the register relays exactly what it can afford."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connections
from pytest_django import Settings

from provenance import outbox
from provenance.models import Deployment, Intent, RelayBudget
from tests.trade.conftest import NOW

PEOPLE, PROCESSES, BUDGET = 1_000, 4, 40


def build(*_: object) -> None:
    raise AssertionError("nothing is sent here")


@pytest.fixture
def no_chain(db: None) -> Deployment:
    return Deployment.objects.create(
        chain_id=31337, registry="0x" + "11" * 20, market="0x" + "22" * 20, anchor="0x" + "33" * 20, first_block=1,
        created_at=NOW,
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_of_a_thousand_registrations_at_once_exactly_the_budget_is_relayed(
    no_chain: Deployment, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CADASTRE_RELAY_GLOBAL_DAILY, settings.CADASTRE_RELAY_ACCOUNT_DAILY = BUDGET, 3
    monkeypatch.setattr(outbox, "_kinds", dict(outbox._kinds))
    outbox.register("test.register", build)
    seen: list[str] = []
    start = threading.Barrier(PROCESSES)

    def sign_up(people: int) -> None:
        start.wait()
        try:
            seen.extend(publish() for _ in range(people))
        finally:
            connections.close_all()

    def publish() -> str:
        try:
            outbox.enqueue(
                key=f"register:{uuid4()}", kind="test.register", payload={}, valid_until=NOW + timedelta(hours=1),
                party=uuid4(), deployment=no_chain, now=NOW,
            )  # fmt: skip
        except outbox.OutboxRefusal as refusal:
            return str(refusal)
        return "relayed"

    threads = [threading.Thread(target=sign_up, args=(PEOPLE // PROCESSES,)) for _ in range(PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = Counter(seen)
    assert (told.pop("relayed"), sum(told.values())) == (BUDGET, PEOPLE - BUDGET)
    (words,) = told
    assert str(BUDGET) in words
    assert "your own wallet" in words
    assert Intent.objects.count() == BUDGET
    assert RelayBudget.objects.get(scope="global").used == BUDGET
    # Who was refused has used nothing: the budgets of the accounts add up to that of the register.
    assert sum(RelayBudget.objects.exclude(scope="global").values_list("used", flat=True)) == BUDGET
