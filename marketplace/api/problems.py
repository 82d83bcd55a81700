"""Every refusal in one shape: problem details (RFC 9457). The table below is the only place that knows a status."""

from __future__ import annotations

import logging
import math
from datetime import datetime
from typing import Any

import msgspec
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions

from marketplace.limits import LimitRefusal
from provenance.core.refusal import Figure, Refusal
from provenance.ports import ChainDown
from provenance.transitions import StateMoved
from provenance.uploads import UploadRefusal

CONTENT_TYPE = "application/problem+json"
_LOG = logging.getLogger(__name__)


class Problem(msgspec.Struct):
    """What was refused, the limit, the actual value, and what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    limit: int | str | None = None
    actual: int | str | None = None
    todo: str | None = None


class RequestRefusal(Refusal):
    """A request cannot be understood (`request.…`, HTTP 400 unless the table says otherwise)."""


STATUS: dict[str, int] = {
    # Who asks
    "access.key": 401,
    "access.missing": 401,
    # What is asked about
    "log.no_entry": 404,
    "dataset.unknown": 404,
    "submission.dataset_unknown": 404,
    "store.missing": 404,
    # What stands in the way now, and may not later
    "request.method": 405,
    "request.not_found": 404,
    "bundle.waiting": 409,
    "draft.changed_since_review": 409,
    "draft.revision": 409,
    "idempotency.under_way": 409,
    "log.not_signed": 409,
    "match.judged": 409,
    "offer.not_live": 409,
    "order.quote": 409,
    "order.quote_wanted": 409,
    "submission.changed_since_review": 409,
    "draft.wallet_signature": 409,
    "signature.expired": 409,
    "submission.moved": 409,
    "withdrawal.sent": 409,
    "content.erased": 410,
    "content.withheld": 451,
    "request.tus_version": 412,
    "look_up.too_large": 413,
    "request.too_large": 413,
    "request.media_type": 415,
    "limit.rate": 429,
    # What this server cannot do now
    "request.failed": 500,
    "account.address_wanted": 503,
    "database.busy": 503,
    "deployment.halted": 503,
    "deployment.no_token": 503,
    "deployment.none": 503,
    "log.empty": 503,
    "draft.contributor_address": 503,
    "chain.down": 503,
    "store.down": 503,
    "store.mismatch": 503,
    "store.full": 507,
    # What fits its type and still means nothing here. JSON calls 68.0 an integer; amounts are no place for points.
    "document.float": 422,
    "request.cursor": 422,
    "request.upload_checksum": 422,
    "request.upload_metadata": 422,
    # What cannot be read as what it should be
    "dataset.id": 400,
    "idempotency.key": 400,
    "license.id": 400,
}
ENDINGS = ((".not_found", 404), (".state", 409))
BEGINNINGS = (
    ("access.", 403),
    ("caip.", 400),
    ("cid.", 400),
    ("digest.", 400),
    ("document.", 400),
    ("request.", 400),
)
UNDERSTOOD_BUT_REFUSED = 422
RETRY_SECONDS = 1


def status_of(refusal: Refusal) -> int:
    """Return the HTTP status of a refusal by its code."""
    if isinstance(refusal, UploadRefusal) and not refusal.code.endswith(".not_found"):
        return refusal.status
    found = STATUS.get(refusal.code)
    if found is not None:
        return found
    for ending, status in ENDINGS:
        if refusal.code.endswith(ending):
            return status
    for beginning, status in BEGINNINGS:
        if refusal.code.startswith(beginning):
            return status
    return UNDERSTOOD_BUT_REFUSED


def problem_response(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """Answer any exception of a view; REST framework calls it. What is not a refusal is logged and not shown."""
    refusal = refusal_of(error)
    if refusal.code == "request.failed":
        view = context.get("view")
        _LOG.error("%s failed", type(view).__name__ if view else "a view", exc_info=error)
    now = getattr(context.get("view"), "now", None)
    return response_of(refusal, now=now)


def response_of(refusal: Refusal, *, now: datetime | None = None) -> HttpResponse:
    """Return the problem document of a refusal, with the headers that its status asks for."""
    status = status_of(refusal)
    problem = Problem(
        type=f"/problems/{refusal.code}",
        title=_spoken(refusal.message),
        status=status,
        detail=_spoken(str(refusal)),
        code=refusal.code,
        limit=_figure(refusal.limit),
        actual=_figure(refusal.actual),
        todo=None if refusal.todo is None else _spoken(refusal.todo),
    )
    response = HttpResponse(msgspec.json.encode(problem), status=status, content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-store"
    if status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="cadastre"'
    elif status == 429:
        response["Retry-After"] = str(_seconds_left(refusal, now))
    elif status == 503 or refusal.code in {"bundle.waiting", "log.not_signed"}:
        response["Retry-After"] = str(RETRY_SECONDS)
    return response


def refusal_of(error: Exception) -> Refusal:
    """Return what an exception says to the outside: itself, or the refusal that stands for a framework's own."""
    if isinstance(error, Refusal) and not isinstance(error, ChainDown):
        return error
    found = next((said for kinds, said in _OTHERS if isinstance(error, kinds)), None)
    code, message, todo = found or ("request.failed", "This failed here, not on your side.", "Try again later.")
    return RequestRefusal(code, message, todo=todo)


_Said = tuple[str, str, str | None]
# What is not a refusal of ours. The first that fits counts, so that narrower kinds stand before wider ones.
_OTHERS: tuple[tuple[tuple[type[Exception], ...], _Said], ...] = (
    ((ChainDown,), ("chain.down", "The chain does not answer.", "Try again; nothing is lost.")),
    ((StateMoved,), ("submission.moved", "Somebody moved it at the same moment.", "Look at it again.")),
    ((Http404, exceptions.NotFound), ("request.not_found", "There is nothing at this address.", "See /api/v1/schema.")),
    ((exceptions.MethodNotAllowed,), ("request.method", "This address does not know the method.", "See Allow.")),
    ((RequestDataTooBig,), ("request.too_large", "The body is too large.", None)),
    (
        (exceptions.ParseError, SuspiciousOperation, UnreadablePostError),
        ("request.unreadable", "The request cannot be read.", None),
    ),
    ((exceptions.PermissionDenied, PermissionDenied), ("access.denied", "This is not allowed.", None)),
    ((OperationalError,), ("database.busy", "The database is busy.", "Try again; nothing was changed.")),
)


@csrf_exempt
def page_not_found(_request: HttpRequest, *_: object, **__: object) -> HttpResponse:
    """Answer an address below /api/v1 that is none."""
    return response_of(refusal_of(Http404()))


def _seconds_left(refusal: Refusal, now: datetime | None) -> int:
    allowance = refusal.allowance if isinstance(refusal, LimitRefusal) else None
    if allowance is None or now is None:
        return RETRY_SECONDS
    return max(1, math.ceil((allowance.reset - now).total_seconds()))


def _figure(figure: Figure) -> Figure:
    return _spoken(figure) if isinstance(figure, str) else figure


def _spoken(text: str) -> str:
    # What was refused may itself be text that no JSON carries.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
