"""Fixtures for every area: the real parts, each started on first use and once per test process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.servers.basehttp import WSGIRequestHandler
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, BrowserContext, Page, expect

from provenance.adapters.local_node import Anvil, Kubo
from tests.log_flush import flushable_log
from tests.services import browser, chain, kubo, postgres, redis

# web3's helpers hash with what they find first, which is the slower of two; the answer is the same.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")

# Machines are noisy: how long one example takes says nothing about whether it is right.
settings.register_profile("cadastre", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cadastre")
# Django's test server writes head and body apart: over a connection that is kept, each answer waits 40 ms for the other
# side's acknowledgment.
WSGIRequestHandler.disable_nagle_algorithm = True
expect.set_options(timeout=60_000)

TURN = {"contracts": 0, "faults": 0, "journey": 2, "web": 3}
"""By folder, 1 for all others: few long files first, many short ones last, so that at the end no process waits for
another. The journeys' instance works on beside what comes after them, so they come late."""

DATABASE_FIXTURES = {"db", "transactional_db", "live_server", "client", "admin_client"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take turns, and mark what touches the database or the browser: `-m "database and not browser"`."""
    items.sort(key=lambda item: TURN.get(item.path.parent.name, 1))
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & DATABASE_FIXTURES or item.get_closest_marker("django_db"):
            item.add_marker(pytest.mark.database)
        if names & {"chromium", "page", "browser_context"}:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session", autouse=True)
def _log_can_be_flushed() -> Iterator[None]:
    """Tests that commit are cleaned up by emptying every table, also the one that refuses it."""
    with flushable_log():
        yield


@pytest.fixture(scope="session")
def process_number(request: pytest.FixtureRequest) -> int:
    """0, 1, … of pytest-xdist's processes; 0 without it."""
    worker: dict[str, str] = getattr(request.config, "workerinput", {})
    return int(worker.get("workerid", "gw0").removeprefix("gw"))


@pytest.fixture(scope="session")
def anvil(tmp_path_factory: pytest.TempPathFactory, process_number: int) -> Iterator[Anvil]:
    """A development chain in memory, shared by the tests of a process: take `evm_snapshot` where state matters."""
    running = chain.start(tmp_path_factory.mktemp("anvil"), number=process_number)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def kubo_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubo]:
    """A Kubo node without peers, shared by the tests of a process; `api` is its multiaddr."""
    running = kubo.start(tmp_path_factory.mktemp("kubo"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """URL of an empty PostgreSQL database of a superuser, shared by the tests of a process."""
    with postgres.cluster() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of an empty Redis, shared by the tests of a process."""
    with redis.server() as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Headless Chromium (Playwright, synchronous), shared by the tests of a process."""
    # Playwright runs an event loop in this thread, and Django refuses its database beside one.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with browser.launched() as running:
        yield running


@pytest.fixture
def browser_context(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh profile: no cookies, no storage, animations off."""
    context = chromium.new_context(reduced_motion="reduce", locale="en-US", timezone_id="UTC")
    yield context
    context.close()


@pytest.fixture
def page(browser_context: BrowserContext) -> Page:
    """A tab of a fresh profile."""
    return browser_context.new_page()


@pytest.fixture(scope="session")
def axe_source() -> str:
    """axe-core's script: `page.evaluate(axe_source)`, then `axe.run({runOnly: [… "wcag22aa"]})`."""
    script = Path(__file__).parent.parent / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        from tests.services.presence import missing

        missing("axe-core", "run `npm ci`")
    return script.read_text()
