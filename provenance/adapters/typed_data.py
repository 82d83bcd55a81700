"""EIP-712 typed data as it travels in JSON: integers may be decimal strings, bytes are `0x` texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from eth_account.messages import SignableMessage, encode_typed_data
from eth_utils.crypto import keccak

from provenance.ports import KeyRefusal

_ARRAY = re.compile(r"(.+)\[(\d*)\]")
_INTEGER = re.compile(r"u?int\d*")
_DOMAIN = (
    ("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address"),
    ("salt", "bytes32"),
)  # fmt: skip

Types = Mapping[str, Sequence[Mapping[str, str]]]


def signable(typed_data: Mapping[str, object]) -> SignableMessage:
    """Return what is signed. Raises KeyRefusal (`typed_data.malformed`)."""
    try:
        types, domain, message = typed_data["types"], typed_data["domain"], typed_data["message"]
        primary = typed_data["primaryType"]
        if not (isinstance(types, Mapping) and isinstance(domain, Mapping) and isinstance(message, Mapping)):
            raise TypeError("types, domain and message are objects")
        fields = [{"name": name, "type": kind} for name, kind in _DOMAIN if name in domain]
        known = {**types, "EIP712Domain": fields}
        return encode_typed_data(
            full_message={
                "types": known,
                "primaryType": str(primary),
                "domain": _struct("EIP712Domain", domain, known),
                "message": _struct(str(primary), message, known),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise KeyRefusal("typed_data.malformed", f"The typed data cannot be signed: {error}.") from error


def typed_data_digest(typed_data: Mapping[str, object]) -> str:
    """Return the EIP-712 hash as `0x` text; needs no key. Raises KeyRefusal."""
    message = signable(typed_data)
    return "0x" + keccak(b"\x19" + message.version + message.header + message.body).hex()


def _struct(kind: str, value: Mapping[str, object], types: Types) -> dict[str, object]:
    fields = {field["name"]: field["type"] for field in types[kind]}
    if fields.keys() != value.keys():
        raise ValueError(f"{kind} has the fields {sorted(fields)}, not {sorted(value)}")
    return {name: _member(fields[name], member, types) for name, member in value.items()}


def _member(kind: str, value: object, types: Types) -> object:
    array = _ARRAY.fullmatch(kind)
    if array is not None:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise TypeError(f"a {kind} is a list")
        return [_member(array[1], member, types) for member in value]
    if kind in types:
        if not isinstance(value, Mapping):
            raise TypeError(f"a {kind} is an object")
        return _struct(kind, value, types)
    if _INTEGER.fullmatch(kind):
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise TypeError(f"a {kind} is an integer or a decimal string")
        return int(value)
    return value
