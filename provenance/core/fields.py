"""Reading the members of a parsed document: each present, each of its kind, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Self, TypeVar

from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.canonical import INTEGER_LIMIT, Json
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal

AMOUNT_LIMIT = 2**64 - 1

_AMOUNT = re.compile(r"0|[1-9][0-9]{0,77}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HASH32 = re.compile(r"0x[0-9a-f]{64}")

Member = TypeVar("Member", bound=StrEnum)


class FieldRefusal(Refusal):
    """A member of a document is missing, unknown, or not of its kind. `message` names the place."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The members of one object; `where` is how refusals call it."""

    where: str
    members: Mapping[str, Json]

    @classmethod
    def of(cls, value: Json, where: str, keys: Iterable[str], *, schema: str | None = None) -> Self:
        """Accept an object with exactly `keys` and, if given, `schema` under "schema". Raises FieldRefusal."""
        if not isinstance(value, Mapping):
            raise FieldRefusal("field.object", f"{where} is not an object.", actual=type(value).__name__)
        if schema is not None and value.get("schema") != schema:
            raise FieldRefusal(
                "field.schema", f"{where} is of another schema.", limit=schema, actual=str(value.get("schema"))[:80]
            )
        expected = {*keys, "schema"} if schema is not None else set(keys)
        missing, unknown = sorted(expected - set(value)), sorted(set(value) - expected)
        if missing:
            raise FieldRefusal(
                "field.missing",
                f"A key of {where} is missing.",
                actual=missing[0],
                todo="Write null for what is absent.",
            )
        if unknown:
            raise FieldRefusal("field.unknown", f"A key of {where} is unknown.", actual=unknown[0][:80])
        return cls(where, value)

    def text(self, key: str, *, least: int = 0, most: int = 4000) -> str:
        """Return a text of `least` to `most` characters."""
        value = self.members[key]
        if not isinstance(value, str):
            raise self._wrong(key, "a text", value)
        if not least <= len(value) <= most:
            raise FieldRefusal(
                "field.length",
                f"{self.where}.{key} has {least:,} to {most:,} characters.",
                limit=least if len(value) < least else most,
                actual=len(value),
            )
        return value

    def text_or_none(self, key: str, *, least: int = 0, most: int = 4000) -> str | None:
        """Return a text, or None for null."""
        return None if self.members[key] is None else self.text(key, least=least, most=most)

    def integer(self, key: str, *, low: int = 0, high: int = INTEGER_LIMIT) -> int:
        """Return a whole number from `low` to `high`."""
        value = self.members[key]
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "a whole number", value)
        if not low <= value <= high:
            raise FieldRefusal(
                "field.range",
                f"{self.where}.{key} lies between {low:,} and {high:,}.",
                limit=low if value < low else high,
                actual=value,
            )
        return value

    def integer_or_none(self, key: str, *, low: int = 0, high: int = INTEGER_LIMIT) -> int | None:
        """Return a whole number, or None for null."""
        return None if self.members[key] is None else self.integer(key, low=low, high=high)

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self.members[key]
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def flag_or_none(self, key: str) -> bool | None:
        """Return true, false, or None for null."""
        value = self.members[key]
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, "true, false or null", value)
        return value

    def items(self, key: str, *, most: int) -> Sequence[Json]:
        """Return a list of at most `most` members."""
        value = self.members[key]
        if not isinstance(value, (list, tuple)):
            raise self._wrong(key, "a list", value)
        if len(value) > most:
            raise FieldRefusal("field.too_many", f"{self.where}.{key} is too long.", limit=most, actual=len(value))
        return value

    def sorted_texts(self, key: str, *, most: int = 1000) -> tuple[str, ...]:
        """Return a sorted list of different texts."""
        texts = tuple(text for text in self.items(key, most=most) if isinstance(text, str))
        if len(texts) != len(self.items(key, most=most)) or list(texts) != sorted(set(texts)):
            raise FieldRefusal("field.unsorted", f"{self.where}.{key} is a sorted list of different texts.")
        return texts

    def member(self, key: str, kind: type[Member]) -> Member:
        """Return the member of `kind` that the text names."""
        value = self.members[key]
        try:
            return kind(value if isinstance(value, str) else "")
        except ValueError as error:
            raise FieldRefusal(
                "field.value",
                f"{self.where}.{key} has a value that this schema does not know.",
                limit=", ".join(kind),
                actual=str(value)[:80],
            ) from error

    def matching(self, key: str, pattern: re.Pattern[str], what: str) -> str:
        """Return a text that is `what`, as `pattern` says."""
        value = self.members[key]
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise self._wrong(key, what, value)
        return value

    def digest(self, key: str) -> Sha256:
        """Return a SHA-256 digest."""
        return Sha256.from_hex(self.text(key, most=80))

    def digest_or_none(self, key: str) -> Sha256 | None:
        """Return a SHA-256 digest, or None for null."""
        return None if self.members[key] is None else self.digest(key)

    def hash32(self, key: str) -> str:
        """Return a hash of the chain: 0x and 64 hex digits."""
        return self.matching(key, _HASH32, "a hash of 0x and 64 lower-case hex digits")

    def amount(self, key: str, *, high: int = AMOUNT_LIMIT) -> int:
        """Return an amount in base units, written as a decimal text, at most `high`."""
        value = int(self.matching(key, _AMOUNT, "a decimal text"))
        if value > high:
            raise FieldRefusal("field.amount", f"{self.where}.{key} is too large.", limit=str(high), actual=str(value))
        return value

    def account(self, key: str) -> Account:
        """Return a CAIP-10 account."""
        return Account.parse(self.text(key, most=200))

    def asset(self, key: str, kind: AssetKind) -> Asset:
        """Return a CAIP-19 name."""
        return Asset.parse(self.text(key, most=200), kind)

    def time(self, key: str) -> datetime:
        """Return a moment written YYYY-MM-DDTHH:MM:SSZ."""
        text = self.matching(key, _TIME, "a time written YYYY-MM-DDTHH:MM:SSZ")
        try:
            return datetime.fromisoformat(text)
        except ValueError as error:
            raise self._wrong(key, "a time of the calendar", text) from error

    def date_or_none(self, key: str) -> date | None:
        """Return a day written YYYY-MM-DD, or None for null."""
        if self.members[key] is None:
            return None
        text = self.matching(key, _DATE, "a date written YYYY-MM-DD")
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise self._wrong(key, "a date of the calendar", text) from error

    def _wrong(self, key: str, what: str, value: Json) -> FieldRefusal:
        return FieldRefusal("field.kind", f"{self.where}.{key} is not {what}.", actual=repr(value)[:80])


def time_text(moment: datetime) -> str:
    """Return a moment as documents write it: UTC, whole seconds. A moment without a zone is refused."""
    if moment.tzinfo is None:
        raise FieldRefusal("field.time", "A time without a zone is no moment.", actual=str(moment))
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
