"""A throw-away PostgreSQL cluster."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from provenance.adapters.local_process import free_port, start_process
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
    user = ["--reuid=postgres", "--regid=postgres", "--init-groups"]
    return ["setpriv", *user, "--pdeathsig", STOP.name.removeprefix("SIG"), "--"]


@contextmanager
def cluster() -> Iterator[str]:
    """Run a cluster for as long as the block lasts; gives the URL of its one database."""
    initdb, server = find("initdb"), find("postgres")
    if initdb is None or server is None:
        missing("PostgreSQL (`initdb`)", "install the package `postgresql`")
    # The path of a Unix socket has at most 107 bytes, so not under pytest's own directories.
    with TemporaryDirectory(prefix="cadastre-pg-") as name:
        directory, port = Path(name), free_port()
        if os.geteuid() == 0:
            postgres = pwd.getpwnam("postgres")
            os.chown(directory, postgres.pw_uid, postgres.pw_gid)
        data = directory / "data"
        create = [*as_server_user(), initdb, "-D", data, "-U", "cadastre", "--auth=trust", "--no-sync"]
        encoding = ["--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run([*create, *encoding], check=True, capture_output=True, cwd=directory)
        running = start_process(
            "PostgreSQL",
            [
                *as_server_user(),
                *(server, "-D", data, "-k", directory, "-p", str(port), "-h", "127.0.0.1"),
                # Lost with the machine, which is fine here and twice as fast.
                *("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"),
            ],
            log=directory / "postgres.log",
            ready=lambda: accepts(port),
            seconds=30,
            stop_signal=STOP,
        )
        try:
            yield f"postgresql://cadastre@127.0.0.1:{port}/postgres"
        finally:
            running.stop()


def accepts(port: int) -> bool:
    """Whether the server takes connections yet."""
    try:
        psycopg.connect(host="127.0.0.1", port=port, user="cadastre", dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
