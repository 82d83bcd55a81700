"""Run one function over one file in a process of its own, with limits on memory and processor time.

For formats whose decoders can be made to ask for gigabytes by a few hundred bytes (Parquet, Arrow). The child gets the
file as its standard input, applies the limits once everything is imported, so that they measure the work and not the
libraries, and answers with one byte and a payload: `=` and the result, or `!` and a refusal in JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO

from provenance.core.refusal import Figure
from provenance.fingerprints.algorithm import FingerprintRefusal

MEMORY = 512 * 1024 * 1024
STATED = 1 << 20
GRACE_SECONDS = 30

Argument = str | int | bool | None

_PAGE = resource.getpagesize()
# One thread each, and no arenas or pools that reserve address space they never touch.
_ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
}


def run_limited(
    callable_name: str,
    args: Sequence[Argument],
    *,
    stream: BinaryIO,
    memory_bytes: int = MEMORY,
    cpu_seconds: int,
) -> bytes:
    """Return what `callable_name(stream, *args)` returns when run under limits; `package.module:function` -> bytes.

    `memory_bytes` is what the work may allocate beyond the imported libraries. Raises FingerprintRefusal with code
    `sandbox.memory`, `sandbox.cpu` or `sandbox.failed`, or the refusal that the function itself raised.
    """
    request = json.dumps({"call": callable_name, "args": list(args), "memory": memory_bytes, "cpu": cpu_seconds})
    environment = {
        **_ENVIRONMENT,
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    with tempfile.TemporaryFile() as copied:
        source = stream
        if not _is_file(stream):
            copyfileobj(stream, copied)
            copied.flush()
            source = copied
        os.lseek(source.fileno(), 0, os.SEEK_SET)
        try:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "provenance.fingerprints.sandbox", request],
                stdin=source.fileno(),
                capture_output=True,
                check=False,
                env=environment,
                timeout=2 * cpu_seconds + GRACE_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise _too_long(cpu_seconds) from error
    return _answer(done, memory_bytes, cpu_seconds)


def _is_file(stream: BinaryIO) -> bool:
    """Whether the child can read the stream by its descriptor, and from the start."""
    try:
        return stream.seekable() and os.lseek(stream.fileno(), 0, os.SEEK_CUR) >= 0
    except (OSError, AttributeError):
        return False


def _answer(done: subprocess.CompletedProcess[bytes], memory_bytes: int, cpu_seconds: int) -> bytes:
    kind, payload = done.stdout[:1], done.stdout[1:]
    if kind == b"=" and done.returncode == 0:
        return payload
    if kind == b"!":
        told: dict[str, Figure] = json.loads(payload)
        raise FingerprintRefusal(
            str(told["code"]),
            str(told["message"]),
            limit=told["limit"],
            actual=told["actual"],
            todo=None if told["todo"] is None else str(told["todo"]),
        )
    trace = done.stderr[-4096:].decode("utf-8", "replace")
    if done.returncode in {-9, -24}:  # SIGXCPU, then SIGKILL
        raise _too_long(cpu_seconds)
    if done.returncode == -6 or "alloc" in trace.lower() or "memory" in trace.lower():
        raise _too_much(memory_bytes)
    raise FingerprintRefusal(
        "sandbox.failed",
        "The file made its decoder fail.",
        actual=done.returncode,
        todo="Write the file anew with a current library and upload it again.",
    )


def _too_much(memory_bytes: int) -> FingerprintRefusal:
    return FingerprintRefusal(
        "sandbox.memory",
        "Reading the file needs more memory than a file may use here, in bytes.",
        limit=memory_bytes,
        actual="more",
        todo="Write it in smaller row groups and without oversized values.",
    )


def _too_long(cpu_seconds: int) -> FingerprintRefusal:
    return FingerprintRefusal(
        "sandbox.cpu",
        "Reading the file takes more processor time than its size allows, in seconds.",
        limit=cpu_seconds,
        actual="more",
        todo="Split it into several files.",
    )


def _child(request: str) -> int:
    """Run in the child: import, limit, work, answer."""
    wanted = json.loads(request)
    module, _, name = wanted["call"].partition(":")
    function = getattr(import_module(module), name)
    reserve = bytearray(STATED)  # so that there is memory left to say that there is none
    _limit(wanted["memory"], wanted["cpu"])
    try:
        with os.fdopen(0, "rb") as stream:
            answer = b"=" + function(stream, *wanted["args"])
    except FingerprintRefusal as refusal:
        answer = b"!" + _stated(refusal)
    except MemoryError:
        del reserve
        answer = b"!" + _stated(_too_much(wanted["memory"]))
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * _PAGE
    spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + 1
    resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (spent + cpu_seconds, spent + cpu_seconds + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _stated(refusal: FingerprintRefusal) -> bytes:
    fields = {name: getattr(refusal, name) for name in ("code", "message", "limit", "actual", "todo")}
    return json.dumps(fields).encode()


if __name__ == "__main__":
    raise SystemExit(_child(sys.argv[1]))
