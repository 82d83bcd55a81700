"""Lists page by page: a cursor names the last row seen, so that pages neither skip nor repeat while rows come in."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Field, Q, QuerySet
from django.http import HttpRequest

from marketplace.api.problems import RequestRefusal
from marketplace.api.reading import Query

LIMIT = 100
DEFAULT = 50

T = TypeVar("T")
Row = TypeVar("Row")


class Page(msgspec.Struct, Generic[T]):
    """`next` is the address of the next page, or null at the end."""

    results: list[T]
    next: str | None


class PageQuery(Query):
    """Where to go on, and how many at most."""

    cursor: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=LIMIT)] = DEFAULT


def page_of(
    rows: QuerySet[Any, Row],
    *,
    order: Sequence[str],
    query: PageQuery,
    request: HttpRequest,
    show: Callable[[Iterable[Row]], list[T]],
) -> Page[T]:
    """Return one page of `rows` ordered by the fields of `order` (`-` for descending), the last of which is unique.

    `show` gets the rows of the page. Rows may be objects or dictionaries of `.values()`. Raises RequestRefusal.
    """
    names = [name.removeprefix("-") for name in order]
    ordered = rows.order_by(*order)
    if query.cursor:
        ordered = ordered.filter(_after(order, _position(query.cursor, rows, names)))
    found = list(ordered[: query.limit + 1])
    shown = found[: query.limit]
    following = _address(request, [_value(shown[-1], name) for name in names]) if len(found) > query.limit else None
    return Page(show(shown), following)


def page_of_list(values: Sequence[T], *, query: PageQuery, request: HttpRequest) -> Page[T]:
    """Return one page of a list that is at hand; the cursor is a position in it. Raises RequestRefusal."""
    position = _decoded(query.cursor) if query.cursor else [0]
    if len(position) != 1 or not isinstance(position[0], int) or position[0] < 0:
        raise _unreadable()
    end = position[0] + query.limit
    return Page(list(values[position[0] : end]), _address(request, [end]) if end < len(values) else None)


def _after(order: Sequence[str], position: Sequence[object]) -> Q:
    # (a, b) after (x, y): a > x, or a = x and b > y; for any number of fields.
    found, equal = Q(), Q()
    for name, value in zip(order, position, strict=True):
        field = name.removeprefix("-")
        found |= equal & Q(**{f"{field}__{'lt' if name.startswith('-') else 'gt'}": value})
        equal &= Q(**{field: value})
    return found


def _position(cursor: str, rows: QuerySet[Any, Any], names: Sequence[str]) -> list[object]:
    texts = _decoded(cursor)
    if len(texts) != len(names):
        raise _unreadable()
    try:
        return [_field(rows, name).to_python(text) for name, text in zip(names, texts, strict=True)]
    except (ValidationError, FieldDoesNotExist, TypeError, ValueError, OverflowError) as error:
        raise _unreadable() from error


def _field(rows: QuerySet[Any, Any], name: str) -> Field[Any, Any]:
    if name in rows.query.annotations:
        computed = rows.query.annotations[name].output_field
        assert isinstance(computed, Field)
        return computed
    found = rows.model._meta.get_field(name)  # noqa: SLF001  # Django's documented way to a model's fields
    assert isinstance(found, Field)
    return found


def _value(row: object, name: str) -> object:
    return row[name] if isinstance(row, dict) else getattr(row, name)


def _address(request: HttpRequest, position: Sequence[object]) -> str:
    text = json.dumps([value if isinstance(value, int) else _text(value) for value in position], separators=(",", ":"))
    query = request.GET.copy()
    query["cursor"] = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return f"{request.path}?{query.urlencode()}"


def _text(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _decoded(cursor: str) -> list[object]:
    try:
        value = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise _unreadable() from error
    if not isinstance(value, list) or not all(isinstance(each, str | int) for each in value):
        raise _unreadable()
    if any(isinstance(each, int) and abs(each) >= 2**63 for each in value):
        raise _unreadable()
    if any(isinstance(each, str) and ("\0" in each or not each.isprintable()) for each in value):
        raise _unreadable()
    return value


def _unreadable() -> RequestRefusal:
    return RequestRefusal(
        "request.cursor",
        "This is not a cursor of this list.",
        todo="Follow `next` of the page before, or leave it out.",
    )
