"""What each store does when what it stands on fails: a full disk, altered files, a lying or absent node."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Never

import pytest

from provenance.adapters import blocks_local
from provenance.adapters.blocks_local import LocalBlocks
from provenance.adapters.blocks_memory import MemoryBlocks
from provenance.adapters.kubo import KuboBlocks
from provenance.core.cid import Cid
from provenance.ports import StoreRefusal

DATA = b"Ada's photograph"
CID = Cid.of(DATA)


def _block_file(root: Path) -> Path:
    return next(path for path in (root / "blocks").rglob("b*") if path.is_file())


def test_a_flipped_bit_on_disk_is_found_when_the_block_is_read(tmp_path: Path) -> None:
    store = LocalBlocks(tmp_path)
    store.put_block(CID, DATA)
    _block_file(tmp_path).write_bytes(b"bda's photograph")
    with pytest.raises(StoreRefusal) as refused:
        store.get_block(CID)
    assert refused.value.code == "store.mismatch"


def test_putting_the_right_bytes_again_heals_an_altered_block(tmp_path: Path) -> None:
    store = LocalBlocks(tmp_path)
    store.put_block(CID, DATA)
    _block_file(tmp_path).write_bytes(b"")
    store.put_block(CID, DATA)
    assert store.get_block(CID) == DATA


def test_another_process_sees_blocks_and_pins(tmp_path: Path) -> None:
    LocalBlocks(tmp_path).put_block(CID, DATA)
    LocalBlocks(tmp_path).pin(CID, announce=True)
    again = LocalBlocks(tmp_path)
    assert again.get_block(CID) == DATA
    assert list(again.pins()) == [CID]
    assert again.announced(CID)


def test_the_last_bytes_of_the_disk_are_left_to_the_database(tmp_path: Path) -> None:
    store = LocalBlocks(tmp_path, reserve=10**18)
    with pytest.raises(StoreRefusal) as refused:
        store.put_block(CID, DATA)
    assert refused.value.code == "store.full"
    assert refused.value.limit == 10**18
    assert not store.has(CID)
    assert not store.health().ok


def test_a_disk_that_fills_up_while_writing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: object, target: object) -> Never:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = LocalBlocks(tmp_path)
    monkeypatch.setattr(blocks_local.Path, "replace", full)
    with pytest.raises(StoreRefusal) as refused:
        store.put_block(CID, DATA)
    assert refused.value.code == "store.full"
    assert not store.has(CID)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    LocalBlocks(tmp_path)
    old, young = tmp_path / "tmp/old", tmp_path / "tmp/young"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (0, 0))
    LocalBlocks(tmp_path)
    assert not old.exists()
    assert young.exists()


def test_a_store_in_memory_has_a_limit_too() -> None:
    store = MemoryBlocks(capacity=20)
    store.put_block(CID, DATA)
    with pytest.raises(StoreRefusal) as refused:
        store.put_block(Cid.of(b"another block"), b"another block")
    assert refused.value.code == "store.full"
    assert refused.value.limit == 20


class _LyingNode(BaseHTTPRequestHandler):
    """Hands out other bytes, and has Kubo's own defaults."""

    def do_POST(self) -> None:
        body = b"{}" if self.path.startswith("/api/v0/config/show") else b"Mallory's photograph"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def lying_node() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _LyingNode)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_node_that_returns_other_bytes_is_refused(lying_node: str) -> None:
    node = KuboBlocks(lying_node)
    with pytest.raises(StoreRefusal) as refused:
        node.get_block(CID)
    assert refused.value.code == "store.mismatch"
    node.close()


def test_a_node_that_does_not_run_is_down_by_name() -> None:
    node = KuboBlocks("/ip4/127.0.0.1/tcp/9/http", timeout=2)
    with pytest.raises(StoreRefusal) as refused:
        node.get_block(CID)
    assert refused.value.code == "store.down"
    health = node.health()
    assert not health.ok
    assert "unreachable" in health.cause
    node.close()


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(StoreRefusal) as refused:
        KuboBlocks("localhost")
    assert refused.value.code == "store.address"


def test_a_node_that_announces_every_pin_gets_no_sealed_data(lying_node: str) -> None:
    node = KuboBlocks(lying_node)
    with pytest.raises(StoreRefusal) as refused:
        node.pin(CID, announce=False)
    assert refused.value.code == "store.announces"
    assert "Provide.Strategy mfs" in (refused.value.todo or "")
    node.close()
