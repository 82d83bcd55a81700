"""A Redis server that keeps nothing on disk."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis
from redis.exceptions import ConnectionError as NotListening

from provenance.adapters.local_process import LocalProcess, free_port, start_process
from tests.services.presence import missing


@dataclass
class Server:
    """A server that can be stopped and started again, empty; `url` is that of its first database."""

    program: str
    directory: Path
    port: int
    running: LocalProcess | None = None

    @property
    def url(self) -> str:
        """Where it listens, also while it does not."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        nothing_kept = ["--save", "", "--appendonly", "no", "--dir", self.directory]
        self.running = start_process(
            "Redis",
            [self.program, "--bind", "127.0.0.1", "--port", str(self.port), *nothing_kept],
            log=self.directory / "redis.log",
            ready=lambda: answers(self.port),
            seconds=60,
        )

    def stop(self) -> None:
        """End it; what it held is gone."""
        if self.running is not None:
            self.running.stop()


@contextmanager
def restartable() -> Iterator[Server]:
    """Run a server for as long as the block lasts."""
    program = shutil.which("redis-server")
    if program is None:
        missing("Redis (`redis-server`)", "install the package `redis-server`")
    with TemporaryDirectory(prefix="cadastre-redis-") as name:
        running = Server(program, Path(name), free_port())
        try:
            running.start()
            yield running
        finally:
            running.stop()


@contextmanager
def server() -> Iterator[str]:
    """Run a server for as long as the block lasts; gives its URL."""
    with restartable() as running:
        yield running.url


def answers(port: int) -> bool:
    """Whether the server answers yet."""
    try:
        with Redis(host="127.0.0.1", port=port) as client:
            return bool(client.ping())
    except NotListening:
        return False
