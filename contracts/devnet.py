"""The contracts on a development chain, deployed as docs/chain.md says and driven over JSON-RPC, for tests and gas.py.

Small on purpose, and apart from `provenance.adapters`: what it says about the contracts does not depend on the code
that they are to be checked against.
"""

import http.client
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eth_abi.abi import decode, encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

ARTIFACTS = Path(__file__).resolve().parent / "artifacts"
DAY = 86_400
ZERO_DIGEST = bytes(32)
ROLES = {"guardian": 1, "refunder": 2, "resolver": 3, "steward": 4, "treasurer": 5}
MARKET_ROLES = {
    "guardian": ["veto"],
    "refunder": ["refund"],
    "resolver": ["freeze", "unfreeze", "setBeneficiary"],
    "steward": ["allowToken", "stopToken", "setURI"],
    "treasurer": ["setFee", "setProposer", "setFeePayee", "withdrawForfeits"],
}
REGISTRY_ROLES = {"steward": ["setBaseURI"], "treasurer": ["addLicenseSource"]}

# Short names stand for `type name` pairs of the EIP-712 types in docs/chain.md.
TYPES = {
    "Registration": "address owner,bytes32 manifest,bytes32 package,uint8 packageKind,bool openDerive,uint16 deriveBps,"
    "bytes32 splits,uint256[] parents,uint256[] parentLicenses,uint16 maxStackBps,uint256 deadline",
    "Derivation": "uint256 license,address owner,bytes32 manifest",
    "Version": "uint256 dataset,uint32 expectedVersion,bytes32 manifest,bytes32 package,uint8 packageKind,"
    "uint256 deadline",
    "Package": "uint256 dataset,uint32 version,uint32 number,bytes32 package,uint8 kind,uint256 deadline",
    "DeriveTerms": "uint256 dataset,uint16 deriveBps,bool openDerive,uint256 nonce,uint256 deadline",
    "Splits": "uint256 dataset,bytes32 splits,uint256 nonce,uint256 deadline",
    "HandOver": "uint256 dataset,address to,uint256 nonce,uint256 deadline",
    "Offer": "uint64 dataset,uint32 version,bytes32 terms,bytes32 document,uint16 uses,uint64 price,address token,"
    "uint16 feeBps,uint32 holdSeconds,uint32 termSeconds,uint40 expiry,uint32 maxLicenses,address licensee,"
    "uint16 grounds,uint16 cureDays,uint64 unitPrice,uint256 nonce",
    "Order": "bytes32 offer,address payer,address licensee,bytes32 order,uint256 validBefore",
    "Voucher": "uint64 license,uint64 cumulativeUnits,uint64 cumulativeAmount,bytes32 reportsRoot",
    "OfferCancellation": "uint64 dataset,uint256 nonce,uint256 deadline",
    "Revocation": "uint64 license,uint16 ground,bytes32 reason,uint32 round,uint256 deadline",
    "RevocationWithdrawal": "uint64 license,uint32 round,uint256 deadline",
    "PayeeAcceptance": "address account,uint256 deadline",
    "PayeeChange": "uint32 payee,address to,uint32 nonce,uint256 deadline",
    "ReceiveWithAuthorization": "address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,"
    "bytes32 nonce",
    "CancelAuthorization": "address authorizer,bytes32 nonce",
    "Permit": "address owner,address spender,uint256 value,uint256 nonce,uint256 deadline",
}


class Reverted(Exception):
    """A contract refused: the name of its error and the arguments."""

    def __init__(self, name: str, arguments: tuple[Any, ...] = ()) -> None:
        super().__init__(f"{name}{arguments}")
        self.name = name
        self.arguments = arguments


@dataclass(frozen=True, slots=True)
class Abi:
    """Selectors and types of one contract."""

    functions: dict[str, tuple[bytes, list[str], list[str]]]
    events: dict[bytes, dict[str, Any]]
    errors: dict[bytes, tuple[str, list[str]]]
    bytecode: bytes
    constructor: list[str]

    @classmethod
    def load(cls, name: str) -> "Abi":
        """Read a checked-in artifact."""
        artifact = json.loads((ARTIFACTS / f"{name}.json").read_text(encoding="utf-8"))
        functions, events, errors, constructor = {}, {}, {}, []
        for entry in artifact["abi"]:
            kinds = [abi_type(given) for given in entry.get("inputs", ())]
            if entry["type"] == "constructor":
                constructor = kinds
                continue
            if entry["type"] not in {"function", "event", "error"}:
                continue
            topic = keccak(text=f"{entry['name']}({','.join(kinds)})")
            if entry["type"] == "function":
                functions[entry["name"]] = (topic[:4], kinds, [abi_type(out) for out in entry["outputs"]])
            elif entry["type"] == "event":
                events[topic] = entry
            else:
                errors[topic[:4]] = (entry["name"], kinds)
        return cls(functions, events, errors, bytes.fromhex(artifact["bytecode"][2:]), constructor)


def abi_type(given: dict[str, Any]) -> str:
    """Canonical ABI type, tuples written out."""
    if not given["type"].startswith("tuple"):
        return str(given["type"])
    return f"({','.join(abi_type(part) for part in given['components'])}){given['type'].removeprefix('tuple')}"


@dataclass(frozen=True, slots=True)
class Person:
    """An account with its key."""

    key: bytes
    address: str

    @classmethod
    def named(cls, name: str) -> "Person":
        """The same account for the same name, on development chains only."""
        key = keccak(text=f"cadastre development {name}")
        return cls(key, Account.from_key(key).address)


@dataclass(slots=True)
class Devnet:
    """One development chain with everything deployed; `contracts` maps names to addresses."""

    url: str
    chain_id: int = 0
    contracts: dict[str, str] = field(default_factory=dict)
    operator: str = ""
    _connection: http.client.HTTPConnection | None = None
    _ids: itertools.count = field(default_factory=itertools.count)
    _abis: dict[str, Abi] = field(default_factory=dict)

    def rpc(self, method: str, *parameters: Any) -> Any:
        """One JSON-RPC call; a revert becomes `Reverted`."""
        answer = self._post(self._request(method, parameters))
        if "error" in answer:
            raise self._reverted(answer["error"])
        return answer["result"]

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def abi(self, contract: str) -> Abi:
        """Artifact of a contract by its name."""
        if contract not in self._abis:
            self._abis[contract] = Abi.load(contract)
        return self._abis[contract]

    def transact(self, sender: str, contract: str, function: str, *arguments: Any) -> dict[str, Any]:
        """Send a call from an unlocked or impersonated account and wait for its receipt."""
        return self._send({"from": sender, "to": self.contracts[contract]}, self._data(contract, function, arguments))

    def call(self, contract: str, function: str, *arguments: Any) -> Any:
        """Read; one value, or a tuple of them."""
        request = {"to": self.contracts[contract], "data": "0x" + self._data(contract, function, arguments).hex()}
        result = self.rpc("eth_call", request, "latest")
        values = decode(self.abi(contract).functions[function][2], bytes.fromhex(result[2:]))
        return values[0] if len(values) == 1 else values

    def call_many(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Read several, in one round trip: each is (contract, function, *arguments)."""
        batch = []
        for contract, function, *arguments in calls:
            request = {"to": self.contracts[contract], "data": "0x" + self._data(contract, function, arguments).hex()}
            batch.append(self._request("eth_call", (request, "latest")))
        answers = {answer["id"]: answer for answer in self._post(batch)}
        values = []
        for (contract, function, *_), request in zip(calls, batch, strict=True):
            raw = bytes.fromhex(answers[request["id"]]["result"][2:])
            decoded = decode(self.abi(contract).functions[function][2], raw)
            values.append(decoded[0] if len(decoded) == 1 else decoded)
        return values

    def events(self, receipt: dict[str, Any], name: str) -> list[dict[str, Any]]:
        """All events of that name in a receipt, arguments by name."""
        found = []
        for log in receipt["logs"]:
            contract = next((n for n, a in self.contracts.items() if a.lower() == log["address"].lower()), None)
            entry = self.abi(contract).events.get(bytes.fromhex(log["topics"][0][2:])) if contract else None
            if entry is not None and entry["name"] == name:
                found.append(_event(entry, log))
        return found

    def deploy(self, name: str, *arguments: Any) -> str:
        """Deploy an artifact from the operator's account."""
        abi = self.abi(name)
        receipt = self._send({"from": self.operator}, abi.bytecode + encode(abi.constructor, arguments))
        self.contracts[name] = to_checksum_address(receipt["contractAddress"])
        return self.contracts[name]

    def now(self) -> int:
        """Time of the latest block."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def advance(self, seconds: int) -> None:
        """Mine a block `seconds` later."""
        self.rpc("evm_setNextBlockTimestamp", self.now() + seconds)
        self.rpc("evm_mine")

    def impersonate(self, account: str) -> None:
        """Let the chain send from an account whose key it does not hold."""
        self.rpc("anvil_impersonateAccount", account)
        self.rpc("anvil_setBalance", account, hex(10**20))

    def sign(self, person: Person, primary: str, message: dict[str, Any], *, domain: str = "Market") -> bytes:
        """EIP-712 signature, `r ‖ s ‖ v`."""
        fields = [dict(zip(("type", "name"), part.split(), strict=True)) for part in TYPES[primary].split(",")]
        names = {"Market": "Cadastre Market", "DatasetRegistry": "Cadastre Registry", "TestUSD": "Test USD"}
        data = {
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                primary: fields,
            },
            "primaryType": primary,
            "domain": {
                "name": names[domain],
                "version": "1",
                "chainId": self.chain_id,
                "verifyingContract": self.contracts[domain],
            },
            "message": message,
        }
        return bytes(Account.sign_message(encode_typed_data(full_message=data), person.key).signature)

    def set_up(self, *, fee_bps: int = 250, bucket_seconds: int = DAY, bond: int = 1_000_000_000) -> None:
        """Deploy and grant everything as docs/chain.md says, with the operator in every role and as proposer."""
        self.chain_id = int(self.rpc("eth_chainId"), 16)
        self.operator = to_checksum_address(self.rpc("eth_accounts")[0])
        authority = self.deploy("AccessManager", self.operator)
        token = self.deploy("TestUSD")
        registry = self.deploy("DatasetRegistry", authority, "https://cadastre.example/d/")
        config = (
            registry, authority, fee_bps, bucket_seconds, 30 * DAY, 3 * DAY, 900, 35 * DAY, 30 * DAY, 14 * DAY,
            3 * DAY, bond,
        )  # fmt: skip
        extension = self.deploy("MarketExtension", config)
        market = self.deploy("Market", config, extension, "https://cadastre.example/l/{id}.json")
        self.deploy("EvidenceAnchor")
        for name, roles in (("Market", MARKET_ROLES), ("DatasetRegistry", REGISTRY_ROLES)):
            for role, functions in roles.items():
                selectors = [self.abi(name).functions[function][0] for function in functions]
                arguments = (self.contracts[name], selectors, ROLES[role])
                self.transact(self.operator, "AccessManager", "setTargetFunctionRole", *arguments)
        for role in ROLES.values():
            self.transact(self.operator, "AccessManager", "grantRole", role, self.operator, 0)
        self.transact(self.operator, "DatasetRegistry", "addLicenseSource", market)
        self.transact(self.operator, "TestUSD", "mint", self.operator, 10**12)
        self.transact(self.operator, "TestUSD", "approve", market, 10_000)
        self.transact(self.operator, "Market", "allowToken", token)
        self.transact(self.operator, "Market", "setProposer", token, self.operator)

    def _data(self, contract: str, function: str, arguments: Sequence[Any]) -> bytes:
        selector, kinds, _ = self.abi(contract).functions[function]
        return selector + encode(kinds, arguments)

    def _request(self, method: str, parameters: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": parameters}

    def _post(self, body: Any) -> Any:
        if self._connection is None:
            parts = urlsplit(self.url)
            self._connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=60)
        self._connection.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(self._connection.getresponse().read())

    def _send(self, transaction: dict[str, str], data: bytes) -> dict[str, Any]:
        receipt: dict[str, Any] = self.rpc("eth_sendTransactionSync", {**transaction, "data": "0x" + data.hex()})
        if receipt["status"] != "0x1":
            # A receipt does not say why; the same call on the state that it left does.
            self.rpc("eth_call", {**transaction, "data": "0x" + data.hex()}, "latest")
            raise Reverted("transaction", (receipt["transactionHash"],))
        return receipt

    def _reverted(self, error: dict[str, Any]) -> Exception:
        data = error.get("data")
        if not isinstance(data, str) or len(data) < 10:
            return Reverted(error.get("message", "unknown"))
        raw = bytes.fromhex(data[2:])
        for name in [*self.contracts, "Market", "DatasetRegistry", "TestUSD"]:
            if raw[:4] in self.abi(name).errors:
                label, kinds = self.abi(name).errors[raw[:4]]
                return Reverted(label, decode(kinds, raw[4:]))
        return Reverted(data)


def struct_hash(primary: str, message: dict[str, Any]) -> bytes:
    """EIP-712 struct hash of a type whose members are all static words."""
    kinds = [part.split()[0] for part in TYPES[primary].split(",")]
    return keccak(encode(["bytes32", *kinds], [keccak(text=f"{primary}({TYPES[primary]})"), *struct(primary, message)]))


def split_signature(signature: bytes) -> tuple[int, bytes, bytes]:
    """`v`, `r`, `s` as EIP-3009 and EIP-2612 take them."""
    return signature[64], signature[:32], signature[32:64]


def struct(primary: str, message: dict[str, Any]) -> tuple[Any, ...]:
    """The message's values in the order of its EIP-712 type, which is that of its Solidity struct."""
    return tuple(message[part.split()[1]] for part in TYPES[primary].split(","))


def _event(entry: dict[str, Any], log: dict[str, Any]) -> dict[str, Any]:
    indexed = [given for given in entry["inputs"] if given["indexed"]]
    plain = [given for given in entry["inputs"] if not given["indexed"]]
    values = {
        given["name"]: decode([abi_type(given)], bytes.fromhex(topic[2:]))[0]
        for given, topic in zip(indexed, log["topics"][1:], strict=True)
    }
    words = decode([abi_type(given) for given in plain], bytes.fromhex(log["data"][2:]))
    return values | dict(zip((given["name"] for given in plain), words, strict=True))
