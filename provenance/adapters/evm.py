"""An EVM chain through its JSON-RPC node. The only module that imports web3.

1. Before anything is believed, the node is asked for its chain id; again after every failed connection.
2. Whatever a node says about a transaction is held against the block that should contain it.
3. Each request has a deadline. After one that ran out nobody knows what the node did: ChainDown, never "failed".
4. Reverts arrive as refusals with the contract's own error name and arguments.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import requests
from web3 import HTTPProvider
from web3.exceptions import Web3Exception

from provenance.adapters.evm_abi import ContractAbi, load_artifact, refused_call
from provenance.core.keccak import keccak256
from provenance.ports import At, Call, CallRefused, ChainDown, ChainRefusal, EventLog, Fees, Header, Receipt

DEFAULT_TIMEOUT = 10.0
CONTRACTS = ("DatasetRegistry", "Market", "EvidenceAnchor")
BATCH = 50
LOG_SPAN = 2_000
"""Blocks per `eth_getLogs`: public nodes refuse more."""

_RECHECK_SECONDS = 60.0
_TAGS = frozenset({"latest", "safe", "finalized", "pending", "earliest"})
_FEE_HISTORY_BLOCKS = 10
_MINIMUM_TIP = 1_000_000
_MESSAGES = (
    ("nonce too low", "chain.nonce_low", "The nonce is used already."),
    ("nonce too high", "chain.nonce_high", "The nonce leaves a gap."),
    ("underpriced", "chain.underpriced", "The fee is too low to replace what waits or to be accepted."),
    ("max fee per gas less than block base fee", "chain.underpriced", "The fee is below the block's base fee."),
    ("insufficient funds", "chain.funds", "The sending address has not enough native currency for gas."),
    ("gas limit", "chain.gas", "The transaction needs more gas than a block holds."),
)
_KNOWN = ("already known", "already imported", "known transaction", "alreadyknown")
_NO_BLOCK = ("unknown block", "block not found", "header not found", "resource not found", "missing trie node")
Answer = TypeVar("Answer")


class EvmChain:
    """See Chain. `addresses` maps contract names to addresses; tokens may be added under `TestUSD` and the like."""

    def __init__(
        self,
        url: str,
        *,
        chain_id: int,
        addresses: Mapping[str, str],
        timeout: float = DEFAULT_TIMEOUT,
        interfaces: Mapping[str, ContractAbi] | None = None,
    ) -> None:
        self.chain_id = chain_id
        self.addresses = {name: address.lower() for name, address in addresses.items()}
        self._timeout = timeout
        self._provider = HTTPProvider(
            url, request_kwargs={"timeout": timeout}, session=requests.Session(), exception_retry_configuration=None
        )
        self._checked_at: float | None = None
        self._interfaces = dict(interfaces or {})
        self._names = {address: name for name, address in self.addresses.items()}

    @classmethod
    def chain_id_of(cls, url: str) -> int:
        """Return the chain id that the node at `url` states, for whoever has nothing to compare it with yet."""
        stranger = cls(url, chain_id=0, addresses={})
        return int(stranger._request("eth_chainId", []), 16)  # our own class

    def check(self) -> None:
        """See Chain."""
        actual = int(self._request("eth_chainId", []), 16)
        if actual != self.chain_id:
            self._checked_at = None
            raise ChainRefusal(
                "chain.other", "The node serves another chain.", limit=self.chain_id, actual=actual,
                todo="Point CADASTRE_RPC_URL to a node of the deployment's chain.",
            )  # fmt: skip
        self._checked_at = time.monotonic()

    def header(self, at: At) -> Header:
        """See Chain."""
        return _header(self._block(at))

    def headers(self, numbers: Sequence[int]) -> list[Header]:
        """See Chain."""
        if self._checked_at is None:
            self.check()
        return [
            header
            for first in range(0, len(numbers), BATCH)
            for header in self._headers(numbers[first : first + BATCH])
        ]

    def logs(self, block_hash: str) -> list[EventLog]:
        """See Chain."""
        followed = self._followed()
        raw = self._ask("eth_getLogs", [{"blockHash": block_hash, "address": followed}])
        for log in raw:
            if log["blockHash"].lower() != block_hash or log["address"].lower() not in followed or log.get("removed"):
                raise ChainRefusal(
                    "chain.logs", "The node returned logs of another block or contract.",
                    limit=block_hash, actual=str(log["blockHash"]),
                )  # fmt: skip
        decoded = (self._event(log) for log in raw)
        return sorted((log for log in decoded if log is not None), key=lambda log: log.log_index)

    def blocks_with_logs(self, first: int, last: int) -> set[int]:
        """See Chain."""
        numbers: set[int] = set()
        for start in range(first, last + 1, LOG_SPAN):
            end = min(start + LOG_SPAN - 1, last)
            query = {"fromBlock": hex(start), "toBlock": hex(end), "address": self._followed()}
            numbers |= {int(log["blockNumber"], 16) for log in self._ask("eth_getLogs", [query])}
        return numbers

    def events(self, contract: str, name: str, *, first: int, last: int, where: Mapping[str, object]) -> list[EventLog]:
        """See Chain."""
        address, topics = self.address(contract), self._interface(contract).event_topics(name, where)
        found: list[EventLog] = []
        for start in range(first, last + 1, LOG_SPAN):
            end = min(start + LOG_SPAN - 1, last)
            query = {"fromBlock": hex(start), "toBlock": hex(end), "address": address, "topics": topics}
            for log in self._ask("eth_getLogs", [query]):
                told = [topic.lower() for topic in log["topics"]]
                asked = all(topic in {None, has} for topic, has in zip(topics, told, strict=False))
                if log["address"].lower() != address or not asked or len(told) < len(topics):
                    raise ChainRefusal(
                        "chain.logs", "The node returned logs of another contract or event.", limit=address,
                        actual=str(log["address"]),
                    )  # fmt: skip
                decoded = self._event(log)
                if decoded is not None:
                    found.append(decoded)
        return sorted(found, key=lambda log: (log.block_number, log.log_index))

    def read(self, contract: str, function: str, *args: object, at: At = "latest") -> object:
        """See Chain."""
        interface = self._interface(contract)
        call = {"to": self.address(contract), "data": "0x" + interface.encode_call(function, args).hex()}
        answer = self._ask("eth_call", [call, _at_parameter(at)])
        return interface.decode_result(function, len(args), bytes.fromhex(answer.removeprefix("0x")))

    def encode(self, contract: str, function: str, *args: object) -> bytes:
        """See Chain."""
        return self._interface(contract).encode_call(function, args)

    def address(self, contract: str) -> str:
        """See Chain."""
        try:
            return self.addresses[contract]
        except KeyError:
            raise ChainRefusal("chain.contract", "The deployment has no such contract.", actual=contract) from None

    def simulate(self, call: Call, *, sender: str) -> int:
        """See Chain."""
        transaction = {"from": sender, "data": "0x" + call.data.hex(), "value": hex(call.value)}
        if call.to is not None:
            transaction["to"] = call.to
        return int(self._ask("eth_estimateGas", [transaction, "latest"]), 16)

    def balance(self, address: str) -> int:
        """See Chain."""
        return int(self._ask("eth_getBalance", [address, "latest"]), 16)

    def code(self, address: str) -> bytes:
        """Return the code at an address; empty where there is no contract."""
        return bytes.fromhex(self._ask("eth_getCode", [address, "latest"]).removeprefix("0x"))

    def nonce(self, address: str, *, at: At = "latest") -> int:
        """See Chain."""
        return int(self._ask("eth_getTransactionCount", [address, _at_parameter(at)]), 16)

    def fees(self) -> Fees:
        """See Chain. The base fee is that of the next block; the tip is the median of what the last ten blocks took."""
        history = self._ask("eth_feeHistory", [hex(_FEE_HISTORY_BLOCKS), "latest", [50]])
        tips = sorted(int(row[0], 16) for row in history.get("reward") or [] if row)
        tip = tips[len(tips) // 2] if tips else 0
        return Fees(base_fee=int(history["baseFeePerGas"][-1], 16), priority_fee=max(tip, _MINIMUM_TIP))

    def send_raw(self, raw: bytes) -> str:
        """See Chain."""
        expected = "0x" + keccak256(raw).hex()
        try:
            answer = self._ask("eth_sendRawTransaction", ["0x" + raw.hex()])
        except ChainRefusal as refusal:
            if refusal.code == "chain.known":
                return expected
            raise
        if str(answer).lower() != expected:
            raise ChainRefusal(
                "chain.hash", "The node names the transaction differently.", limit=expected, actual=str(answer)
            )
        return expected

    def receipt(self, tx: str) -> Receipt | None:
        """See Chain."""
        for last_try in (False, True):
            raw = self._ask("eth_getTransactionReceipt", [tx])
            if raw is None:
                return None
            fault = self._receipt_fault(raw, tx)
            if fault is None:
                return _receipt(raw)
            # A reorg between the two questions looks like a lie; the second time it is one.
            if last_try:
                raise ChainRefusal(
                    "chain.receipt", f"The node's receipt contradicts its block: {fault}.", actual=tx,
                    todo="Ask another node; nothing was booked.",
                )  # fmt: skip
        return None

    def known(self, tx: str) -> bool:
        """See Chain."""
        return self._ask("eth_getTransactionByHash", [tx]) is not None

    def request(self, method: str, *params: object) -> Any:
        """Send any other request; development chains have some of their own. Raises as every request does."""
        return self._ask(method, list(params))

    def _headers(self, numbers: Sequence[int]) -> list[Header]:
        questions = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        answers = self._reached(lambda: self._provider.make_batch_request(questions))  # type: ignore[arg-type]
        if not isinstance(answers, Sequence) or len(answers) != len(numbers):
            return [self.header(number) for number in numbers]  # a node that does not take batches
        found: list[Header] = []
        for number, answer in zip(numbers, answers, strict=True):
            block = answer.get("result")
            if block is None or int(block["number"], 16) != number:
                raise ChainRefusal("chain.no_block", "The chain has no such block.", actual=number)
            found.append(_header(block))
        return found

    def _receipt_fault(self, raw: Mapping[str, Any], tx: str) -> str | None:
        if raw["transactionHash"].lower() != tx:
            return f"it is of the transaction {raw['transactionHash']}"
        try:
            block = self._block(int(raw["blockNumber"], 16))
        except ChainRefusal as refusal:
            return refusal.message
        if block["hash"].lower() != raw["blockHash"].lower():
            return f"block {int(raw['blockNumber'], 16)} is {block['hash']}, not {raw['blockHash']}"
        if tx not in {str(each).lower() for each in block["transactions"]}:
            return f"block {block['hash']} does not hold the transaction"
        return None

    def _block(self, at: At) -> Mapping[str, Any]:
        if isinstance(at, str) and at not in _TAGS:
            block = self._ask("eth_getBlockByHash", [at, False])
        else:
            block = self._ask("eth_getBlockByNumber", [hex(at) if isinstance(at, int) else at, False])
        if block is None:
            raise ChainRefusal("chain.no_block", "The chain has no such block.", actual=str(at))
        wrong_number = isinstance(at, int) and int(block["number"], 16) != at
        if wrong_number or (isinstance(at, str) and at not in _TAGS and block["hash"].lower() != at):
            raise ChainRefusal(
                "chain.block", "The node returned another block.", limit=str(at), actual=str(block["hash"])
            )
        return block

    def _event(self, log: Mapping[str, Any]) -> EventLog | None:
        address = log["address"].lower()
        contract = self._names[address]
        decoded = self._interface(contract).decode_event(
            [topic.lower() for topic in log["topics"]], bytes.fromhex(log["data"].removeprefix("0x"))
        )
        if decoded is None:
            return None
        name, args = decoded
        return EventLog(
            contract=contract,
            address=address,
            name=name,
            args=args,
            tx=log["transactionHash"].lower(),
            log_index=int(log["logIndex"], 16),
            block_number=int(log["blockNumber"], 16),
            block_hash=log["blockHash"].lower(),
        )

    def _followed(self) -> list[str]:
        return [self.addresses[name] for name in CONTRACTS if name in self.addresses]

    def _interface(self, contract: str) -> ContractAbi:
        if contract not in self._interfaces:
            self._interfaces[contract] = load_artifact(contract)
        return self._interfaces[contract]

    def _ask(self, method: str, params: list[object]) -> Any:
        if self._checked_at is None or time.monotonic() - self._checked_at > _RECHECK_SECONDS:
            self.check()
        return self._request(method, params)

    def _request(self, method: str, params: list[object]) -> Any:
        answer: object = self._reached(lambda: self._provider.make_request(method, params))
        if not isinstance(answer, Mapping):
            self._checked_at = None
            raise ChainDown("chain.down", "What answers is not a chain's node.", actual=type(answer).__name__)
        if "error" in answer:
            raise self._refused(answer["error"])
        return answer.get("result")

    def _reached(self, request: Callable[[], Answer]) -> Answer:
        try:
            return request()
        except requests.exceptions.Timeout as error:
            self._checked_at = None
            raise ChainDown(
                "chain.timeout", "The chain's node did not answer in time; what it did is unknown.",
                limit=f"{self._timeout:g} s", todo="The work goes on by itself when the node answers.",
            ) from error  # fmt: skip
        except (requests.exceptions.RequestException, Web3Exception, ValueError) as error:
            self._checked_at = None
            raise ChainDown(
                "chain.down", f"The chain's node is unreachable: {type(error).__name__}.",
                todo="Check CADASTRE_RPC_URL; the work goes on by itself when the node answers.",
            ) from error  # fmt: skip

    def _refused(self, error: object) -> ChainRefusal:
        details: Mapping[str, Any] = error if isinstance(error, Mapping) else {"message": str(error)}
        message = str(details.get("message", ""))
        data = _revert_data(details.get("data"))
        text = message.lower()
        if data is not None or "revert" in text:
            return self._reverted(data or b"")
        if any(sign in text for sign in _KNOWN):
            return ChainRefusal("chain.known", "The node has the transaction already.")
        if any(sign in text for sign in _NO_BLOCK):
            return ChainRefusal("chain.no_block", "The node does not have that block.", actual=message[:200])
        for sign, code, words in _MESSAGES:
            if sign in text:
                return ChainRefusal(code, words, actual=message[:200])
        return ChainRefusal("chain.rejected", f"The node refused: {message[:200]}.")

    def _reverted(self, data: bytes) -> CallRefused:
        return refused_call(data, [self._interface(name) for name in self.addresses])


def _header(block: Mapping[str, Any]) -> Header:
    return Header(
        number=int(block["number"], 16),
        hash=block["hash"].lower(),
        parent=block["parentHash"].lower(),
        timestamp=int(block["timestamp"], 16),
        base_fee=int(block.get("baseFeePerGas") or "0x0", 16),
    )


def _receipt(raw: Mapping[str, Any]) -> Receipt:
    created = raw.get("contractAddress")
    return Receipt(
        tx=raw["transactionHash"].lower(),
        succeeded=int(raw["status"], 16) == 1,
        block_number=int(raw["blockNumber"], 16),
        block_hash=raw["blockHash"].lower(),
        gas_used=int(raw["gasUsed"], 16),
        sender=raw["from"].lower(),
        contract=created.lower() if created else None,
        gas_price=int(raw.get("effectiveGasPrice") or "0x0", 16),
    )


def _at_parameter(at: At) -> object:
    if isinstance(at, int):
        return hex(at)
    return at if at in _TAGS else {"blockHash": at, "requireCanonical": True}


def _revert_data(data: object) -> bytes | None:
    if isinstance(data, Mapping):
        data = data.get("data") or data.get("result")
    if isinstance(data, str) and data.startswith("0x") and len(data) >= 2 + 8:
        return bytes.fromhex(data[2:])
    return None
