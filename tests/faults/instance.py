"""A whole instance, started as `make run` starts it: `manage.py up` on a free port, in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil

from cadastre.client import Client
from provenance.adapters.local_process import free_port, last_words

ROOT = Path(__file__).parents[2]
READY_SECONDS = 120
PATIENCE_SECONDS = 180
OURS = re.compile(r"CADASTRE_.*|DJANGO_SETTINGS_MODULE|DATABASE_URL|CELERY_BROKER_URL|PYTEST_.*")
"""What the test process was told and an instance of its own must not hear."""

PROGRAMS = {
    "web": "gunicorn",
    "worker": "worker@localhost",
    "signer": "signer@localhost",
    "beat": "beat",
    "chain": "anvil",
}
"""What the supervisor keeps running, and a word of each command line."""

MARK = "INSTANCE_OF_A_TEST"


def until(what: str, answer: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := answer()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.1)
    return found


@dataclass
class Instance:
    """`more`: settings besides those of every embedded instance."""

    var: Path
    more: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    told: int = 0
    visitors: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """What its operator has set."""
        others = {name: value for name, value in os.environ.items() if not OURS.fullmatch(name)}
        return others | {"CADASTRE_VAR": str(self.var), MARK: str(self.var), **self.more}

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with (self.var / "up.log").open("ab") as output:
            self.told = output.tell()
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--no-story", "--port", str(self.port)],
                cwd=ROOT, env=self.environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        until("the site answering", self._answers, seconds=READY_SECONDS)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, last_words(self.var / "up.log")
        return b"The site answers" in (self.var / "up.log").read_bytes()[self.told :]

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """What Ctrl-C in a terminal does: the signal goes to the process group of `manage.py up`."""
        assert self.process is not None
        os.killpg(self.process.pid, number)
        self.process.wait(PATIENCE_SECONDS)

    def processes(self) -> list[psutil.Process]:
        """Every process that was started for this instance, also one whose parent is gone."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == str(self.var) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def program(self, name: str) -> psutil.Process | None:
        """The process that the supervisor itself started for a part, if it runs."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            try:
                if PROGRAMS[name] in " ".join(child.cmdline()):
                    return child
            except psutil.Error:
                continue
        return None

    def kill(self, name: str) -> int:
        """`kill -9` a part; return its process id."""
        victim = until(f"{name} running", lambda: self.program(name))
        victim.kill()
        return int(victim.pid)

    def comes_back(self, name: str, *, after: int) -> None:
        """Wait until the supervisor has started a part again."""
        until(f"{name} coming back", lambda: (found := self.program(name)) and found.pid != after)

    def said(self) -> str:
        """What it has told its operator."""
        return (self.var / "up.log").read_text()

    def end(self) -> None:
        """Leave nothing behind, whatever state a test left it in."""
        if self.process is not None and self.process.poll() is None:
            self.interrupt()
        for process in self.processes():
            process.kill()
        self.visitors.close()

    def height(self) -> int:
        """The number of the chain's newest block, asked without the register."""
        question = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        url = f"http://127.0.0.1:{(self.var / 'chain' / 'port').read_text()}"
        return int(httpx.post(url, json=question, trust_env=False).json()["result"], 16)

    def manage(self, *words: str) -> str:
        """Run `manage.py WORDS` as its operator would, beside it or while it is stopped."""
        chain = {"CADASTRE_RPC_URL": f"http://127.0.0.1:{(self.var / 'chain' / 'port').read_text()}"}
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT, env=self.environment() | chain, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def back_up(self) -> Path:
        """Copy the database while everything runs."""
        copy = self.var / "backup.sqlite3"
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy

    def restore(self, copy: Path) -> None:
        """Put a copy in the place of the database."""
        for path in self.var.glob(f"{self.database.name}*"):
            path.unlink()
        shutil.copy(copy, self.database)

    def published_size(self) -> int:
        """The size of the log as strangers see it."""
        with httpx.Client(base_url=self.url, trust_env=False) as stranger:
            answer = stranger.get("/log/checkpoint")
        return int(answer.text.splitlines()[1]) if answer.status_code == 200 else 0

    @property
    def database(self) -> Path:
        return self.var / "cadastre.sqlite3"

    def rows(self, query: str) -> list[Any]:
        """Ask the database from outside."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query).fetchall()


class Newcomer:
    """Somebody who signs up on the website and speaks to the API from the same browser."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.name = f"Ada {uuid4().hex[:8]}"
        self.email = f"{self.name.lower().replace(' ', '-')}@example.org"
        # A site that is being started again refuses connections for a moment; a browser's user would reload.
        http = httpx.Client(base_url=instance.url, timeout=60, trust_env=False, headers={"Referer": instance.url})
        self.http = instance.visitors.enter_context(http)

    def sign_up(self) -> None:
        page = until("the sign-up page", lambda: self.ask("GET", "/account/signup/"))
        assert page.status_code == 200
        fields = {
            "csrfmiddlewaretoken": self.http.cookies["cadastre_csrf"], "display_name": self.name,
            "email": self.email, "password1": f"{uuid4()}",
        }  # fmt: skip
        answer = self.http.post("/account/signup/", data=fields)
        assert answer.status_code == 302, answer.text[:2000]
        assert "cadastre_session" in self.http.cookies

    def ask(self, method: str, path: str, document: Any = None, **headers: str) -> httpx.Response | None:
        """One request; None while nobody listens or the answer says: later."""
        try:
            token = self.http.cookies.get("cadastre_csrf", "")
            answer = self.http.request(method, path, json=document, headers={"X-CSRFToken": token, **headers})
        except httpx.TransportError:
            return None
        return None if answer.status_code == 503 else answer

    def me(self) -> dict[str, Any]:
        answer = until("an answer about oneself", lambda: self.ask("GET", "/api/v1/me"))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def draw(self, amount: int, *, key: str) -> None:
        """Ask the faucet, as often as it takes, always with the same key."""
        body = {"amount": str(amount)}
        answer = until("a draw", lambda: self.ask("POST", "/api/v1/faucet", body, **{"Idempotency-Key": key}))
        assert answer.status_code in {201, 202}, answer.text

    def balance(self) -> int:
        return int(self.me()["balance"]["available"]["amount"])

    def client(self) -> Client:
        """The Python client with an API key of theirs."""
        scopes = self.me()["scopes"]
        body = {"name": "faults", "scopes": scopes, "days": 1}
        answer = until("a key", lambda: self.ask("POST", "/api/v1/keys", body))
        assert answer.status_code == 201, answer.text
        return self.instance.visitors.enter_context(Client(self.instance.url, api_key=answer.json()["secret"]))


def newcomer_with_money(instance: Instance, amount: int = 7_000_000) -> Newcomer:
    """Sign up and draw play money: needs web, worker, beat, signer and chain, each of them."""
    person = Newcomer(instance)
    person.sign_up()
    until(f"an address for {person.name}", lambda: person.me()["account"]["address"])
    person.draw(amount, key="first")
    until(f"play money for {person.name}", lambda: person.balance() == amount)
    return person
