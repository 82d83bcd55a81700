"""One way to start a program on this machine, to know when it is ready, and to be sure that it ends.

Used for the development chain, a Kubo node of our own, and the servers that the tests start.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provenance.core.refusal import Refusal

POLL_SECONDS = 0.05


class LocalProcessFailed(Refusal):
    """A program on this machine did not start, or ended before it was ready."""


@dataclass(frozen=True, slots=True)
class LocalProcess:
    """A running program, leader of its own process group; its output goes to `log`."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals

    def is_running(self) -> bool:
        """Whether the program has not ended yet."""
        return self.process.poll() is None

    def ask_to_end(self) -> None:
        """Ask the leader to end, without waiting: it knows how to end its members in order."""
        if self.is_running():
            self.process.send_signal(self.stop_signal)

    def stop(self, *, grace_seconds: float = 10) -> None:
        """Ask it to end, wait, then end the whole group. Safe to call twice."""
        self.ask_to_end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_seconds)
        # A leader that is gone may leave members behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def start_process(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    ready: Callable[[], bool],
    seconds: float,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> LocalProcess:
    """Start `command`, wait until `ready()` and hand it over; it never outlives this process.

    On Linux the kernel ends it when the thread that started it ends, so start from a thread that stays. `environment`
    is added to this process's own.

    Raises:
        LocalProcessFailed: it ended, or was not ready within `seconds`; the message ends with its last words.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*leash(stop_signal), *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=directory,
            start_new_session=True,
        )
    started = LocalProcess(name=name, process=process, log=log, stop_signal=stop_signal)
    atexit.register(started.stop)
    deadline = time.monotonic() + seconds
    while not ready():
        if not started.is_running() or time.monotonic() > deadline:
            ended = process.poll()
            started.stop(grace_seconds=1)
            raise LocalProcessFailed(
                "local_process.failed",
                f"{name} {'is not ready' if ended is None else 'ended'}: {last_words(log)}",
                limit=f"{seconds:g} s",
                actual="still starting" if ended is None else f"exit status {ended}",
                todo=f"read {log}",
            )
        time.sleep(POLL_SECONDS)
    return started


def leash(stop_signal: signal.Signals, *options: str) -> list[str]:
    """Words before a command that make Linux send `stop_signal` when this process dies, however it dies.

    The kernel tells nobody of a death that came before it was asked, so whoever was asked for looks once, afterwards,
    whether this process is still its parent, and ends if it is not. `options` are further ones of setpriv.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    told = [setpriv, *options, "--pdeathsig", stop_signal.name.removeprefix("SIG"), "--"]
    return [*told, "/bin/sh", "-c", 'test "$PPID" = "$0" && exec "$@"', str(os.getpid())]


def last_words(log: Path) -> str:
    """The end of a log, for a message to a person."""
    return log.read_text(errors="replace").strip()[-1_000:] if log.exists() else "it wrote nothing"
