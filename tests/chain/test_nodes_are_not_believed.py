"""The chain adapter: what a node says is held against its blocks, what it refuses is told in the contract's words."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from provenance.adapters.evm import EvmChain
from provenance.adapters.evm_development import DevelopmentChain
from provenance.adapters.keystore import SeedKeyRing
from provenance.core.keccak import keccak256
from provenance.ports import Call, CallRefused, ChainDown, ChainRefusal
from tests.chain.conftest import World

Answer = Callable[[str, list[Any], Any], Any]


class _Node:
    """A proxy before anvil that alters answers."""

    def __init__(self, url: str) -> None:
        self.alter: Answer = lambda _method, _params, answer: answer
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = requests.post(url, json=question, timeout=10).json()
                answer = node.alter(question["method"], question["params"], answer)
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def node(world: World) -> Iterator[_Node]:
    running = _Node(world.url)
    yield running
    running.stop()


@pytest.fixture
def through(node: _Node, world: World) -> EvmChain:
    return EvmChain(node.url, chain_id=world.chain.chain_id, addresses=world.deployed.addresses)


def _transfer(world: World, ring: SeedKeyRing, **changes: object) -> bytes:
    fees = world.chain.fees()
    sender = ring.address("lane/relayer/0")
    fields: dict[str, object] = {
        "chainId": world.chain.chain_id, "nonce": world.chain.nonce(sender), "to": bytes(20), "value": 1, "data": b"",
        "gas": 21_000, "maxFeePerGas": 2 * fees.base_fee + fees.priority_fee, "maxPriorityFeePerGas": fees.priority_fee,
    }  # fmt: skip
    return ring.sign_transaction("lane/relayer/0", fields | changes).raw


def test_a_transaction_that_was_sent_is_found_with_its_receipt(world: World, ring: SeedKeyRing) -> None:
    raw = _transfer(world, ring)
    tx = world.chain.send_raw(raw)
    receipt = world.chain.receipt(tx)
    assert receipt is not None
    assert receipt.succeeded
    assert world.chain.known(tx)
    assert world.chain.header(receipt.block_number).hash == receipt.block_hash
    assert world.chain.receipt("0x" + "00" * 32) is None


def test_the_same_bytes_sent_twice_are_one_transaction(world: World, ring: SeedKeyRing) -> None:
    world.development.set_automine(on=False)
    raw = _transfer(world, ring)
    assert world.chain.send_raw(raw) == world.chain.send_raw(raw) == "0x" + keccak256(raw).hex()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"nonce": 0}, "chain.nonce_low"),
        ({"value": 10**30}, "chain.funds"),
        ({"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}, "chain.underpriced"),
    ],
)
def test_a_transaction_that_the_node_refuses_says_why(
    world: World, ring: SeedKeyRing, changes: dict[str, object], code: str
) -> None:
    world.chain.send_raw(_transfer(world, ring))
    with pytest.raises(ChainRefusal) as refused:
        world.chain.send_raw(_transfer(world, ring, **changes))
    assert refused.value.code == code


def test_a_replacement_that_pays_too_little_more_is_underpriced(world: World, ring: SeedKeyRing) -> None:
    world.development.set_automine(on=False)
    world.chain.send_raw(_transfer(world, ring))
    with pytest.raises(ChainRefusal) as refused:
        world.chain.send_raw(_transfer(world, ring, value=2))
    assert refused.value.code == "chain.underpriced"


def test_a_contracts_refusal_arrives_with_its_name_and_arguments(world: World, ring: SeedKeyRing) -> None:
    sender = ring.address("lane/relayer/0")
    digest = bytes(31) + b"\x01"

    def anchored(size: int) -> Call:
        chain = world.chain
        return Call(
            chain.address("EvidenceAnchor"), chain.encode("EvidenceAnchor", "anchor", digest, size, digest, digest)
        )

    assert world.chain.simulate(anchored(1), sender=sender) > 21_000
    with pytest.raises(CallRefused) as refused:
        world.chain.simulate(anchored(0), sender=sender)
    assert refused.value.code == "chain.AnchorNotGrowing"
    assert refused.value.arguments == {"origin": "0x" + digest.hex(), "size": "0", "latest": "0"}
    with pytest.raises(CallRefused) as refused:
        world.chain.read("DatasetRegistry", "ownerOf", 7)
    assert refused.value.code == "chain.ERC721NonexistentToken"


def test_view_functions_return_what_they_declare(world: World) -> None:
    assert world.chain.read("DatasetRegistry", "datasetCount") == 0
    assert world.chain.read("Market", "offerState", 1, 1) == (False, 0)
    config = world.chain.read("Market", "config")
    assert isinstance(config, dict)
    assert config["registry"] == world.deployed.addresses["DatasetRegistry"]
    latest = world.chain.read("EvidenceAnchor", "latest", bytes(32), "0x" + "11" * 20)
    assert latest == (0, 0)
    finalized = world.chain.header("finalized")
    assert world.chain.read("Market", "licenseCount", at=finalized.hash) == 0
    assert world.chain.read("Market", "licenseCount", at=finalized.number) == 0


def test_arguments_that_do_not_fit_are_refused_before_they_are_sent(world: World) -> None:
    for args in ((1,), ("x", 1, b"", b""), (bytes(32), -1, bytes(32), bytes(32))):
        with pytest.raises(ChainRefusal):
            world.chain.encode("EvidenceAnchor", "anchor", *args)


def test_a_node_of_another_chain_is_refused_before_anything_is_believed(world: World) -> None:
    other = EvmChain(world.url, chain_id=1, addresses=world.deployed.addresses)
    with pytest.raises(ChainRefusal) as refused:
        other.nonce("0x" + "11" * 20)
    assert refused.value.code == "chain.other"
    assert refused.value.limit == 1


def test_a_node_that_moves_to_another_chain_after_a_failure_is_noticed(node: _Node, through: EvmChain) -> None:
    assert through.header("latest").number > 0

    def gone(method: str, _params: list[Any], answer: Any) -> Any:
        return {**answer, "result": "0x1"} if method == "eth_chainId" else "not an object"

    node.alter = gone
    with pytest.raises(ChainDown):
        through.header("latest")
    with pytest.raises(ChainRefusal) as refused:
        through.header("latest")
    assert refused.value.code == "chain.other"


@pytest.mark.parametrize(
    "forged",
    [
        {"transactionHash": "0x" + "11" * 32},
        {"blockHash": "0x" + "22" * 32},
        {"blockNumber": "0x1"},
        {"blockNumber": "0xffffff"},
    ],
)
def test_a_forged_receipt_is_refused(
    world: World, node: _Node, through: EvmChain, ring: SeedKeyRing, forged: dict[str, str]
) -> None:
    tx = world.chain.send_raw(_transfer(world, ring))
    honest = through.receipt(tx)
    assert honest is not None

    def forge(method: str, _params: list[Any], answer: Any) -> Any:
        if method == "eth_getTransactionReceipt":
            return {**answer, "result": {**answer["result"], **forged}}
        return answer

    node.alter = forge
    with pytest.raises(ChainRefusal) as refused:
        through.receipt(tx)
    assert refused.value.code == "chain.receipt"


def test_logs_of_another_block_are_refused(world: World, node: _Node, through: EvmChain, ring: SeedKeyRing) -> None:
    block = _anchored_block(world, ring)
    assert [log.name for log in through.logs(block)] == ["Anchored"]

    def forge(method: str, _params: list[Any], answer: Any) -> Any:
        if method == "eth_getLogs":
            return {**answer, "result": [{**log, "blockHash": "0x" + "33" * 32} for log in answer["result"]]}
        return answer

    node.alter = forge
    with pytest.raises(ChainRefusal) as refused:
        through.logs(block)
    assert refused.value.code == "chain.logs"


def test_an_event_arrives_with_exact_values(world: World, ring: SeedKeyRing) -> None:
    (log,) = world.chain.logs(_anchored_block(world, ring))
    assert (log.contract, log.name) == ("EvidenceAnchor", "Anchored")
    assert log.args == {
        "origin": "0x" + "01" * 32, "sender": ring.address("lane/anchor"), "index": "1", "size": str(2**63 + 1),
        "root": "0x" + "02" * 32, "snapshot": "0x" + "03" * 32,
    }  # fmt: skip
    assert world.chain.blocks_with_logs(log.block_number - 1, log.block_number) == {log.block_number}


def test_a_node_that_does_not_answer_is_down_and_the_outcome_unknown() -> None:
    silent = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)  # accepts, never answers
    try:
        chain = EvmChain(f"http://127.0.0.1:{silent.server_port}", chain_id=1, addresses={}, timeout=0.2)
        with pytest.raises(ChainDown) as refused:
            chain.header("latest")
        assert refused.value.code == "chain.timeout"
    finally:
        silent.server_close()
    with pytest.raises(ChainDown) as refused:
        EvmChain("http://127.0.0.1:9", chain_id=1, addresses={}).header("latest")
    assert refused.value.code == "chain.down"


def test_a_block_that_the_chain_does_not_have_is_missing_by_name(world: World) -> None:
    for at in (10**9, "0x" + "44" * 32):
        with pytest.raises(ChainRefusal) as refused:
            world.chain.header(at)
        assert refused.value.code == "chain.no_block"


def test_development_commands_are_refused_by_other_nodes(node: _Node, through: EvmChain) -> None:
    node.alter = lambda method, _params, answer: (
        {**answer, "result": "Geth/v1.16"} if method == "web3_clientVersion" else answer
    )
    with pytest.raises(ChainRefusal) as refused:
        DevelopmentChain(through)
    assert refused.value.code == "chain.not_development"


def _anchored_block(world: World, ring: SeedKeyRing) -> str:
    chain = world.chain
    fees = chain.fees()
    words = [bytes([number]) * 32 for number in (1, 2, 3)]
    data = chain.encode("EvidenceAnchor", "anchor", words[0], 2**63 + 1, words[1], words[2])
    sender = ring.address("lane/anchor")
    raw = ring.sign_transaction("lane/anchor", {
        "chainId": chain.chain_id, "nonce": chain.nonce(sender), "value": 0, "data": data, "gas": 200_000,
        "to": bytes.fromhex(chain.address("EvidenceAnchor")[2:]), "maxFeePerGas": 2 * fees.base_fee + fees.priority_fee,
        "maxPriorityFeePerGas": fees.priority_fee,
    }).raw  # fmt: skip
    receipt = chain.receipt(chain.send_raw(raw))
    assert receipt is not None
    return receipt.block_hash
