"""A chain's saved state reads after any kill, at worst from the copy before."""

import json
import os
import signal
import urllib.request
from pathlib import Path

from provenance.adapters.anvil_state import AnvilState
from provenance.adapters.local_node import Anvil, start_anvil


def ask(chain: Anvil, method: str, *params: object) -> object:
    question = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(chain.url, question, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)["result"]


def write(path: Path, content: bytes, *, at: int) -> None:
    path.write_bytes(content)
    os.utime(path, (at, at))


def test_a_whole_state_is_left_alone(tmp_path: Path) -> None:
    state = AnvilState(tmp_path / "chain.json")
    state.current.write_bytes(b'{"block": 7}')
    assert state.recover() is None
    assert state.current.read_bytes() == b'{"block": 7}'


def test_an_empty_state_is_replaced_by_the_newest_copy_that_reads(tmp_path: Path) -> None:
    state = AnvilState(tmp_path / "chain.json")
    older, newer = state.generations
    write(older, b'{"block": 5}', at=1_000)
    write(newer, b'{"block": 6', at=2_000)
    write(state.current, b"", at=3_000)
    assert state.recover() == older
    assert state.current.read_bytes() == b'{"block": 5}'


def test_without_any_copy_that_reads_a_new_chain_begins(tmp_path: Path) -> None:
    state = AnvilState(tmp_path / "chain.json")
    write(state.current, b'{"blo', at=1_000)
    assert state.recover() is None
    assert not state.current.exists()


def test_copies_alternate_so_that_one_always_is_whole(tmp_path: Path) -> None:
    state = AnvilState(tmp_path / "chain.json")
    for block in (1, 2, 3):
        write(state.current, json.dumps({"block": block}).encode(), at=1_000 * block)
        assert state.keep()
        for copy in state.generations:
            if copy.exists() and copy.read_bytes() == state.current.read_bytes():
                os.utime(copy, (1_000 * block, 1_000 * block))
    assert {json.loads(copy.read_bytes())["block"] for copy in state.generations} == {2, 3}


def test_a_state_is_not_copied_every_second(tmp_path: Path) -> None:
    state = AnvilState(tmp_path / "chain.json")
    write(state.current, b'{"block": 1}', at=1_000)
    assert state.keep()
    copied_at = max(copy.stat().st_mtime for copy in state.generations if copy.exists())
    write(state.current, b'{"block": 2}', at=int(copied_at) + 3)
    assert not state.keep()
    assert state.keep(seconds_apart=0)


def test_a_half_written_state_is_not_copied(tmp_path: Path) -> None:
    state = AnvilState(tmp_path / "chain.json")
    state.current.write_bytes(b'{"block": ')
    assert not state.keep()
    assert not any(copy.exists() for copy in state.generations)


def test_a_chain_stopped_and_started_again_goes_on_where_it_was(tmp_path: Path) -> None:
    file, log = tmp_path / "chain.json", tmp_path / "anvil.log"
    before = start_anvil(log=log, state_file=file)
    ask(before, "anvil_mine", "0x5")
    head = ask(before, "eth_getBlockByNumber", "0x5", False)
    before.stop()
    after = start_anvil(log=log, state_file=file)
    try:
        assert ask(after, "eth_getBlockByNumber", "0x5", False) == head
    finally:
        after.stop()


def test_a_chain_whose_state_was_lost_in_a_kill_starts_from_the_copy(tmp_path: Path) -> None:
    file, log = tmp_path / "chain.json", tmp_path / "anvil.log"
    before = start_anvil(log=log, state_file=file)
    ask(before, "anvil_mine", "0x5")
    before.stop()  # keeps a copy
    again = start_anvil(log=log, state_file=file)
    again.process.process.send_signal(signal.SIGKILL)
    again.process.process.wait()
    file.write_bytes(b"")
    after = start_anvil(log=log, state_file=file)
    try:
        assert int(str(ask(after, "eth_blockNumber")), 16) >= 5
    finally:
        after.stop()
