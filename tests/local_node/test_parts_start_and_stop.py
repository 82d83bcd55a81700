"""The real parts start on free ports, answer, and end with the process that started them."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page
from redis import Redis

from provenance.adapters.local_node import (
    DEVELOPMENT_CHAIN_ID,
    Anvil,
    Kubo,
    LocalNodeMissing,
    answers_as,
    find_ipfs,
    start_anvil,
)
from provenance.adapters.local_process import LocalProcessFailed, free_port, leash, start_process

STARTER = """
import sys, time
from pathlib import Path
from provenance.adapters.local_process import start_process
started = start_process("sleeper", ["sleep", "600"], log=Path(sys.argv[1]), ready=lambda: True, seconds=60)
print(started.process.pid, flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_running(pid)


def test_a_chain_answers_with_an_id_that_no_public_chain_has(anvil: Anvil) -> None:
    assert anvil.chain_id > DEVELOPMENT_CHAIN_ID
    assert answers_as(anvil.url, anvil.chain_id)
    assert not answers_as(anvil.url, 1)


def test_a_kubo_node_listens_on_this_machine_only(kubo_node: Kubo) -> None:
    assert kubo_node.api.startswith("/ip4/127.0.0.1/tcp/")
    assert kubo_node.gateway.startswith("http://127.0.0.1:")


def test_a_cluster_takes_connections(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("select current_setting('server_encoding')").fetchone() == ("UTF8",)


def test_a_broker_answers(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        client.set("cast", "Ada")
        assert client.get("cast") == b"Ada"


def test_a_browser_opens_a_page(page: Page) -> None:
    page.set_content("<h1>Cadastre</h1>")
    assert page.get_by_role("heading").inner_text() == "Cadastre"


def test_a_stopped_chain_answers_no_more(tmp_path: Path) -> None:
    chain = start_anvil(log=tmp_path / "anvil.log", chain_id=DEVELOPMENT_CHAIN_ID + 99)
    chain.stop()
    assert not chain.process.is_running()
    assert not answers_as(chain.url, chain.chain_id)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child whose parent was killed")
def test_a_part_ends_even_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", STARTER, tmp_path / "log"], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout as output:
        pid = int(output.readline())
    assert is_running(pid)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert wait_until_gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child whose parent was killed")
def test_a_part_whose_owner_died_before_the_kernel_was_asked_does_not_start(tmp_path: Path) -> None:
    started = tmp_path / "started"
    asked = shlex.join([*leash(signal.SIGTERM), "touch", str(started)])
    # This process is the grandparent of what it leashes: to the child its owner is gone.
    subprocess.run(["sh", "-c", f"{asked}; true"], check=True)
    assert not started.exists()
    subprocess.run([*leash(signal.SIGTERM), "touch", started], check=True)
    assert started.exists()


def test_a_program_that_ends_early_is_refused_with_its_last_words(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo the port is taken; exit 3"]
    with pytest.raises(LocalProcessFailed, match="the port is taken") as refusal:
        start_process("a server", command, log=tmp_path / "log", ready=lambda: False, seconds=30)
    assert refusal.value.actual == "exit status 3"


def test_a_program_that_never_gets_ready_is_stopped_and_refused(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = ["sh", "-c", f"echo $$ > {pid_file}; exec sleep 600"]

    def never() -> bool:
        while not pid_file.exists() or not pid_file.read_text():
            time.sleep(0.01)
        return False

    with pytest.raises(LocalProcessFailed, match="is not ready") as refusal:
        start_process("a server", command, log=tmp_path / "log", ready=never, seconds=0.5)
    assert refusal.value.limit == "0.5 s"
    assert wait_until_gone(int(pid_file.read_text()))


def test_a_missing_kubo_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("provenance.adapters.local_node.ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CADASTRE_IPFS", raising=False)
    with pytest.raises(LocalNodeMissing, match="make kubo"):
        find_ipfs()


def test_free_ports_can_be_bound() -> None:
    assert 1024 <= free_port() <= 65_535


def test_tests_hash_with_the_fast_keccak() -> None:
    assert os.environ["ETH_HASH_BACKEND"] == "pysha3"
