"""What trade's documents need beyond `provenance.core.fields`: Unix times, sets of enumerated words, addresses."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from provenance.core.fields import FieldRefusal, Fields, time_text

TIME_LIMIT = 253_402_300_799  # the last second of the year 9999, the last that the format can write

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")

Member = TypeVar("Member", bound=StrEnum)


def read_time(fields: Fields, key: str) -> int:
    """Return a time of a document in Unix seconds. Raises FieldRefusal."""
    return int(fields.time(key).timestamp())


def read_time_or_none(fields: Fields, key: str) -> int | None:
    """Return a time of a document in Unix seconds, or None for null. Raises FieldRefusal."""
    return None if fields.members[key] is None else read_time(fields, key)


def write_time(seconds: int) -> str:
    """Return Unix seconds as documents write a time. Raises FieldRefusal."""
    if not 0 <= seconds <= TIME_LIMIT:
        raise FieldRefusal("field.time", "A time lies between 1970 and 9999.", limit=TIME_LIMIT, actual=seconds)
    return time_text(datetime.fromtimestamp(seconds, tz=UTC))


def read_set(fields: Fields, key: str, kind: type[Member]) -> frozenset[Member]:
    """Return the members of `kind` that a sorted list of different words names. Raises FieldRefusal."""
    words = fields.sorted_texts(key)
    unknown = sorted(set(words) - {member.value for member in kind})
    if unknown:
        raise FieldRefusal(
            "field.value", f"{fields.where}.{key} has a value that this schema does not know.",
            limit=", ".join(kind), actual=unknown[0][:80],
        ) from None  # fmt: skip
    return frozenset(kind(word) for word in words)


def read_address(fields: Fields, key: str) -> str:
    """Return an address: 0x and 40 lower-case hex digits. Raises FieldRefusal."""
    return fields.matching(key, _ADDRESS, "an address of 0x and 40 lower-case hex digits")
