"""Contract interfaces: calls encoded, results, events and custom errors decoded, from the checked-in artifacts.

Decoded values are JSON-friendly and exact: integers as decimal strings (in events and errors) or `int` (results of
view functions), addresses in lower case, bytes as `0x` texts, structs as dictionaries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.crypto import keccak

from provenance.ports import CallRefused, ChainRefusal

ARTIFACTS = Path(__file__).resolve().parents[2] / "contracts" / "artifacts"
SELECTOR_BYTES = 4
_DYNAMIC = frozenset({"string", "bytes"})
_ERROR_STRING, _PANIC = bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")
_ACTUAL_NAMES = ("actual", "value", "given", "total", "size")
_LIMIT_NAMES = ("limit", "maximum", "max", "expected", "latest")

Fields = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Item:
    """A function, event or error of an ABI."""

    name: str
    inputs: Fields
    outputs: Fields

    @property
    def signature(self) -> str:
        """Name and canonical types, as hashed."""
        return f"{self.name}({','.join(map(_type, self.inputs))})"


class ContractAbi:
    """The interface of one contract, and its creation code where it is an artifact of ours."""

    def __init__(self, name: str, abi: Sequence[Mapping[str, object]], bytecode: bytes = b"") -> None:
        self.name = name
        self.bytecode = bytecode
        self._entries = [dict(entry) for entry in abi]

    @cached_property
    def events(self) -> dict[str, Item]:
        """Events by topic, `0x` text."""
        return {"0x" + keccak(text=item.signature).hex(): item for item in self._items("event")}

    @cached_property
    def errors(self) -> dict[bytes, Item]:
        """Custom errors by selector."""
        return {keccak(text=item.signature)[:SELECTOR_BYTES]: item for item in self._items("error")}

    def encode_call(self, function: str, args: Sequence[object]) -> bytes:
        """Return calldata. Overloads are told apart by the number of arguments. Raises ChainRefusal."""
        item = self._function(function, len(args))
        return keccak(text=item.signature)[:SELECTOR_BYTES] + self._encoded(item, args)

    def selector(self, function: str) -> bytes:
        """Return the selector of a function that has no overloads. Raises ChainRefusal."""
        found = [item for item in self._items("function") if item.name == function]
        if len(found) != 1:
            raise ChainRefusal("chain.function", f"{self.name} has no one function {function}.", actual=len(found))
        return keccak(text=found[0].signature)[:SELECTOR_BYTES]

    def encode_creation(self, args: Sequence[object]) -> bytes:
        """Return creation code with constructor arguments."""
        if not self.bytecode:
            raise ChainRefusal("chain.artifact", f"The artifact of {self.name} holds no bytecode.")
        constructors = self._items("constructor")
        return self.bytecode + (self._encoded(constructors[0], args) if constructors else b"")

    def decode_result(self, function: str, count: int, data: bytes) -> object:
        """Return the result of a view function called with `count` arguments: one value, or a tuple of them."""
        item = self._function(function, count)
        try:
            values = decode([_type(field) for field in item.outputs], data)
        except DecodingError as error:
            raise ChainRefusal(
                "chain.result", f"{self.name}.{function} returned something else.", actual="0x" + data[:64].hex(),
                todo="Check that the deployment's addresses belong to this chain.",
            ) from error  # fmt: skip
        shown = tuple(_shown(field, value, numbers=False) for field, value in zip(item.outputs, values, strict=True))
        return shown[0] if len(shown) == 1 else shown

    def decode_event(self, topics: Sequence[str], data: bytes) -> tuple[str, dict[str, object]] | None:
        """Return name and arguments of a log, or None when the event is not of this ABI."""
        item = self.events.get(topics[0]) if topics else None
        if item is None:
            return None
        indexed = [field for field in item.inputs if field.get("indexed")]
        plain = [field for field in item.inputs if not field.get("indexed")]
        if len(indexed) != len(topics) - 1:
            return None
        try:
            values = dict(
                zip((str(field["name"]) for field in plain), decode(list(map(_type, plain)), data), strict=True)
            )
            for field, topic in zip(indexed, topics[1:], strict=True):
                values[str(field["name"])] = _topic_value(field, topic)
        except DecodingError:
            return None
        return item.name, {
            str(field["name"]): _shown(field, values[str(field["name"])], numbers=True) for field in item.inputs
        }

    def event_topics(self, name: str, where: Mapping[str, object]) -> list[str | None]:
        """Return the topics that a log of the event has when its indexed arguments are as `where` says.

        None stands for any value, after the last one that matters nothing stands. Raises ChainRefusal.
        """
        found = [(topic, item) for topic, item in self.events.items() if item.name == name]
        indexed = [field for _, item in found for field in item.inputs if field.get("indexed")]
        if len(found) != 1 or not set(where) <= {str(field["name"]) for field in indexed}:
            raise ChainRefusal(
                "chain.event", f"{self.name} has no one event {name} with these indexed arguments.",
                actual=", ".join(where),
            )  # fmt: skip
        topics: list[str | None] = [found[0][0]]
        for field in indexed:
            given = where.get(str(field["name"]))
            topics.append(None if given is None else "0x" + encode([_type(field)], [_raw(field, given)]).hex())
        while topics[-1] is None:
            topics.pop()
        return topics

    def _function(self, name: str, count: int) -> Item:
        fitting = [item for item in self._items("function") if item.name == name and len(item.inputs) == count]
        if len(fitting) != 1:
            raise ChainRefusal(
                "chain.function", f"{self.name} has no one function {name} with {count} arguments.", actual=len(fitting)
            )
        return fitting[0]

    def _items(self, kind: str) -> list[Item]:
        return [
            Item(str(entry.get("name", "")), _fields(entry, "inputs"), _fields(entry, "outputs"))
            for entry in self._entries
            if entry["type"] == kind
        ]

    def _encoded(self, item: Item, args: Sequence[object]) -> bytes:
        if len(item.inputs) != len(args):
            raise ChainRefusal(
                "chain.arguments", f"{self.name}.{item.name or 'constructor'} takes another number of arguments.",
                limit=len(item.inputs), actual=len(args),
            )  # fmt: skip
        try:
            values = [_raw(field, value) for field, value in zip(item.inputs, args, strict=True)]
            return encode([_type(field) for field in item.inputs], values)
        except (EncodingError, KeyError, TypeError, ValueError) as error:
            raise ChainRefusal(
                "chain.arguments", f"The arguments do not fit {self.name}.{item.signature}: {error}."
            ) from error


@lru_cache(maxsize=16)
def load_artifact(name: str, folder: Path = ARTIFACTS) -> ContractAbi:
    """Read `contracts/artifacts/<name>.json`. Raises ChainRefusal."""
    try:
        content = json.loads((folder / f"{name}.json").read_text())
    except FileNotFoundError as error:
        raise ChainRefusal(
            "chain.artifact", f"There is no artifact of the contract {name}.", todo="Run `make contracts`."
        ) from error
    bytecode = content.get("bytecode", "")
    text = bytecode["object"] if isinstance(bytecode, Mapping) else bytecode
    return ContractAbi(name, content["abi"], bytes.fromhex(str(text).removeprefix("0x")))


def refused_call(data: bytes, interfaces: Iterable[ContractAbi]) -> CallRefused:
    """Return the refusal that revert data stands for. Errors pass through calls, so every interface is asked."""
    selector, body = data[:SELECTOR_BYTES], data[SELECTOR_BYTES:]
    if selector == _ERROR_STRING:
        return _named("Error", {"message": _decoded_text(body)}, _decoded_text(body))
    if selector == _PANIC:
        return _named("Panic", {"code": str(int.from_bytes(body))}, f"panic {int.from_bytes(body):#x}")
    for interface in interfaces:
        item = interface.errors.get(selector)
        if item is None:
            continue
        try:
            values = decode([_type(field) for field in item.inputs], body)
        except DecodingError:
            continue
        arguments = {
            str(field["name"]): _shown(field, value, numbers=True)
            for field, value in zip(item.inputs, values, strict=True)
        }
        return _named(item.name, arguments, ", ".join(f"{name} {value}" for name, value in arguments.items()))
    return _named("reverted", {}, "0x" + data.hex() if data else "without a reason")


def _named(name: str, arguments: Mapping[str, object], detail: str) -> CallRefused:
    refusal = CallRefused(
        f"chain.{name}",
        f"The contract refused: {name} ({detail})." if detail else f"The contract refused: {name}.",
        limit=_first(arguments, _LIMIT_NAMES),
        actual=_first(arguments, _ACTUAL_NAMES),
    )
    refusal.arguments = arguments
    return refusal


def _first(arguments: Mapping[str, object], names: Sequence[str]) -> str | None:
    return next((str(arguments[name]) for name in names if name in arguments), None)


def _decoded_text(body: bytes) -> str:
    try:
        (text,) = decode(["string"], body)
    except DecodingError:
        return "0x" + body.hex()
    return str(text)


def _type(field: Mapping[str, object]) -> str:
    kind = str(field["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(_type, _components(field)))}){kind.removeprefix('tuple')}"


def _components(field: Mapping[str, object]) -> Fields:
    return _fields(field, "components")


def _fields(entry: Mapping[str, object], key: str) -> Fields:
    fields = entry.get(key, ())
    assert isinstance(fields, Sequence)
    return fields


def _member(field: Mapping[str, object]) -> Mapping[str, object]:
    """Return the field that one element of an array field is."""
    return {**field, "type": str(field["type"]).rpartition("[")[0]}


def _raw(field: Mapping[str, object], value: object) -> object:
    """Return `value` as eth_abi wants it: decimal strings become integers, `0x` texts bytes, dictionaries tuples."""
    kind = str(field["type"])
    if kind.endswith("]"):
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise TypeError(f"{field.get('name')} is a list")
        return [_raw(_member(field), element) for element in value]
    if kind == "tuple":
        return _raw_struct(_components(field), value)
    if kind.startswith(("uint", "int")):
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise TypeError(f"{field.get('name')} is an integer or a decimal string")
        return int(value)
    if kind.startswith("bytes"):
        return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
    return value


def _raw_struct(components: Fields, value: object) -> tuple[object, ...]:
    if isinstance(value, Mapping):
        names = [str(component["name"]) for component in components]
        if set(names) != set(value):
            raise ValueError(f"the struct has the members {names}, not {sorted(value)}")
        value = [value[name] for name in names]
    if not isinstance(value, Sequence):
        raise TypeError("a struct is an object or a list")
    return tuple(_raw(component, member) for component, member in zip(components, value, strict=True))


def _shown(field: Mapping[str, object], value: object, *, numbers: bool) -> object:
    """Return a decoded value in its JSON-friendly form; `numbers`: integers as decimal strings."""
    kind = str(field["type"])
    if kind.endswith("]"):
        assert isinstance(value, Sequence)
        return [_shown(_member(field), element, numbers=numbers) for element in value]
    if kind == "tuple":
        assert isinstance(value, Sequence)
        return {
            str(component["name"]): _shown(component, member, numbers=numbers)
            for component, member in zip(_components(field), value, strict=True)
        }
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value) if numbers else value
    return value.lower() if kind == "address" and isinstance(value, str) else value


def _topic_value(field: Mapping[str, object], topic: str) -> object:
    raw = bytes.fromhex(topic.removeprefix("0x"))
    kind = _type(field)
    if kind in _DYNAMIC or kind.endswith(("]", ")")):
        return raw  # only the hash of a dynamic value is in a topic
    (value,) = decode([kind], raw)
    return value
