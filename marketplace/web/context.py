"""What every page knows: the account that is acting, the network, the chosen colors."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from marketplace.queries.actors import AccessRefusal, Actor, actor_of_user

SESSION_ACCOUNT = "account"
THEMES = frozenset({"light", "dark"})
SECTIONS = {
    "explore": "explore",
    "dataset": "explore",
    "publish": "publish",
    "licenses": "licenses",
    "license": "licenses",
    "checkout": "explore",
    "earnings": "earnings",
    "audit": "audit",
    "log": "audit",
    "entry": "audit",
    "verify": "audit",
    "settlement": "audit",
    "docs": "docs",
}


def actor_of(request: HttpRequest) -> Actor | None:
    """Return who acts: the signed-in user for the account chosen in this session; None for a visitor."""
    if not request.user.is_authenticated:
        return None
    slug = request.session.get(SESSION_ACCOUNT)
    try:
        return actor_of_user(request.user, slug)
    except AccessRefusal:
        # The membership ended while the session went on.
        request.session.pop(SESSION_ACCOUNT, None)
        return actor_of_user(request.user)


def page(request: HttpRequest) -> dict[str, Any]:
    """Template context of every page."""
    theme = request.COOKIES.get("theme")
    match = request.resolver_match
    name = (match.url_name or "") if match else ""
    actor = actor_of(request) if hasattr(request, "user") else None
    return {
        "theme": theme if theme in THEMES else None,
        "test_network": not settings.LIVE,
        "section": SECTIONS.get(name.split("-")[0], ""),
        "actor": actor,
        "account": actor.account if actor else None,
    }
