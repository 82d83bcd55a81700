"""A throw-away PostgreSQL cluster."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from provenance.adapters.local_process import LocalProcess, free_port, leash, start_process
from tests.services.presence import missing

STOP = signal.SIGINT
"""Ends connections and stops; SIGTERM would wait for them."""


def find(program: str) -> Path | None:
    """`program` on PATH, else in the newest of Debian's version directories."""
    found = shutil.which(program)
    if found:
        return Path(found)
    installed = Path("/usr/lib/postgresql").glob(f"*/bin/{program}")
    return max(installed, key=lambda path: int(path.parent.parent.name), default=None)


def as_server_user() -> list[str]:
    """Words before a command that give up root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return []
    # The kernel forgets whom to tell of the parent's death when the user changes, so it is said again here.
    return leash(STOP, "--reuid=postgres", "--regid=postgres", "--init-groups")


@dataclass
class Cluster:
    """A cluster in a folder of its own that can be stopped and started again; `url` is that of its one database."""

    directory: Path
    server: Path
    port: int
    running: LocalProcess | None = None

    @property
    def url(self) -> str:
        """Where it listens, also while it does not."""
        return f"postgresql://cadastre@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self.running = start_process(
            "PostgreSQL",
            [
                *as_server_user(),
                *(self.server, "-D", self.directory / "data", "-k", self.directory),
                *("-p", str(self.port), "-h", "127.0.0.1"),
                # Lost with the machine, which is fine here and twice as fast.
                *("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"),
            ],
            log=self.directory / "postgres.log",
            ready=lambda: accepts(self.port),
            seconds=60,
            stop_signal=STOP,
        )

    def stop(self) -> None:
        """End every connection and stop; what was committed stays."""
        if self.running is not None:
            self.running.stop()


@contextmanager
def restartable() -> Iterator[Cluster]:
    """Run a cluster for as long as the block lasts."""
    initdb, server = find("initdb"), find("postgres")
    if initdb is None or server is None:
        missing("PostgreSQL (`initdb`)", "install the package `postgresql`")
    # The path of a Unix socket has at most 107 bytes, so not under pytest's own directories.
    with TemporaryDirectory(prefix="cadastre-pg-") as name:
        directory = Path(name)
        if os.geteuid() == 0:
            postgres = pwd.getpwnam("postgres")
            os.chown(directory, postgres.pw_uid, postgres.pw_gid)
        create = [*as_server_user(), initdb, "-D", directory / "data", "-U", "cadastre", "--auth=trust", "--no-sync"]
        encoding = ["--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run([*create, *encoding], check=True, capture_output=True, cwd=directory)
        cluster = Cluster(directory, server, free_port())
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def cluster() -> Iterator[str]:
    """Run a cluster for as long as the block lasts; gives the URL of its one database."""
    with restartable() as running:
        yield running.url


def accepts(port: int) -> bool:
    """Whether the server takes connections yet."""
    try:
        psycopg.connect(host="127.0.0.1", port=port, user="cadastre", dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
