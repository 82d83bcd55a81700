"""What every address of the API does: who asks, how often, once, conditionally; the rest is the noun's own."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, TypeVar, cast

import msgspec
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from marketplace import idempotency
from marketplace.api import rates
from marketplace.api.authentication import ApiKeyAuthentication, SessionActorAuthentication
from marketplace.api.problems import RequestRefusal
from marketplace.api.reading import read_body, read_query
from marketplace.api.schema import ResourceSchema
from marketplace.api.waiting import until, wanted_seconds
from marketplace.limits import Allowance, LimitRefusal
from marketplace.queries.actors import AccessRefusal, Act, Actor
from provenance.core.canonical import Json
from provenance.core.refusal import Refusal

JSON = "application/json"
IMMUTABLE = "max-age=31536000, immutable"

T = TypeVar("T")
Answer = tuple[int, msgspec.Struct]


class _OneFormat(BaseContentNegotiation):
    """Answers are JSON, or the one form that a document has; `Accept` chooses nothing."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> tuple[None, str]:
        return None, JSON


class Resource(APIView):
    """An address. `acts`: what its methods ask of the actor; None where nobody is asked.

    `persons`: methods that need a person at a browser. Methods that are not named in `acts` do not exist.
    """

    acts: ClassVar[Mapping[str, Act | None]] = {}
    persons: ClassVar[frozenset[str]] = frozenset()
    rate: ClassVar[rates.Rate] = rates.GENERAL

    authentication_classes = (ApiKeyAuthentication, SessionActorAuthentication)
    permission_classes = ()
    throttle_classes = ()
    renderer_classes = ()
    content_negotiation_class = _OneFormat
    schema = ResourceSchema()

    now: datetime
    allowance: Allowance | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = set(cls.http_method_names) - {"options", "head"}
        handled = {name.upper() for name in names if hasattr(cls, name)}
        missing = handled - cls.acts.keys()
        if missing:
            raise TypeError(f"{cls.__name__} does not say who may {', '.join(sorted(missing))}")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Find out who asks, count the request, check what the actor may do. Raises AccessRefusal, LimitRefusal."""
        self.now = timezone.now()
        actor: Actor | None = None
        refused: Refusal | None = None
        try:
            actor = cast("Actor | None", request.auth)
        except AccessRefusal as refusal:
            refused = refusal
        self._count(request, actor)
        if refused is not None:
            raise refused
        self._require(request, actor)

    def finalize_response(  # type: ignore[override]  # answers here are Django's own, REST framework takes them as well
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Add what every answer carries: limits, `ETag`, what it varies by."""
        final: HttpResponse = response
        if request.method == "GET" and final.status_code == 200 and final.headers["Content-Type"] == JSON:
            final = _conditional(request, final)
        if self.allowance is not None:
            rates.show(final, self.allowance, now=self.now)
        if "Allow" not in final.headers and final.status_code in {204, 405}:
            final["Allow"] = ", ".join(self.allowed_methods)
        final["Vary"] = "Authorization, Cookie"
        return final

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """Say which methods there are."""
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    @property
    def http(self) -> HttpRequest:
        """Django's own request."""
        return self.request._request  # noqa: SLF001  # REST framework's own way to it

    @property
    def asker(self) -> Actor | None:
        """Who asks, or None for a visitor."""
        return cast("Actor | None", self.request.auth)

    @property
    def actor(self) -> Actor:
        """Who asks. Raises AccessRefusal `access.missing` (HTTP 401)."""
        found = self.asker
        if found is None:
            raise AccessRefusal(
                "access.missing", "This needs an API key, or a session.", todo="Send: Authorization: Bearer cad_…"
            )
        return found

    def body(self, kind: type[T]) -> T:
        """Return the JSON body as a `kind`. Raises RequestRefusal."""
        return read_body(self.http, kind)

    def query(self, kind: type[T]) -> T:
        """Return the query as a `kind`. Raises RequestRefusal."""
        return read_query(self.http.GET, kind)

    def answer(
        self, value: object, status: int = 200, *, headers: Mapping[str, str] | None = None, public: bool = False
    ) -> HttpResponse:
        """Return a value as JSON. `public` answers are the same for everybody, and may be kept by caches."""
        return self.encoded(msgspec.json.encode(value), status, headers=headers, public=public)

    def encoded(
        self, data: bytes, status: int = 200, *, headers: Mapping[str, str] | None = None, public: bool = False
    ) -> HttpResponse:
        """Return JSON that is encoded already, as `answer` would."""
        response = HttpResponse(data, status=status, content_type=JSON, headers=headers)
        response["Cache-Control"] = "public, max-age=0, must-revalidate" if public else "private, no-cache"
        return response

    def once(
        self,
        effect: Callable[[], Answer],
        *,
        request: object,
        location: Callable[[Any], str] | None = None,
        key_needed: bool = False,
    ) -> HttpResponse:
        """Run an effect once per `Idempotency-Key`; a retry gets the same status and body.

        `request`: what has to be equal for a retry to be one. `location` makes an address of the answer's body.
        Raises IdempotencyRefusal, RequestRefusal, and what the effect refuses.
        """
        key = self.http.headers.get("Idempotency-Key")
        if key is None and key_needed:
            raise RequestRefusal(
                "request.idempotency_key", "This needs an Idempotency-Key, so that nothing is paid twice.",
                todo="Send a random UUID, and the same one when you try again.",
            )  # fmt: skip
        if key is None:
            with transaction.atomic():
                status, value = effect()
            outcome = idempotency.Outcome(status, msgspec.to_builtins(value), replayed=False)
        else:
            outcome = idempotency.once(
                account=self.actor.account.pk, key=key, now=self.now,
                request=[self.http.method or "", self.http.path, cast("Json", msgspec.to_builtins(request))],
                effect=lambda: _stored(effect()),
            )  # fmt: skip
        headers = {"Idempotency-Replayed": "true"} if outcome.replayed else {}
        if location is not None:
            headers["Location"] = location(outcome.response)
        # Sorted, because a database may keep the members of an object in an order of its own.
        return self.encoded(msgspec.json.encode(outcome.response, order="sorted"), outcome.status, headers=headers)

    def inner_key(self) -> str:
        """Return the key for an action that counts by itself: the client's own, so that a retry is one there, too."""
        key = self.http.headers.get("Idempotency-Key") or str(uuid.uuid4())
        return f"api:{hashlib.sha256(key.encode()).hexdigest()}"

    def waited(self, look: Callable[[], T], settled: Callable[[T], bool]) -> T:
        """Return what `look` sees once it has settled, or when the time that the client gave is over."""
        return until(look, settled, seconds=wanted_seconds(self.http))

    def settled(
        self,
        begun: HttpResponse,
        look: Callable[[dict[str, Any]], T],
        settled: Callable[[T], bool],
        *,
        status: int = 201,
    ) -> HttpResponse:
        """Answer a request that began something: at once as `begun`, or with `Prefer: wait` as `look` sees it later.

        `look` gets the body of `begun`. An answer about what has settled has `status`, else that of `begun`.
        """
        if not wanted_seconds(self.http):
            return begun
        first = msgspec.json.decode(begun.content)
        seen = self.waited(lambda: look(first), settled)
        response = self.answer(seen, status if settled(seen) else begun.status_code, headers=self.applied())
        for name in ("Location", "Idempotency-Replayed"):
            if name in begun.headers:
                response[name] = begun.headers[name]
        return response

    def applied(self) -> dict[str, str]:
        """Return the header that says that `Prefer: wait` was heeded, if it was sent."""
        seconds = wanted_seconds(self.http)
        return {"Preference-Applied": f"wait={seconds}"} if seconds else {}

    def _count(self, request: Request, actor: Actor | None) -> None:
        try:
            self.allowance = rates.use(self.rate, actor=actor, request=request._request, now=self.now)  # noqa: SLF001
        except LimitRefusal as refusal:
            self.allowance = refusal.allowance
            raise

    def _require(self, request: Request, actor: Actor | None) -> None:
        method = said_method(self, str(request.method))
        act = self.acts.get(method)
        if act is None and method not in self.persons:
            return
        asker = self.actor
        if act is not None:
            asker.require(act)
        if method in self.persons:
            asker.require_person()


def said_method(view: Resource, method: str) -> str:
    """Return the method whose entry in `acts` counts: HEAD is GET without its body, unless it is more than that."""
    return "GET" if method == "HEAD" and "HEAD" not in view.acts else method


def _stored(answer: Answer) -> tuple[int, dict[str, Json]]:
    status, value = answer
    return status, msgspec.to_builtins(value)


def _conditional(request: Request, response: HttpResponse) -> HttpResponse:
    etag = f'"{hashlib.blake2b(response.content, digest_size=12).hexdigest()}"'
    if etag in (each.strip().removeprefix("W/") for each in request.headers.get("If-None-Match", "").split(",")):
        unchanged = HttpResponse(status=304)
        unchanged["Cache-Control"] = response["Cache-Control"]
        del unchanged.headers["Content-Type"]
        response = unchanged
    response["ETag"] = etag
    return response
