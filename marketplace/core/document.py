"""Reading the members of a parsed document: present, of the right kind, and no others.

Canonical bytes, duplicate keys, floats and sizes are `provenance.core.canonical`'s; a schema's own limits stand in its
class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from provenance.core.canonical import Json
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
TIME_LIMIT = 253_402_300_799  # the last second of the year 9999, the last that the format can write

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_HASH32 = re.compile(r"0x[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")

Member = TypeVar("Member", bound=StrEnum)


class DocumentRefusal(Refusal):
    """A document is not of the schema that it names."""


def read_members(value: Json, where: str, keys: Sequence[str], *, schema: str | None = None) -> Mapping[str, Json]:
    """Return the object `value` if it has exactly `keys` (and, if given, that `schema`). Raises DocumentRefusal."""
    if not isinstance(value, Mapping):
        raise DocumentRefusal("document.not_object", f"{where} is not an object.", actual=type(value).__name__)
    if schema is not None and value.get("schema") != schema:
        raise DocumentRefusal(
            "document.schema", f"{where} is of another schema.", limit=schema, actual=str(value.get("schema"))[:80]
        )
    expected = {*keys, "schema"} if schema is not None else set(keys)
    missing, unknown = sorted(expected - set(value)), sorted(set(value) - expected)
    if missing:
        raise DocumentRefusal(
            "document.key_missing",
            f"A key of {where} is missing.",
            actual=missing[0],
            todo="Write null for what is absent.",
        )
    if unknown:
        raise DocumentRefusal("document.key_unknown", f"A key of {where} is unknown.", actual=unknown[0][:80])
    return value


def read_text(value: Json, where: str) -> str:
    """Return `value` if it is a text. Raises DocumentRefusal."""
    if not isinstance(value, str):
        raise DocumentRefusal("document.not_text", f"{where} is not a text.", actual=type(value).__name__)
    return value


def read_flag(value: Json, where: str) -> bool:
    """Return `value` if it is true or false. Raises DocumentRefusal."""
    if not isinstance(value, bool):
        raise DocumentRefusal("document.not_flag", f"{where} is neither true nor false.", actual=type(value).__name__)
    return value


def read_integer(value: Json, where: str, *, low: int = 0, high: int = 2**53 - 1) -> int:
    """Return `value` if it is a whole number from `low` to `high`. Raises DocumentRefusal."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise DocumentRefusal("document.not_integer", f"{where} is not a whole number.", actual=type(value).__name__)
    if not low <= value <= high:
        raise DocumentRefusal(
            "document.out_of_range", f"{where} is a whole number from {low:,} to {high:,}.",
            limit=low if value < low else high, actual=value,
        )  # fmt: skip
    return value


def read_list(value: Json, where: str, *, most: int | None = None) -> Sequence[Json]:
    """Return `value` if it is a list of at most `most` members. Raises DocumentRefusal."""
    if not isinstance(value, (list, tuple)):
        raise DocumentRefusal("document.not_list", f"{where} is not a list.", actual=type(value).__name__)
    if most is not None and len(value) > most:
        raise DocumentRefusal("document.list_too_long", f"{where} is too long.", limit=most, actual=len(value))
    return value


def read_sorted_texts(value: Json, where: str) -> list[str]:
    """Return `value` if it is a sorted list of different texts. Raises DocumentRefusal."""
    texts = [read_text(member, where) for member in read_list(value, where)]
    if texts != sorted(set(texts)):
        raise DocumentRefusal("document.not_sorted", f"{where} is not sorted, or names something twice.")
    return texts


def read_member(kind: type[Member], value: Json, where: str) -> Member:
    """Return the member of the enumeration `kind` that `value` names. Raises DocumentRefusal."""
    try:
        return kind(read_text(value, where))
    except ValueError as error:
        raise DocumentRefusal(
            "document.value_unknown", f"{where} has a value that this schema does not know.",
            limit=", ".join(kind), actual=str(value)[:40],
        ) from error  # fmt: skip


def read_digest(value: Json, where: str) -> Sha256:
    """Return the SHA-256 that `value` writes as 64 lower-case hex digits. Raises DocumentRefusal, DigestRefusal."""
    return Sha256.from_hex(read_text(value, where))


def read_address(value: Json, where: str) -> str:
    """Return `value` if it is 0x and 40 lower-case hex digits. Raises DocumentRefusal."""
    text = read_text(value, where)
    if _ADDRESS.fullmatch(text) is None:
        raise DocumentRefusal(
            "document.address", f"{where} is not an address of 0x and 40 lower-case hex digits.", actual=text[:80]
        )
    return text


def read_hash32(value: Json, where: str) -> str:
    """Return `value` if it is 0x and 64 lower-case hex digits, as block and transaction hashes are written."""
    text = read_text(value, where)
    if _HASH32.fullmatch(text) is None:
        raise DocumentRefusal(
            "document.hash", f"{where} is not a hash of 0x and 64 lower-case hex digits.", actual=text[:80]
        )
    return text


def read_time(value: Json, where: str) -> int:
    """Return the Unix time, in seconds, that `value` writes as `YYYY-MM-DDTHH:MM:SSZ`. Raises DocumentRefusal."""
    text = read_text(value, where)
    if _TIME.fullmatch(text) is not None:
        try:
            return int(datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC).timestamp())
        except ValueError:  # a 30th of February: the pattern fits, the calendar does not
            pass
    raise DocumentRefusal("document.time", f"{where} is not a time written YYYY-MM-DDTHH:MM:SSZ.", actual=text[:40])


def write_time(seconds: int) -> str:
    """Return a Unix time as documents write it: UTC, whole seconds. Raises DocumentRefusal."""
    if not 0 <= seconds <= TIME_LIMIT:
        raise DocumentRefusal("document.time", "A time lies between 1970 and 9999.", limit=TIME_LIMIT, actual=seconds)
    return datetime.fromtimestamp(seconds, tz=UTC).strftime(TIME_FORMAT)
