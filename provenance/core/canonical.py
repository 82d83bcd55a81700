"""The one byte form of every document: the JSON Canonicalization Scheme (RFC 8785), without floats.

Two parties that agree on a document agree on its bytes, hence on its SHA-256, hence on its CID.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

import rfc8785

from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal

DOCUMENT_LIMIT = 1_048_576
INTEGER_LIMIT = 2**53 - 1
DEPTH_LIMIT = 32

# A string, closed or cut off; possessive, so that no input makes it look twice at a byte.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_JSON_KINDS = "null, true or false, an integer, a string, a list, or an object"

Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"]


class CanonicalRefusal(Refusal):
    """A document has no canonical form, or arrived in another form than its canonical one."""


def canonical_bytes(value: Json) -> bytes:
    """Return the RFC 8785 bytes of `value`.

    Floats, integers beyond ±(2^53 - 1), keys that are not strings, lone surrogates and nesting deeper than
    32 are refused: readers in other languages would not agree about them. Raises CanonicalRefusal.
    """
    _check(value, "$", 0)
    return rfc8785.dumps(value)


def parse_strict(data: bytes, *, limit: int = DOCUMENT_LIMIT) -> Json:
    """Parse JSON, refusing what Python would silently repair: duplicate keys, floats, NaN, huge integers.

    Raises CanonicalRefusal.
    """
    if len(data) > limit:
        raise CanonicalRefusal(
            "document.too_large",
            "The document is too large.",
            limit=limit,
            actual=len(data),
            todo="Split the list into several documents under an index.",
        )
    check_depth(data)
    try:
        value: Json = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_refuse_float,
            parse_int=_integer,
            parse_constant=_refuse_float,
        )
    except UnicodeDecodeError as error:
        raise CanonicalRefusal("document.utf8", "The document is not valid UTF-8.", actual=error.start) from error
    except json.JSONDecodeError as error:
        raise CanonicalRefusal("document.json", f"The document is not JSON: {error.msg}.", actual=error.pos) from error
    _check(value, "$", 0)
    return value


def check_depth(data: bytes) -> None:
    """Refuse JSON that nests deeper than 32, before a parser sees it. Raises CanonicalRefusal.

    Python's parser is recursive and relies on the interpreter's limit; py_ecc raises that limit to 100,000 for the
    whole process, and 100 kB of `[` then end it with a segmentation fault instead of a RecursionError.
    """
    depth = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NOT_BRACKETS):
        if bracket in b"[{":
            depth += 1
            if depth > DEPTH_LIMIT:
                raise _too_deep()
        else:
            depth -= 1


def parse_canonical(data: bytes, *, limit: int = DOCUMENT_LIMIT) -> Json:
    """Parse bytes that must be their own canonical form, so that their digest is the document's digest.

    Raises CanonicalRefusal, also when the same document is merely written differently.
    """
    value = parse_strict(data, limit=limit)
    expected = rfc8785.dumps(value)
    if expected != data:
        raise CanonicalRefusal(
            "document.not_canonical",
            "The document is not in canonical form (RFC 8785).",
            limit=len(expected),
            actual=len(data),
            todo="Write it through a JCS library: sorted keys, no spaces, shortest escapes.",
        )
    return value


def document_bytes(value: Json, *, limit: int = DOCUMENT_LIMIT) -> bytes:
    """Return the canonical bytes of a document that must not exceed `limit` bytes. Raises CanonicalRefusal."""
    data = canonical_bytes(value)
    if len(data) > limit:
        raise CanonicalRefusal(
            "document.too_large",
            "The document is too large.",
            limit=limit,
            actual=len(data),
            todo="Split the list into several documents under an index.",
        )
    return data


def document_digest(value: Json, *, limit: int = DOCUMENT_LIMIT) -> Sha256:
    """Return the SHA-256 of the document's canonical bytes: what goes into log entries and on chain."""
    return Sha256.of(document_bytes(value, limit=limit))


def document_cid(value: Json) -> Cid:
    """Return the raw CIDv1 of a document of at most 1 MiB; its multihash digest *is* `document_digest(value)`.

    So a digest on chain leads straight to the block in IPFS, and back.
    """
    return Cid.of_digest(document_digest(value))


def _check(value: object, where: str, depth: int) -> None:
    if depth > DEPTH_LIMIT:
        raise _too_deep()
    match value:
        case None | bool():
            return
        case int():
            _check_integer(value, where)
        case str():
            _check_text(value, where)
        case Mapping():
            _check_members(value, where, depth)
        case list() | tuple():
            for index, member in enumerate(value):
                _check(member, f"{where}[{index}]", depth + 1)
        case float():
            raise CanonicalRefusal(
                "document.float",
                f"The value at {where} is a floating-point number.",
                actual=repr(value),
                todo="Write amounts as decimal strings in base units, ratios as integers.",
            )
        case _:
            raise CanonicalRefusal(
                "document.type", f"The value at {where} is not {_JSON_KINDS}.", actual=type(value).__name__
            )


def _check_members(value: Mapping[object, object], where: str, depth: int) -> None:
    for key, member in value.items():
        if not isinstance(key, str):
            raise CanonicalRefusal("document.key", f"A key at {where} is not a string.", actual=repr(key))
        _check_text(key, where)
        _check(member, f"{where}.{key}", depth + 1)


def _check_integer(value: int, where: str) -> None:
    if abs(value) > INTEGER_LIMIT:
        raise CanonicalRefusal(
            "document.integer",
            f"The integer at {where} is not exact in every JSON reader.",
            limit=INTEGER_LIMIT,
            actual=str(value),
            todo="Write it as a decimal string.",
        )


def _check_text(value: str, where: str) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CanonicalRefusal(
            "document.surrogate", f"The text at {where} contains a lone surrogate.", actual=error.start
        ) from error


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        duplicate = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise CanonicalRefusal("document.duplicate_key", "A key appears twice in one object.", actual=duplicate)
    return members


def _integer(literal: str) -> int:
    # Cut before int(): Python itself refuses literals of more than 4,300 digits with another exception.
    if len(literal) > len(str(-INTEGER_LIMIT)):
        raise CanonicalRefusal(
            "document.integer",
            "An integer is not exact in every JSON reader.",
            limit=INTEGER_LIMIT,
            actual=literal[:40],
            todo="Write it as a decimal string.",
        )
    return int(literal)


def _refuse_float(literal: str) -> NoReturn:
    raise CanonicalRefusal(
        "document.float",
        "The document contains a floating-point number.",
        actual=literal[:40],
        todo="Write amounts as decimal strings in base units, ratios as integers.",
    )


def _too_deep() -> CanonicalRefusal:
    return CanonicalRefusal("document.depth", "The document is nested too deeply.", limit=DEPTH_LIMIT)
