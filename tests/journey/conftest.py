"""One whole instance for all journeys of a test process; each journey makes its own accounts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from marketplace.management.embedded import DEFAULTS, MARK
from marketplace.management.story.data import Sources, collect
from tests.faults.instance import OURS, ROOT, Instance, Newcomer, until
from tests.journey.visitor import Visitor

SETTINGS = {
    # Nobody waits long for an objection; the journey that settles closes the epoch itself.
    "CADASTRE_SETTLEMENT_WINDOW": "2",
    "CADASTRE_EPOCH_SECONDS": "31536000",
    "CADASTRE_PUSH_THRESHOLD": "1",
}


@dataclass
class Town(Instance):
    """An instance that its operator also commands from a terminal, and the people who signed up without Chromium."""

    newcomers: list[Newcomer] = field(default_factory=list)

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `manage.py WORDS` beside it."""
        environment = {name: value for name, value in os.environ.items() if not OURS.fullmatch(name)}
        chain = (self.var / "chain" / "port").read_text()
        environment |= {
            **DEFAULTS, **self.more, MARK: "1", "CADASTRE_VAR": str(self.var), "CADASTRE_PUBLIC_URL": self.url,
            "CADASTRE_RPC_URL": f"http://127.0.0.1:{chain}",
        }  # fmt: skip
        command = [sys.executable, "manage.py", *words]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def letter_to(self, address: str, containing: str) -> str:
        """Wait for a letter and return its text."""

        def find() -> str | None:
            for path in sorted((self.var / "mail").glob("*")):
                for raw in path.read_bytes().split(b"\n" + b"-" * 79 + b"\n"):
                    letter = message_from_bytes(raw.lstrip(), policy=policy.default)
                    body = letter.get_content() if letter["To"] == address else ""
                    if containing in body:
                        return str(body)
            return None

        return str(until(f"a letter to {address}", find))

    def newcomer(self) -> Newcomer:
        """Somebody who has signed up and whose address is made."""
        person = Newcomer(self)
        self.newcomers.append(person)
        person.sign_up()
        until(f"an address for {person.name}", lambda: person.me()["account"]["address"])
        return person


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """`manage.py up` with an empty register, on free ports, in a folder of its own."""
    running = Town(tmp_path_factory.mktemp("town"), more=SETTINGS)
    running.start()
    yield running
    for person in running.newcomers:
        person.http.close()
    running.interrupt()


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """The story's photographs, tables and prose."""
    return collect(tmp_path_factory.mktemp("sources"))


@pytest.fixture
def enter(chromium: Browser, town: Town, axe_source: str) -> Iterator[Callable[..., Visitor]]:
    """Let visitors come in, each with a browser of their own. The test fails if any of their pages was wrong."""
    visitors: list[Visitor] = []

    def come(*, expects: tuple[str, ...] = (), width: int = 1280) -> Visitor:
        context = chromium.new_context(
            reduced_motion="reduce", locale="en-US", timezone_id="UTC", viewport={"width": width, "height": 900}
        )
        visitors.append(Visitor(context, town.url, axe_source, expects=expects))
        return visitors[-1]

    yield come
    wrong = [each for visitor in visitors for each in visitor.wrong]
    for visitor in visitors:
        print(visitor.sees())  # noqa: T201  # shown with a failure
        visitor.context.close()
    assert wrong == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where downloads and uploads of a journey lie."""
    return tmp_path
