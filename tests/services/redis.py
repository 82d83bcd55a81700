"""A Redis server that keeps nothing on disk."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis
from redis.exceptions import ConnectionError as NotListening

from provenance.adapters.local_process import free_port, start_process
from tests.services.presence import missing


@contextmanager
def server() -> Iterator[str]:
    """Run a server for as long as the block lasts; gives its URL."""
    program = shutil.which("redis-server")
    if program is None:
        missing("Redis (`redis-server`)", "install the package `redis-server`")
    with TemporaryDirectory(prefix="cadastre-redis-") as name:
        directory, port = Path(name), free_port()
        running = start_process(
            "Redis",
            [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", name],
            log=directory / "redis.log",
            ready=lambda: answers(port),
            seconds=30,
        )
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            running.stop()


def answers(port: int) -> bool:
    """Whether the server answers yet."""
    try:
        with Redis(host="127.0.0.1", port=port) as client:
            return bool(client.ping())
    except NotListening:
        return False
