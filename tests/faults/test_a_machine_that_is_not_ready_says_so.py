"""`make run` on a machine where something is missing: one sentence, with what to do, and nothing is started."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from marketplace.management.preflight import CannotStart, check_disk, check_port, check_writable, take_folder
from provenance.adapters.local_process import free_port
from tests.faults.instance import OURS, ROOT


def up(var: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    others = {name: value for name, value in os.environ.items() if not OURS.fullmatch(name)}
    return subprocess.run(
        [sys.executable, "manage.py", "up", "--no-story", *words],
        cwd=ROOT, env=others | {"CADASTRE_VAR": str(var)} | more, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_port_that_is_taken_is_named_with_another_one_to_take(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = up(tmp_path, "--port", str(port))
    assert done.returncode == 1
    (said,) = done.stderr.strip().splitlines()
    assert f"127.0.0.1:{port} cannot be used: Address already in use." in said
    assert f"make run ARGS='--port {port + 1}'" in said
    assert not (tmp_path / "chain").exists()
    assert not (tmp_path / "cadastre.sqlite3").exists()


def test_a_free_port_is_taken() -> None:
    check_port(free_port())


def test_a_disk_without_room_is_named_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_disk(tmp_path, least=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=300 * 2**20))
    with pytest.raises(CannotStart) as refused:
        check_disk(tmp_path)
    assert (refused.value.limit, refused.value.actual) == ("512 MiB free", "300 MiB free")
    assert "CADASTRE_VAR" in str(refused.value)


def test_a_database_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "cadastre.sqlite3"
    check_writable(tmp_path, database)
    database.touch(mode=0o444)
    # Root may write everything, so that the answer for everybody else is given here.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != database)
    with pytest.raises(CannotStart) as refused:
        check_writable(tmp_path, database)
    assert str(database) in str(refused.value)
    assert "chmod u+w" in str(refused.value)


def test_a_second_instance_in_the_same_folder_is_told_who_has_it(tmp_path: Path) -> None:
    first = take_folder(tmp_path)
    with pytest.raises(CannotStart) as refused:
        take_folder(tmp_path)
    assert refused.value.actual == f"process {os.getpid()}"
    first.close()
    take_folder(tmp_path).close()


def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    done = up(tmp_path, CADASTRE_EPOCH_SECONDS="soon")
    assert done.returncode == 1
    assert done.stderr == "CADASTRE_EPOCH_SECONDS is 'soon'; write a whole number from 1 to 31536000.\n"
