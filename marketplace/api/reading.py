"""Bodies and queries as values: strict JSON, exact types, no field that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec
from django.http import HttpRequest, QueryDict

from marketplace.api.names import ID_PATTERN
from marketplace.api.problems import RequestRefusal
from provenance.core.canonical import Json, parse_strict

JSON_LIMIT = 2 * 1_048_576

T = TypeVar("T")


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A request's body: an object whose fields are all known."""


class Query(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What may stand behind the question mark."""


def read_body(request: HttpRequest, kind: type[T]) -> T:
    """Return the JSON body as a `kind`; an absent body is an empty object. Raises RequestRefusal, CanonicalRefusal."""
    data = request.body
    media_type = (request.content_type or "").lower()
    if data and media_type != "application/json":
        raise RequestRefusal(
            "request.media_type", "The body is not JSON.", limit="application/json", actual=media_type[:80] or "none"
        )
    value: Json = parse_strict(data, limit=JSON_LIMIT) if data else {}
    _refuse_nul(value)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise RequestRefusal(
            "request.body", f"The body does not fit: {_in_words(error)}.", todo="See this address in /api/v1/schema."
        ) from error


def read_query(query: QueryDict, kind: type[T]) -> T:
    """Return the query as a `kind`. Raises RequestRefusal."""
    values = query.dict()
    _refuse_nul(values)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise RequestRefusal(
            "request.query", f"The query does not fit: {_in_words(error)}.", todo="See this address in /api/v1/schema."
        ) from error


_FORMS = {
    ID_PATTERN: "an id such as 31337-5fbdb2315678afecb367f032d93f642f64180aa3-12",
    "^[0-9a-f]{64}$": "a SHA-256 in 64 lower-case hex digits",
    "^(0|[1-9][0-9]{0,19})$": "a whole number (of base units, where it is money), such as 240000000",
    "^age1[02-9ac-hj-np-z]{58}$": "an age public key (age1…)",
    "^0x[0-9a-fA-F]{40}$": "an address of 0x and 40 hex digits",
    "^0x[0-9a-fA-F]{130}$": "a signature of 0x and 130 hex digits",
    "^[^@\\s]+@[^@\\s]+$": "an e-mail address",
}


def _in_words(error: msgspec.ValidationError) -> str:
    """Return what msgspec says, with the forms of ids and digests in words instead of as patterns."""
    text = str(error)
    for pattern, words in _FORMS.items():
        text = text.replace(f"Expected `str` matching regex {pattern!r}", f"Expected {words}")
    return text


def _refuse_nul(value: object) -> None:
    # PostgreSQL keeps no text with U+0000, and no field here has a use for it.
    if any("\0" in text for text in _texts(value)):
        raise RequestRefusal("request.nul", "A text contains the character U+0000.", todo="Remove it.")


def _texts(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as members:
                waiting.extend(members)
                waiting.extend(members.values())
            case list() as members:
                waiting.extend(members)
            case _:
                pass
