"""Pages that are somebody's own stay out of caches that others read from."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

PRIVATE = "private, no-cache"


class PrivateMiddleware:
    """Whatever is answered to a session is for that session, unless the view says who may keep it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Add the header where there is none: a proxy may be set up to keep what forbids nothing."""
        response = self.get_response(request)
        if settings.SESSION_COOKIE_NAME in request.COOKIES and "Cache-Control" not in response.headers:
            response["Cache-Control"] = PRIVATE
        return response
