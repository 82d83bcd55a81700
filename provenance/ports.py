"""What the register needs from the outside, as protocols: stores, chains, keys, scanners, clocks that sign.

Values that cross a port are ours (CIDs, digests, plain dataclasses), never a library's. Every adapter of a port runs
the same abstract test suite, the in-memory ones included. Adapters raise subclasses of `Refusal` that name the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal


class StoreRefusal(Refusal):
    """A content store could not keep or hand out bytes.

    Codes: `store.missing`, `store.mismatch`, `store.full`, `store.incomplete`, `store.announces`, `store.down`.
    """


@dataclass(frozen=True, slots=True)
class Stored:
    """What came in through a CAR: its roots, and how many blocks and bytes of blocks it held."""

    roots: tuple[Cid, ...]
    blocks: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """Whether a store answers; `free` is bytes, None where the store does not say; `cause` explains `ok=False`."""

    ok: bool
    blocks: int | None = None
    bytes: int | None = None
    free: int | None = None
    cause: str = ""


class ContentStore(Protocol):
    """Blocks by CID. What comes out is re-hashed: the store is trusted with availability, never with content."""

    name: str

    def put_block(self, cid: Cid, data: bytes | bytearray | memoryview) -> None:
        """Keep one block. Raises CidRefusal when `data` is not that block, StoreRefusal when the disk is full."""

    def get_block(self, cid: Cid) -> bytes:
        """Return one block, checked against its CID. Raises StoreRefusal (`store.missing`, `store.mismatch`)."""

    def has(self, cid: Cid) -> bool:
        """Say whether the block is here. Presence only: `get_block` checks it."""

    def put_car(self, chunks: Iterable[bytes]) -> Stored:
        """Keep every block of a CAR that arrives in pieces; each block is checked. Memory stays flat."""

    def pin(self, root: Cid, *, announce: bool) -> None:
        """Keep the whole DAG under `root`; announce it to the network only if asked.

        Raises StoreRefusal (`store.incomplete`) when a block of it is missing. Pinning twice is pinning once, and the
        later `announce` counts.
        """

    def unpin(self, root: Cid) -> None:
        """Let go of a DAG and stop announcing it. Blocks stay until `delete` or the store's own collection."""

    def pins(self) -> Iterator[Cid]:
        """Yield the pinned roots."""

    def announced(self, root: Cid) -> bool:
        """Say whether a pinned root is announced."""

    def delete(self, cids: Iterable[Cid]) -> int:
        """Destroy blocks, for *erase*; return how many were here. Blocks of another pin must not be passed."""

    def health(self) -> StoreHealth:
        """Say whether the store works. Never raises."""


class ChainRefusal(Refusal):
    """The chain or its node refused, was unreachable, or told something that cannot be right."""


class ChainDown(ChainRefusal):
    """The node did not answer in time; whether it did what was asked is unknown."""


class CallRefused(ChainRefusal):
    """A contract refused a call: `code` is `chain.<ErrorName>`, `arguments` the custom error's own."""

    arguments: Mapping[str, object] = {}


Tag = Literal["latest", "safe", "finalized", "pending", "earliest"]
At = int | str
"""A block: its number, its `0x` hash of 32 bytes, or a Tag."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block header. `timestamp` is seconds since 1970, UTC; hashes are lower-case `0x` texts."""

    number: int
    hash: str
    parent: str
    timestamp: int
    base_fee: int = 0


@dataclass(frozen=True, slots=True)
class EventLog:
    """A decoded log. `args` holds integers as decimal strings, addresses lower-case, bytes as `0x`, arrays as lists."""

    contract: str
    address: str
    name: str
    args: Mapping[str, object]
    tx: str
    log_index: int
    block_number: int
    block_hash: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction as the node reports it; `succeeded` False means it was mined and reverted."""

    tx: str
    succeeded: bool
    block_number: int
    block_hash: str
    gas_used: int
    sender: str
    contract: str | None
    gas_price: int = 0


@dataclass(frozen=True, slots=True)
class Fees:
    """EIP-1559 fees in wei per gas: the next block's base fee, and a tip that recent blocks took."""

    base_fee: int
    priority_fee: int


@dataclass(frozen=True, slots=True)
class Call:
    """What a transaction does. `gas` overrides the estimate where an estimate would be too low to be safe."""

    to: str | None
    data: bytes
    value: int = 0
    gas: int | None = None


class Chain(Protocol):
    """One chain, and the contracts of one deployment on it.

    Every connection checks the chain id before anything is believed. Times out by name (ChainDown).
    """

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id."""

    @property
    def addresses(self) -> Mapping[str, str]:
        """Lower-case addresses by contract name."""

    def check(self) -> None:
        """Raise ChainRefusal (`chain.other`) when the node serves another chain than it should."""

    def header(self, at: At) -> Header:
        """Return a header. Raises ChainRefusal (`chain.no_block`)."""

    def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers of consecutive or scattered numbers in one round trip where the node allows it."""

    def logs(self, block_hash: str) -> list[EventLog]:
        """Return the decoded logs of the deployment's contracts in exactly this block.

        Raises ChainRefusal (`chain.no_block`) when the node no longer has the block.
        """

    def blocks_with_logs(self, first: int, last: int) -> set[int]:
        """Return which block numbers of a range hold logs of the contracts, so that empty blocks cost nothing."""

    def events(self, contract: str, name: str, *, first: int, last: int, where: Mapping[str, object]) -> list[EventLog]:
        """Return the logs of one event of a contract in a range of blocks, oldest first.

        `where` narrows by indexed arguments. For contracts that are not followed, such as tokens.
        """

    def read(self, contract: str, function: str, *args: object, at: At = "latest") -> object:
        """Call a view function and return its decoded result. Raises CallRefused."""

    def encode(self, contract: str, function: str, *args: object) -> bytes:
        """Return calldata."""

    def address(self, contract: str) -> str:
        """Return the address of a contract of the deployment by its name."""

    def simulate(self, call: Call, *, sender: str) -> int:
        """Run a call without sending it, on the latest block; return the gas it needs. Raises CallRefused."""

    def balance(self, address: str) -> int:
        """Return the native balance in wei."""

    def nonce(self, address: str, *, at: At = "latest") -> int:
        """Return how many transactions of the address are in the chain at that block."""

    def fees(self) -> Fees:
        """Return what the next block will cost."""

    def send_raw(self, raw: bytes) -> str:
        """Broadcast a signed transaction; return its hash. A transaction that the node already knows is accepted.

        Raises ChainRefusal (`chain.nonce_low`, `chain.underpriced`, `chain.funds` …) or ChainDown (outcome unknown).
        """

    def receipt(self, tx: str) -> Receipt | None:
        """Return the receipt, or None. One that contradicts the canonical block is refused (`chain.receipt`)."""

    def known(self, tx: str) -> bool:
        """Say whether the node has the transaction, mined or waiting."""


class KeyRefusal(Refusal):
    """A key could not be used: wrong passphrase, unknown path, destroyed identity."""


@dataclass(frozen=True, slots=True)
class TypedSignature:
    """An EIP-712 signature. `digest` is what was signed; both are `0x` texts, `signer` a lower-case address."""

    signer: str
    digest: str
    signature: str


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """Raw bytes as they go to the node, and their hash."""

    hash: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class WrappedIdentity:
    """An age identity that only the key ring can unwrap, and its public recipient `age1…`."""

    recipient: str
    wrapped: bytes = field(repr=False)


class KeyRing(Protocol):
    """Everything that needs a secret. Only the signer process has one."""

    def address(self, path: str) -> str:
        """Return the lower-case EVM address of a derived key, such as `owner/{account}` or `lane/relayer/0`."""

    def sign_typed_data(self, path: str, typed_data: Mapping[str, object]) -> TypedSignature:
        """Sign EIP-712 typed data (types, domain, primaryType, message)."""

    def sign_transaction(self, path: str, transaction: Mapping[str, object]) -> SignedTransaction:
        """Sign an EIP-1559 transaction (chainId, nonce, to, value, data, gas, maxFeePerGas, maxPriorityFeePerGas)."""

    def export_key(self, path: str) -> str:
        """Return the private key as `0x` text, for a person who takes over their key."""

    def ed25519_public(self, name: str) -> bytes:
        """Return the 32-byte public key of `service` or `log`."""

    def ed25519_sign(self, name: str, message: bytes) -> bytes:
        """Return the 64-byte signature (RFC 8032)."""

    def make_identity(self) -> WrappedIdentity:
        """Make a new random age X25519 identity."""

    def unwrap_identity(self, wrapped: bytes) -> str:
        """Return the `AGE-SECRET-KEY-1…` line. Raises KeyRefusal when it was wrapped under another seed or altered."""

    def grant_identity(self, wrapped: bytes, recipient: str) -> bytes:
        """Return an age file for `recipient` that holds the identity's line. Raises KeyRefusal (`key.recipient`)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why content is quarantined: a stable code, words, and the byte offset where known."""

    code: str
    message: str
    offset: int | None = None


class Scan(Protocol):
    """One file being scanned while it is read for other reasons too."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""

    def finish(self) -> tuple[Finding, ...]:
        """Return what was found. Raises ScannerRefusal when the file could not be scanned."""


class ScannerRefusal(Refusal):
    """A scanner that is configured did not answer: content waits, it does not pass."""


class Scanner(Protocol):
    """Finds what must not be pinned, because pinning cannot be taken back."""

    name: str

    def scan(self, path: str) -> Scan:
        """Begin a file; `path` is only used to judge by its name."""


@runtime_checkable
class Timestamp(Protocol):
    """A second place to anchor tree heads: a time-stamping authority (RFC 3161)."""

    def stamp(self, digest: Sha256) -> bytes:
        """Return a time-stamp token over the digest."""
