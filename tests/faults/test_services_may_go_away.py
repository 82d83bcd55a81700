"""On PostgreSQL and Redis: the broker is emptied, cut off and restarted, the database restarted under load."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
from redis import Redis

from tests.faults.instance import Instance, Newcomer, newcomer_with_money, until
from tests.services import postgres, redis

pytestmark = pytest.mark.slow

PAGES = ("/", "/explore", "/healthz", "/account/login/", "/api/v1/datasets", "/api/v1/me", "/log", "/audit")


@dataclass
class Stack:
    instance: Instance
    database: postgres.Cluster
    broker: redis.Server


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with ExitStack() as running:
        database = running.enter_context(postgres.restartable())
        broker = running.enter_context(redis.restartable())
        settings = {"DATABASE_URL": database.url, "CELERY_BROKER_URL": broker.url}
        instance = Instance(tmp_path_factory.mktemp("instance"), settings)
        running.callback(instance.end)
        instance.start()
        yield Stack(instance, database, broker)


def test_a_broker_that_is_flushed_all_the_time_loses_nothing(stack: Stack) -> None:
    over = threading.Event()

    def flush() -> None:
        with Redis.from_url(stack.broker.url) as client:
            while not over.wait(0.25):
                client.flushall()

    flushing = threading.Thread(target=flush)
    flushing.start()
    try:
        ada = Newcomer(stack.instance)
        ada.sign_up()
        ada.draw(7_000_000, key="first")
    finally:
        over.set()
        flushing.join()
    with Redis.from_url(stack.broker.url) as client:
        client.flushall()
    until("the draw", lambda: ada.balance() == 7_000_000)


def test_consumption_resumes_after_the_broker_cut_stalled_and_restarted(stack: Stack) -> None:
    ada = Newcomer(stack.instance)
    ada.sign_up()
    with Redis.from_url(stack.broker.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
        client.execute_command("CLIENT", "PAUSE", "2000", "ALL")
    ada.draw(1_000_000, key="stalled")
    stack.broker.stop()
    ada.draw(2_000_000, key="without a broker")
    stack.broker.start()
    until("both draws", lambda: ada.balance() == 3_000_000)


def test_a_database_restarted_under_load_gives_no_500_and_loses_nothing(stack: Stack) -> None:
    pooled = "from django.db import connection; print(connection.pool is not None)"
    assert stack.instance.manage("shell", "-v", "0", "-c", pooled) == "True\n"
    ada = newcomer_with_money(stack.instance)
    seen: Counter[tuple[str, int]] = Counter()
    total: Counter[tuple[str, int]] = Counter()
    over = threading.Event()

    def visit() -> None:
        with httpx.Client(base_url=stack.instance.url, timeout=60, trust_env=False, cookies=ada.http.cookies) as http:
            while not over.is_set():
                for page in PAGES:
                    seen[page, http.get(page).status_code] += 1

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    try:
        for _ in range(2):
            until("some answers", lambda: sum(seen.values()) > len(PAGES))
            stack.database.stop()
            total.update(seen)
            seen.clear()
            until("somebody being told to come back", lambda: any(status == 503 for _, status in list(seen)))
            stack.database.start()
            until("answers again", lambda: all(seen[page, 200] + seen[page, 302] for page in PAGES))
            total.update(seen)
    finally:
        over.set()
        for visitor in visitors:
            visitor.join()
    assert {status for _, status in total} == {200, 302, 503}, total
    ada.draw(1_000_000, key="afterwards")
    until("the draw", lambda: ada.balance() == 8_000_000)
