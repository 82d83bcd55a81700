"""What a page says when something is refused or fails: what, the limit, the actual value, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import DataError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from marketplace.limits import LimitRefusal
from marketplace.templatetags.cadastre import money
from marketplace.web.negotiation import wants_json
from provenance.core.refusal import Refusal
from provenance.ports import ChainDown
from provenance.transitions import StateMoved

_ABSENT = (".not_found", ".unknown")
_IN_MONEY = frozenset({"balance.too_low", "order.over_limit", "faucet.amount", "income.amount"})
_LATER = ("deployment.", "account.address_wanted", "chain.down", "mail.down")


def is_absent(refusal: Refusal) -> bool:
    """Say whether a refusal means that there is no such thing, or not for whoever asks: both look the same."""
    return refusal.code.endswith(_ABSENT)


def said(refusal: Refusal) -> str:
    """Return a refusal in a sentence; figures that are base units are written as money."""
    if refusal.code not in _IN_MONEY:
        return str(refusal)
    limit, actual = (money(int(figure)) for figure in (refusal.limit or 0, refusal.actual or 0))
    figures = _("It is %(actual)s; at most %(limit)s is possible.") % {"actual": actual, "limit": limit}
    return f"{refusal.message} {figures} {refusal.todo or ''}".strip()


class RefusalMiddleware:
    """Answers the refusals that views let through, in one place."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Leave everything else alone."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the page of a refusal; None for what is no refusal."""
        match error:
            case StateMoved():
                moved = Refusal("moved", "Somebody changed it at the same moment.", todo="Look at it again.")
                return _answer(request, "web/refused.html", moved, 409)
            case ChainDown():
                down = Refusal("chain.down", "The chain does not answer right now.", todo="Try again; nothing is lost.")
                return _answer(request, "web/refused.html", down, 503)
            case DataError():
                # PostgreSQL refuses what SQLite takes: a NUL character, a number beyond its column.
                value = Refusal(
                    "request.value", "A value of this request cannot be kept or looked for.",
                    todo="Leave out control characters, and numbers that are too large.",
                )  # fmt: skip
                return _answer(request, "web/refused.html", value, 400)
            case Refusal() if is_absent(error):
                return not_found(request, error)
            case Refusal() if error.code.startswith("access."):
                return _answer(request, "403.html", error, 403)
            case Refusal():
                return _answer(request, "web/refused.html", error, _status(error))
            case _:
                return None


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that cannot be read. Its session and user may be what is broken, so none is looked at."""
    return HttpResponse(_plain("400.html"), status=400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django itself denies."""
    return render(request, "403.html", status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an address that leads nowhere, or to somebody else's."""
    nothing = Refusal("request.not_found", "There is nothing at this address.", todo="See /api/v1/schema.")
    return _answer(request, "404.html", exception if isinstance(exception, Refusal) else nothing, 404)


def failed(request: HttpRequest) -> HttpResponse:
    """Answer after a fault of ours; the database may be what failed, so none is asked.

    A database that is being started again is no fault: that passes by itself, and the answer says so.
    """
    if isinstance(sys.exception(), OperationalError):
        return HttpResponse(_plain("503.html"), status=503, headers={"Retry-After": "1"})
    return HttpResponse(_plain("500.html"), status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that was sent from elsewhere, or after its session had ended."""
    return render(request, "web/csrf.html", {"reason": reason}, status=403)


def locked_out(request: HttpRequest, _response: HttpResponse, _credentials: dict[str, str]) -> HttpResponse:
    """Answer too many wrong passwords (django-axes)."""
    wait = timedelta(hours=settings.AXES_COOLOFF_TIME)
    context = {"limit": settings.AXES_FAILURE_LIMIT, "minutes": int(wait.total_seconds()) // 60}
    return render(request, "web/locked_out.html", context, status=429)


def robots(request: HttpRequest) -> HttpResponse:
    """Let crawlers read what is public, and name the license of the data (RSL 1.0) instead of asking them to guess."""
    lines = ["User-agent: *"]
    lines += [f"Disallow: {path}" for path in ("/account/", "/settings", "/checkout/", "/orders/", "/disclosed/")]
    lines += ["", f"License: {settings.CADASTRE_PUBLIC_URL}/license.xml", ""]
    return HttpResponse("\n".join(lines), content_type="text/plain; charset=utf-8")


def _answer(request: HttpRequest, template: str, refusal: Refusal, status: int) -> HttpResponse:
    """Return a refusal as a page, or as problem details (RFC 9457) to a program at an address that answers both."""
    if wants_json(request):
        problem = {**refusal.as_problem(), "type": f"/problems/{refusal.code}", "status": status}
        response: HttpResponse = JsonResponse(problem, status=status, content_type="application/problem+json")
        patch_vary_headers(response, ["Accept"])
        return response
    return render(request, template, {"refusal": refusal}, status=status)


def _status(refusal: Refusal) -> int:
    if isinstance(refusal, LimitRefusal):
        return 429
    return 503 if refusal.code.startswith(_LATER) else 409


def _plain(template: str) -> str:
    return render_to_string(template, {"test_network": not settings.LIVE})
