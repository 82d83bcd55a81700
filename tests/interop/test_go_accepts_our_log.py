"""A stranger's implementation of signed notes and tiled logs reads what we write: golang.org/x/mod/sumdb."""

import base64
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.provenance_core.logs import Log

SOURCE = Path(__file__).parent / "golog"
SIZES = [1, 2, 255, 256, 257, 700, 66_000]


@pytest.fixture(scope="session")
def golog(tmp_path_factory):
    go = shutil.which("go")
    if go is None:
        if os.environ.get("CADASTRE_REQUIRE") == "all":
            pytest.fail("Go is required here and not found.")
        pytest.skip("Go is not found.")
    binary = tmp_path_factory.mktemp("golog") / "golog"
    built = subprocess.run(
        [go, "build", "-o", str(binary), "."], cwd=SOURCE, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return lambda *arguments: subprocess.run(
        [binary, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def written(log, folder, old_size=0):
    for path, data in log.files(old_size).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    (folder / "checkpoint").write_text(log.note(), encoding="utf-8")


def test_go_proves_entries_and_consistency_while_the_log_grows(golog, tmp_path):
    log, older = Log(), None
    for size in SIZES:
        grown_from = len(log.entries)
        for number in range(grown_from, size):
            log.append(b'{"entry":%d}' % number)
        written(log, tmp_path, grown_from)
        for index in {0, size // 2, size - 1}:
            done = golog(tmp_path, log.vkey, index, *([older] if older else []))
            assert done.returncode == 0, done.stderr
            ours = [f"proof {base64.b64encode(each).decode()}" for each in log.proof(index).path]
            entry = f"entry {base64.b64encode(log.entries[index]).decode()}"
            assert done.stdout.splitlines() == [entry, *ours]
        older = tmp_path / f"checkpoint-{size}"
        older.write_text(log.note(), encoding="utf-8")


def test_go_refuses_an_altered_tile_entry_and_signature(golog, tmp_path):
    log = Log(entries=[b"entry %d" % number for number in range(300)])
    for path, index in [("tile/0/000", 3), ("tile/0/001.p/44", 256), ("tile/entries/001.p/44", 256), ("checkpoint", 9)]:
        written(log, tmp_path)
        assert golog(tmp_path, log.vkey, index).returncode == 0
        raw = bytearray((tmp_path / path).read_bytes())
        raw[10] ^= 1
        (tmp_path / path).write_bytes(raw)
        assert golog(tmp_path, log.vkey, index).returncode == 1


def test_go_refuses_a_log_that_was_rewritten(golog, tmp_path):
    honest = Log(entries=[b"entry %d" % number for number in range(20)])
    rewritten = Log(entries=[b"other", *honest.entries[1:], b"more"])
    written(rewritten, tmp_path)
    older = tmp_path / "older"
    older.write_text(honest.note(), encoding="utf-8")
    assert golog(tmp_path, rewritten.vkey, 3).returncode == 0
    assert golog(tmp_path, rewritten.vkey, 3, older).returncode == 1
