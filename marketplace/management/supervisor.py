"""One process that starts every other, starts again what dies, and stops them all.

1. Migrate the database.
2. Start the development chain and, for `CADASTRE_STORE=kubo` without an address, a Kubo node; both keep their state.
3. Deploy the contracts if this chain has none of ours.
4. Start web, workers, beat and signer.
5. Twice a second: start again what has ended, and copy the chain's state aside.

Nothing of this is needed beyond one machine: there, systemd or an orchestrator starts the same commands.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from marketplace.management.mining import Miner
from provenance.adapters.local_node import Anvil, Kubo, start_anvil, start_kubo
from provenance.adapters.local_process import LocalProcess, free_port, start_process

READY_SECONDS = 60.0
POLL_SECONDS = 0.5
# A program that dies at once is started again ever more slowly, at most this many seconds apart.
LONGEST_PAUSE = 30.0


@dataclass(slots=True)
class Child:
    """A program to keep running. `start` is called again after each end."""

    name: str
    start: Callable[[], LocalProcess]
    process: LocalProcess
    started: float
    failures: int = 0


@dataclass(slots=True)
class Supervisor:
    """Everything embedded, on 127.0.0.1. `say` gets one sentence per event."""

    port: int
    say: Callable[[str], None]
    var: Path = field(default_factory=lambda: Path(settings.CADASTRE_VAR))
    environment: dict[str, str] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    anvil: Anvil | None = None
    kubo: Kubo | None = None
    miner: Miner | None = None
    stopping: bool = False
    chain_adopted: bool = False
    chain_stopping: bool = False
    keeper: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where the site answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start everything and return when the site answers.

        Raises:
            LocalProcessFailed, LocalNodeMissing: a part did not start; what had been started is stopped.
        """
        try:
            self.environment["CADASTRE_PUBLIC_URL"] = self.url
            self._start_chain()
            self._start_store()
            call_command("migrate", interactive=False, verbosity=0)
            self._manage("deploy_contracts", "--verbosity", "0")
            self._adopt_chain()
            for name, command in self._programs().items():
                self._keep(name, command)
            if self.anvil:
                self.miner = Miner(self.anvil.url)
            # In a thread of its own: whoever started us may be waiting for an answer that needs the next block.
            self.keeper = threading.Thread(target=self._keep_running, name="supervisor", daemon=True)
            self.keeper.start()
            self._wait_for_site()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything, the chain and the store last, so that others can finish what they are writing."""
        self.stop_site()
        self.chain_stopping = True
        if self.keeper and self.keeper is not threading.current_thread():
            self.keeper.join(timeout=READY_SECONDS)
        if self.kubo:
            self.kubo.stop()
        if self.anvil:
            self.anvil.stop()

    def stop_site(self) -> None:
        """Stop web, workers, beat and signer; chain and store go on."""
        self.stopping = True
        for child in self.children.values():
            child.process.ask_to_end()
        for child in reversed(self.children.values()):
            child.process.stop()

    def watch(self, *, until: Callable[[], bool]) -> None:
        """Wait until `until()`."""
        while not until():
            time.sleep(POLL_SECONDS)

    def _keep_running(self) -> None:
        while not self.chain_stopping:
            try:
                self._tend()
            except Exception as problem:  # noqa: BLE001  # whatever it was, every other part is kept running
                self.say(f"{problem} Trying again.")
                connections.close_all()
            time.sleep(POLL_SECONDS)
        connections.close_all()

    def _tend(self) -> None:
        """Start again what has ended, copy the chain's state aside, mine when somebody waits."""
        if self.anvil:
            if self.anvil.process.is_running():
                if self.anvil.state:
                    self.anvil.state.keep()
                if self.miner and not self.stopping:
                    self.miner.tend()
            else:
                self.say("The development chain ended; it is started again from its last saved state.")
                self._start_chain()
            if not self.chain_adopted:
                self._adopt_chain()
        if self.kubo and not self.kubo.process.is_running():
            self.say("The Kubo node ended; it is started again.")
            self._start_store()
        for child in self.children.values():
            if not self.stopping:
                self._revive(child)

    def _revive(self, child: Child) -> None:
        if child.process.is_running():
            return
        lived = time.monotonic() - child.started
        child.failures = 0 if lived > LONGEST_PAUSE else child.failures
        if lived < min(2.0**child.failures / 2, LONGEST_PAUSE):
            return
        child.failures += 1
        self.say(f"{child.name} ended; it is started again. Its log: {child.process.log}")
        child.process.stop()
        child.process = child.start()
        child.started = time.monotonic()

    def _start_chain(self) -> None:
        if self.anvil is None and "CADASTRE_RPC_URL" in os.environ and "CADASTRE_RPC_URL" not in self.environment:
            return
        port = int(self.anvil.url.rsplit(":", 1)[1]) if self.anvil else self._stored_port("chain")
        self.chain_adopted = False
        self.anvil = start_anvil(log=self._log("chain"), state_file=self.var / "chain" / "state.json", port=port)
        self._set("CADASTRE_RPC_URL", self.anvil.url)

    def _adopt_chain(self) -> None:
        """Let the rows go back to what a chain that was killed still has; its last second may be missing."""
        if self.anvil:
            self._manage("confirm_reorg", "--restored")
            self.chain_adopted = True

    def _start_store(self) -> None:
        if settings.CADASTRE_STORE != "kubo" or (self.kubo is None and "CADASTRE_KUBO_API" in os.environ):
            return
        self.kubo = start_kubo(repo=self.var / "kubo", log=self._log("kubo"))
        self._set("CADASTRE_KUBO_API", self.kubo.api)

    def _stored_port(self, name: str) -> int:
        # The same port after a restart: a wallet or a script that a person pointed at the chain goes on working.
        path = self.var / name / "port"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(str(free_port()))
        return int(path.read_text())

    def _set(self, name: str, value: str) -> None:
        # For the children, and for what this process does itself.
        self.environment[name] = value
        os.environ[name] = value
        setattr(settings, name, value)

    def _programs(self) -> dict[str, list[str]]:
        python = sys.executable
        celery = [python, "-m", "celery", "--app", "marketplace", "--quiet"]
        worker = ["worker", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
        web = [python, "-m", "gunicorn", "marketplace.wsgi", "--bind", f"127.0.0.1:{self.port}"]
        # Its control socket would stand in the home directory, one for all instances.
        web.append("--no-control-socket")
        return {
            "web": [*web, "--worker-class", "gthread", "--workers", "2", "--threads", "4", "--timeout", "120"],
            "worker": [*celery, *worker, "--queues", "work", "--concurrency", "3", "--hostname", "worker@localhost"],
            "signer": [*celery, *worker, "--queues", "signer", "--pool", "solo", "--hostname", "signer@localhost"],
            "beat": [*celery, "beat", "--loglevel", "INFO", "--pidfile", ""],
        }

    def _keep(self, name: str, command: list[str]) -> None:
        environment = dict(self.environment)
        if name != "signer":
            # Only the signer can open the key file, whatever runs in the other processes.
            environment |= {"CADASTRE_KEY_PASSPHRASE": "", "CADASTRE_KEY_PASSPHRASE_FILE": ""}

        def start() -> LocalProcess:
            return start_process(
                name,
                command,
                log=self._log(name),
                ready=lambda: True,
                seconds=READY_SECONDS,
                environment=environment,
                directory=settings.BASE_DIR,
            )

        self.children[name] = Child(name=name, start=start, process=start(), started=time.monotonic())

    def _manage(self, *words: str) -> None:
        call_command(*words)

    def _wait_for_site(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                message = f"The site does not answer at {self.url} after {READY_SECONDS:g} s; read {self._log('web')}"
                raise TimeoutError(message)
            time.sleep(POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as reply:  # noqa: S310 - our own address
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _log(self, name: str) -> Path:
        return self.var / "logs" / f"{name}.log"


def stop_on_signals(supervisor: Supervisor) -> Callable[[], bool]:
    """Return a function that says whether Ctrl-C or SIGTERM has come; the second one is not waited for."""
    seen: list[int] = []

    def note(number: int, _frame: object) -> None:
        if seen:
            supervisor.stop()
            os._exit(128 + number)
        seen.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return lambda: bool(seen)
