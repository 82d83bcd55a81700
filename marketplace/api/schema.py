"""The description of the API (OpenAPI 3.1), made from the types that bodies are read and answers are written by."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, get_origin

import msgspec
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from marketplace.api.guide import EXAMPLES, HEADERS, INTRODUCTION, OPERATIONS, PARAMETERS
from marketplace.api.pages import PageQuery
from marketplace.api.problems import CONTENT_TYPE as PROBLEM_TYPE
from marketplace.api.problems import Problem

REFS = "#/components/schemas/{name}"
_REASONS = {
    400: "The request cannot be read",
    401: "No key, or a wrong one",
    403: "The key or role does not allow it",
    404: "There is no such thing, or it is not yours",
    405: "Not a method of this address",
    409: "Something stands in the way now",
    410: "The bytes are gone",
    412: "Another version of tus",
    413: "Too large",
    415: "Another media type is needed",
    422: "Understood, and refused",
    423: "Another connection is writing",
    429: "Too many requests",
    451: "Withheld",
    460: "The checksum does not match",
    500: "It failed here",
    503: "Not now",
    507: "No room",
}
_PATH_SCHEMAS: dict[str, dict[str, Any]] = {
    "dataset": {"type": "string", "pattern": "^[1-9][0-9]{0,17}-[0-9a-f]{40}-[1-9][0-9]{0,17}$"},
    "license_id": {"type": "string", "pattern": "^[1-9][0-9]{0,17}-[0-9a-f]{40}-[1-9][0-9]{0,17}$"},
    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "cid": {"type": "string", "pattern": "^b[a-z2-7]{20,100}$"},
    "version": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "match": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "epoch": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
    "index": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
}
_UUID = {"type": "string", "format": "uuid"}

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Raw:
    """A body that is not JSON: its media type."""

    media_type: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A header that a request may, or must, carry."""

    name: str
    schema: Mapping[str, Any]
    required: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method of an address says of itself. `answers`: successful statuses, and what comes with them."""

    summary: str
    answers: Mapping[int, Any]
    body: tuple[Any, ...]
    query: type | None
    refuses: frozenset[int]
    parameters: tuple[Parameter, ...]
    headers: tuple[str, ...]


IDEMPOTENT = Parameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    description="The same key and body have one effect and one answer, for 30 days.",
)
IDEMPOTENT_ALWAYS = Parameter("Idempotency-Key", IDEMPOTENT.schema, required=True, description=IDEMPOTENT.description)
WAITS = Parameter(
    "Prefer", {"type": "string"}, description="`wait=20`: answer when it has settled, at the latest after 20 s (≤ 60)."
)


def operation(
    summary: str,
    *,
    answer: Any = None,
    status: int = 200,
    also: Mapping[int, Any] | None = None,
    body: Any = None,
    query: type | None = None,
    refuses: tuple[int, ...] = (),
    parameters: tuple[Parameter, ...] = (),
    headers: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Describe a method. `answer`: a type, a `Raw`, a tuple of both, or None; `body` likewise.

    `also`: further successful statuses and their answers; `refuses`: statuses beyond those that every method has.
    """
    bodies = body if isinstance(body, tuple) else () if body is None else (body,)
    said = Operation(summary, {status: answer, **(also or {})}, bodies, query, frozenset(refuses), parameters, headers)

    def described(method: F) -> F:
        method.operation = said  # type: ignore[attr-defined]
        return method

    return described


class ResourceSchema(AutoSchema):
    """Writes the operation of one method; REST framework and drf-spectacular find addresses, methods and keys."""

    view: Any

    def get_operation(self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any) -> dict[str, Any]:
        self.registry, self.path, self.path_regex = registry, path, path_regex
        self.path_prefix, self.method = path_prefix, method.upper()
        said = self._said()
        found: dict[str, Any] = {
            "operationId": _name(path, self.method),
            "summary": said.summary,
            **_described(OPERATIONS, _name(path, self.method)),
            "tags": [path.removeprefix("/api/v1/").partition("/")[0]],
            "security": self._security(),
            "responses": self._responses(said),
        }
        parameters = self._parameters(said)
        if parameters:
            found["parameters"] = parameters
        if said.body:
            content = {media: {"schema": schema} for media, schema in map(self._content, said.body)}
            found["requestBody"] = {"content": content, "required": any(_is_needed(kind) for kind in said.body)}
        return found

    def _said(self) -> Operation:
        handler = getattr(self.view, self.method.lower())
        said: Operation | None = getattr(handler, "operation", None)
        if said is None:
            raise TypeError(f"{type(self.view).__name__}.{self.method.lower()} says nothing of itself")
        return said

    def _security(self) -> list[dict[str, list[str]]]:
        registered = super().get_auth()
        if self.method in self.view.persons:
            return [{"session": []}]
        return [{}, *registered] if self.view.acts[self.method] is None else registered

    def _parameters(self, said: Operation) -> list[dict[str, Any]]:
        found = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": _PATH_SCHEMAS.get(name, _UUID),
                **_described(PARAMETERS, name),
            }
            for name in re.findall(r"\{(\w+)\}", self.path)
        ]
        if said.query is not None:
            found += self._query(said.query)
        for parameter in said.parameters:
            found.append(
                {
                    "name": parameter.name,
                    "in": "header",
                    "required": parameter.required,
                    "schema": dict(parameter.schema),
                    "description": parameter.description or PARAMETERS[parameter.name],
                }
            )
        return found

    def _query(self, kind: type) -> list[dict[str, Any]]:
        (_, components) = msgspec.json.schema_components([kind], ref_template=REFS)
        own = components.pop(kind.__name__)
        for name, schema in components.items():
            self._register(name, schema)
        required = set(own.get("required", ()))
        return [
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "schema": schema,
                **_described(PARAMETERS, name),
            }
            for name, schema in own["properties"].items()
        ]

    def _responses(self, said: Operation) -> dict[str, Any]:
        responses: dict[str, Any] = {}
        extra = {name: {"schema": {"type": "string"}} for name in said.headers}
        for status, answer in said.answers.items():
            responses[str(status)] = {
                "description": said.summary,
                "headers": {**_rate_headers(), **extra},
            } | self._contents(answer)
        for status in sorted(self._refusals(said) - said.answers.keys()):
            schema = self._schema(Problem)
            responses[str(status)] = {
                "description": _REASONS[status],
                "headers": _rate_headers(),
                "content": {PROBLEM_TYPE: {"schema": schema}},
            }
        return responses

    def _contents(self, answer: Any) -> dict[str, Any]:
        if answer is None:
            return {}
        kinds = answer if isinstance(answer, tuple) else (answer,)
        return {"content": {media: {"schema": schema} for media, schema in map(self._content, kinds)}}

    def _content(self, kind: Any) -> tuple[str, dict[str, Any]]:
        if isinstance(kind, Raw):
            return kind.media_type, _raw_schema(kind.media_type)
        return "application/json", self._schema(kind)

    def _refusals(self, said: Operation) -> frozenset[int]:
        found = {400, 401, 429, 500, 503} | said.refuses
        if self.view.acts[self.method] is not None or self.method in self.view.persons:
            found.add(403)
        if "{" in self.path:
            found.add(404)
        if self.method in {"POST", "PATCH", "DELETE"}:
            # 403 also without a scope: a session that sends no CSRF token.
            found |= {403, 404, 409, 422}
        if said.body:
            found |= {413, 415}
        if said.query is not None and issubclass(said.query, PageQuery):
            found.add(422)
        return frozenset(found)

    def _schema(self, kind: Any) -> dict[str, Any]:
        (schema,), components = msgspec.json.schema_components([kind], ref_template=REFS)
        for name, component in components.items():
            self._register(name, component)
        return schema

    def _register(self, name: str, schema: dict[str, Any]) -> None:
        schema = {**schema, "examples": [EXAMPLES[name]]} if name in EXAMPLES else schema
        component = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, object=name, schema=schema)
        self.registry.register_on_missing(component)


class _Addresses(EndpointEnumerator):
    def get_allowed_methods(self, callback: Any) -> list[str]:
        methods = super().get_allowed_methods(callback)
        # HEAD is described where it is more than GET without its body.
        own_head = hasattr(getattr(callback.cls, "head", None), "operation")
        return [method for method in methods if method in callback.cls.acts] + (["HEAD"] if own_head else [])


class ApiSchemaGenerator(SchemaGenerator):
    """drf-spectacular's generator, which also lists HEAD where tus uses it."""

    endpoint_inspector_cls = _Addresses


@lru_cache(maxsize=1)
def schema_bytes() -> bytes:
    """Return the OpenAPI document; it is the same for everybody and as long as the process lives."""
    patterns = [path("api/v1/", include("marketplace.api.urls"))]
    document = ApiSchemaGenerator(patterns=patterns).get_schema(request=None, public=True)
    document["info"]["description"] = INTRODUCTION
    return msgspec.json.encode(document)


def schema_document(_request: HttpRequest) -> HttpResponse:
    """`GET /api/v1/schema`."""
    headers = {"Cache-Control": "public, max-age=300"}
    return HttpResponse(schema_bytes(), content_type="application/json", headers=headers)


def _raw_schema(media_type: str) -> dict[str, Any]:
    if media_type.endswith("json"):
        return {}
    return {"type": "string"} if media_type.startswith("text/") else {"type": "string", "format": "binary"}


def _rate_headers() -> dict[str, Any]:
    return {name: {"schema": {"type": "integer"}, "description": words} for name, words in HEADERS.items()}


def _described(words: Mapping[str, str], name: str) -> dict[str, str]:
    return {"description": words[name]} if name in words else {}


def _name(path: str, method: str) -> str:
    words = re.findall(r"\w+", path.removeprefix("/api/v1/"))
    verb = {"GET": "get", "HEAD": "head", "POST": "post", "PATCH": "change", "DELETE": "delete"}[method]
    return "_".join([verb, *words])


def _is_needed(kind: Any) -> bool:
    if isinstance(kind, Raw):
        return True
    return any(each.required for each in msgspec.structs.fields(get_origin(kind) or kind))
