"""Somebody with a wallet and no account, who uses the contracts directly: the register cannot refuse, only read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from eth_account import Account

from marketplace.core.offer import NEVER, market_domain
from provenance.core.typed_data import StructType, TypedData
from provenance.models import Intent
from provenance.ports import Call
from tests.trade.register import Register

ETHER = 10**18
ZERO = "0x" + "00" * 20
_OFFER = StructType(
    "Offer(uint64 dataset,uint32 version,bytes32 terms,bytes32 document,uint16 uses,uint64 price,address token,"
    "uint16 feeBps,uint32 holdSeconds,uint32 termSeconds,uint40 expiry,uint32 maxLicenses,address licensee,"
    "uint16 grounds,uint16 cureDays,uint64 unitPrice,uint256 nonce)"
)


@dataclass
class Stranger:
    """Sends what they like. `key` is any private key."""

    register: Register
    key: str = "0x" + "4d" * 32

    def __post_init__(self) -> None:
        self.register.world.development.fund(self.address, 10 * ETHER)

    @property
    def address(self) -> str:
        return str(Account.from_key(self.key).address).lower()

    def send(self, call: Call, *, tip: int = 0) -> str:
        """Sign and send a transaction of one's own; return its hash. A high `tip` is mined before others."""
        chain = self.register.world.chain
        fees = chain.fees()
        signed = Account.sign_transaction(
            {
                "chainId": chain.chain_id, "nonce": chain.nonce(self.address), "to": bytes.fromhex(str(call.to)[2:]),
                "data": call.data, "value": 0, "gas": 1_000_000, "type": 2,
                "maxFeePerGas": 10 * fees.base_fee + tip, "maxPriorityFeePerGas": tip,
            },
            self.key,
        )  # fmt: skip
        chain.send_raw(bytes(signed.raw_transaction))
        return "0x" + bytes(signed.hash).hex()

    def call(self, contract: str, function: str, *args: object) -> str:
        """Call one of the register's contracts. Fails the test when it reverts."""
        chain = self.register.world.chain
        tx = self.send(Call(chain.address(contract), chain.encode(contract, function, *args)))
        # A busy node may answer before it has mined.
        self.register.world.development.mine()
        receipt = chain.receipt(tx)
        assert receipt is not None
        assert receipt.succeeded, function
        return tx

    def send_before(self, intent: Intent) -> str:
        """Send what a waiting transaction of the register carries, with a fee that is mined first."""
        assert isinstance(intent.call, dict)
        data = bytes.fromhex(str(intent.call["data"])[2:])
        return self.send(Call(str(intent.call["to"]), data), tip=10**12)

    def publish(
        self, *, splits: bytes = bytes(32), word: str = "stranger", manifest: str = "", package: str = "", kind: int = 0
    ) -> int:
        """Register a dataset that this register knows nothing about; return its number.

        `manifest` and `package` are digests of anybody's documents, `kind` is 0 for open and 1 for sealed.
        """
        made = [hashlib.sha256(f"{what}{word}".encode()).hexdigest() for what in ("m", "p")]
        documents = [bytes.fromhex(given or own) for given, own in zip((manifest, package), made, strict=True)]
        terms = (self.address, *documents, kind, False, 0, splits, [], [], 0, NEVER)
        self.call("DatasetRegistry", "register", terms, [])
        return int(self.register.world.chain.read("DatasetRegistry", "datasetOf", self.address, documents[0]))  # type: ignore[call-overload]

    def sell_to_self(
        self, dataset: int, *, document: bytes = b"\x07" * 32, order: bytes = b"\x01" * 32, **changes: Any
    ):
        """Sign an offer of one's own, with any figures, and accept it for nothing."""
        domain = market_domain(self.register.world.chain.chain_id, self.register.deployment.market)
        message = {
            "dataset": dataset, "version": 0, "terms": b"\x05" * 32, "document": document, "uses": 1, "price": 0,
            "token": self.register.world.deployed.token, "feeBps": 250, "holdSeconds": 0, "termSeconds": 0,
            "expiry": NEVER, "maxLicenses": 0, "licensee": ZERO, "grounds": 0, "cureDays": 0, "unitPrice": 0,
            "nonce": 7, **changes,
        }  # fmt: skip
        holder = changes.pop("holder", self.address)
        message.pop("holder", None)
        typed = TypedData(domain, _OFFER, message)
        signature = Account.unsafe_sign_hash(typed.digest, self.key).signature
        terms = tuple(message.values())
        self.call("Market", "buy", terms, bytes(signature), (self.address, holder, order, NEVER), b"")
