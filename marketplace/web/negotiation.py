"""HTML or JSON at one address, by what the reader asks for."""

from __future__ import annotations

from django.http import HttpRequest


def wants_json(request: HttpRequest) -> bool:
    """Say whether `Accept` prefers JSON to HTML. Browsers never do."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def wants_part(request: HttpRequest) -> bool:
    """Say whether htmx asks for the part of a page that changes."""
    return request.headers.get("HX-Request") == "true"
