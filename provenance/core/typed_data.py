"""EIP-712: what people sign, so that a wallet can show it and a contract can check it.

Source: https://eips.ethereum.org/EIPS/eip-712. Only the value types that our contracts sign: address, bool, unsigned
integers, bytes32, and arrays of them. Structs do not nest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

from provenance.core.keccak import keccak256
from provenance.core.refusal import Refusal

Value = int | bool | str | bytes | Sequence[int]
"""Integers as int, addresses as 0x text, bytes32 as 32 bytes, arrays as a sequence of integers."""

SECP256K1_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
ZERO_ADDRESS = "0x" + "00" * 20

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_UINT = re.compile(r"uint([0-9]+)")
_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_DOMAIN_FIELDS = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


class TypedDataRefusal(Refusal):
    """A message does not fit its type, or a signature is not one of EIP-712 over it."""


@dataclass(frozen=True, slots=True)
class Domain:
    """What a signature is bound to: the contract's name and version, its chain, its lower-case address."""

    name: str
    chain: int
    contract: str
    version: str = "1"

    def __post_init__(self) -> None:
        _word("address", self.contract, "verifyingContract")

    @property
    def separator(self) -> bytes:
        """The domain separator, 32 bytes."""
        return keccak256(
            keccak256(_DOMAIN_TYPE.encode())
            + keccak256(self.name.encode())
            + keccak256(self.version.encode())
            + _word("uint256", self.chain, "chainId")
            + _word("address", self.contract, "verifyingContract")
        )


@dataclass(frozen=True, slots=True)
class StructType:
    """A struct by its EIP-712 type string, such as `Voucher(uint64 license,…)`."""

    encoded: str

    @property
    def name(self) -> str:
        """The struct's name."""
        return self.encoded.partition("(")[0]

    @property
    def members(self) -> tuple[tuple[str, str], ...]:
        """(type, name) of each member, in order."""
        inside = self.encoded.partition("(")[2].removesuffix(")")
        return tuple((kind, name) for kind, _, name in (member.partition(" ") for member in inside.split(",")))


@dataclass(frozen=True, slots=True)
class TypedData:
    """A message ready to be signed: domain, struct type, and a value for each member."""

    domain: Domain
    struct: StructType
    message: Mapping[str, Value]

    def __post_init__(self) -> None:
        names = [name for _, name in self.struct.members]
        if set(names) != set(self.message):
            wrong = sorted(set(names) ^ set(self.message))
            raise TypedDataRefusal(
                "typed_data.members", f"The message does not have the members of {self.struct.name}.", actual=wrong[0]
            )
        for kind, name in self.struct.members:
            _encoded(kind, self.message[name], name)

    @property
    def struct_hash(self) -> bytes:
        """keccak256(typeHash ‖ encoded members), 32 bytes."""
        words = [keccak256(self.struct.encoded.encode())]
        words += [_encoded(kind, self.message[name], name) for kind, name in self.struct.members]
        return keccak256(b"".join(words))

    @property
    def digest(self) -> bytes:
        """What is signed: keccak256(0x19 ‖ 0x01 ‖ domain separator ‖ struct hash), 32 bytes."""
        return keccak256(b"\x19\x01" + self.domain.separator + self.struct_hash)

    def to_json(self) -> dict[str, object]:
        """Return the argument of `eth_signTypedData_v4`; integers as decimal strings, bytes as 0x text."""
        return {
            "types": {
                "EIP712Domain": _DOMAIN_FIELDS,
                self.struct.name: [{"name": name, "type": kind} for kind, name in self.struct.members],
            },
            "primaryType": self.struct.name,
            "domain": {
                "name": self.domain.name,
                "version": self.domain.version,
                "chainId": self.domain.chain,
                "verifyingContract": self.domain.contract,
            },
            "message": {name: _shown(self.message[name]) for _, name in self.struct.members},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote. Raises TypedDataRefusal for anything else."""
        try:
            said, fields = value["domain"], value["types"][value["primaryType"]]
            members = ",".join(f"{field['type']} {field['name']}" for field in fields)
            domain = Domain(said["name"], int(said["chainId"]), said["verifyingContract"], said["version"])
            read = {field["name"]: _read(field["type"], value["message"][field["name"]]) for field in fields}
            return cls(domain, StructType(f"{value['primaryType']}({members})"), read)
        except (KeyError, TypeError, ValueError) as error:
            raise TypedDataRefusal("typed_data.form", "This is not typed data of ours.") from error

    def signer(self, signature: bytes) -> str:
        """Return the lower-case address of the key that made `signature` (65 bytes r ‖ s ‖ v, low s).

        Wallets that are contracts (ERC-1271) are asked on chain, not here. Raises TypedDataRefusal.
        """
        if len(signature) != 65:
            raise TypedDataRefusal("signature.length", "A signature has 65 bytes.", limit=65, actual=len(signature))
        r, s, v = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), signature[64]
        if v not in {27, 28}:
            raise TypedDataRefusal("signature.v", "The recovery byte is 27 or 28.", limit="27, 28", actual=v)
        if s > SECP256K1_ORDER // 2:
            # The twin with the other s is valid, too: whoever took both would see two signatures of one consent.
            raise TypedDataRefusal("signature.high_s", "The signature is not in its low-s form.")
        # Here, because eth_keys takes longer to load than most commands to run.
        from eth_keys.datatypes import Signature
        from eth_keys.exceptions import BadSignature, ValidationError

        try:
            key = Signature(vrs=(v - 27, r, s)).recover_public_key_from_msg_hash(self.digest)
        except (BadSignature, ValidationError) as error:
            raise TypedDataRefusal("signature.invalid", "The signature is not one of any key.") from error
        return key.to_address()

    def check_signer(self, signature: bytes, expected: str) -> None:
        """Raise TypedDataRefusal unless `expected` (lower-case address) made `signature`."""
        actual = self.signer(signature)
        if actual != expected:
            raise TypedDataRefusal(
                "signature.signer", f"The {self.struct.name} was signed by another key.", limit=expected, actual=actual
            )


def _read(kind: str, value: Any) -> Value:
    if kind.endswith("[]"):
        return tuple(int(member) for member in value)
    if kind.startswith("uint"):
        return int(value)
    return bytes.fromhex(value.removeprefix("0x")) if kind == "bytes32" else cast("Value", value)


def _encoded(kind: str, value: Value, name: str) -> bytes:
    if not kind.endswith("[]"):
        return _word(kind, value, name)
    if isinstance(value, (int, str, bytes)):
        raise _misfit(kind, value, name)
    return keccak256(b"".join(_word(kind.removesuffix("[]"), member, name) for member in value))


def _word(kind: str, value: Value, name: str) -> bytes:
    number = _UINT.fullmatch(kind)
    if number is not None:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << int(number[1]):
            raise _misfit(kind, value, name)
        return value.to_bytes(32)
    match kind:
        case "bool":
            if not isinstance(value, bool):
                raise _misfit(kind, value, name)
            return int(value).to_bytes(32)
        case "address":
            if not isinstance(value, str) or _ADDRESS.fullmatch(value) is None:
                raise _misfit(kind, value, name)
            return bytes(12) + bytes.fromhex(value[2:])
        case "bytes32":
            if not isinstance(value, bytes) or len(value) != 32:
                raise _misfit(kind, value, name)
            return value
        case _:
            raise _misfit(kind, value, name)


def _misfit(kind: str, value: Value, name: str) -> TypedDataRefusal:
    return TypedDataRefusal(
        "typed_data.value", f"The value of {name} does not fit its type.", limit=kind, actual=repr(value)[:80]
    )


def _shown(value: Value) -> object:
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return [str(member) for member in value]
