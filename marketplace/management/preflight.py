"""What has to hold before anything is started on this machine; what does not is one sentence with what to do.

A port that is taken, a full disk or a database that cannot be written would otherwise show as the last words of some
part's log.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from pathlib import Path
from typing import IO

from provenance.core.refusal import Refusal

LEAST_FREE_BYTES = 512 * 2**20
"""Below that uploads are refused soon after the start, and the chain's state and the database may not be written."""

_MIB = 2**20


class CannotStart(Refusal):
    """This machine is not ready."""


def check_port(port: int) -> None:
    """Refuse a port that somebody listens on. Raises CannotStart."""
    with socket.socket() as probe:
        # As the web server binds it: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotStart(
                "start.port", f"127.0.0.1:{port} cannot be used: {error.strerror}.",
                todo=f"Stop what uses it, or choose another: make run ARGS='--port {port + 1}'",
            ) from error  # fmt: skip


def check_disk(folder: Path, *, least: int = LEAST_FREE_BYTES) -> None:
    """Refuse a disk without room. Raises CannotStart."""
    free = shutil.disk_usage(folder).free
    if free < least:
        raise CannotStart(
            "start.disk", f"The disk of {folder} is nearly full.", limit=f"{least // _MIB} MiB free",
            actual=f"{free // _MIB} MiB free", todo="Make room, or set CADASTRE_VAR to a folder on another disk.",
        )  # fmt: skip


def check_writable(folder: Path, database: Path | None) -> None:
    """Refuse a folder or a SQLite file that this user may not write. Raises CannotStart."""
    for path in (folder, database):
        if path is not None and path.exists() and not os.access(path, os.W_OK):
            raise CannotStart(
                "start.read_only", f"{path} cannot be written.",
                todo=f"Give it back to the user who starts this (chown, chmod u+w {path}), or set CADASTRE_VAR.",
            )  # fmt: skip


def take_folder(folder: Path) -> IO[str]:
    """Return the lock of a folder that no other instance may use at the same time. Raises CannotStart."""
    file = (folder / "instance.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        by = file.read().strip()
        file.close()
        raise CannotStart(
            "start.twice", f"An instance is running in {folder} already.", actual=f"process {by}" if by else None,
            todo="Stop it with Ctrl-C there, or give this one a folder of its own in CADASTRE_VAR.",
        ) from error  # fmt: skip
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file
