"""What every page knows: the account that is acting, the network, the chosen colors."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.request import split_domain_port

from marketplace.models import User
from marketplace.queries.actors import Actor
from marketplace.queries.members import memberships_of
from marketplace.session import actor_of_session

THEMES = frozenset({"light", "dark"})
SECTIONS = {
    "explore": "explore",
    "dataset": "explore",
    "publish": "publish",
    "licenses": "licenses",
    "license": "licenses",
    "order": "licenses",
    "checkout": "explore",
    "earnings": "earnings",
    "balance": "earnings",
    "audit": "audit",
    "log": "audit",
    "entry": "audit",
    "verify": "audit",
    "settlement": "audit",
    "docs": "docs",
}


SETTINGS = {
    "account": "account",
    "api-keys": "keys",
    "own-key": "custody",
    "account_email": "email",
    "account_change_password": "password",
    "account_set_password": "password",
}


def actor_of(request: HttpRequest) -> Actor | None:
    """Return who acts, asked for once per request: page and context say the same."""
    if not hasattr(request, "_cadastre_actor"):
        request._cadastre_actor = actor_of_session(request)  # type: ignore[attr-defined]  # noqa: SLF001  # kept with it
    return request._cadastre_actor  # type: ignore[attr-defined]  # noqa: SLF001  # the same


def page(request: HttpRequest) -> dict[str, Any]:
    """Template context of every page."""
    theme = request.COOKIES.get("theme")
    match = request.resolver_match
    name = (match.url_name or "") if match else ""
    actor = actor_of(request)
    return {
        "theme": theme if theme in THEMES else None,
        "test_network": not settings.LIVE,
        "section": SECTIONS.get(name.split("-")[0], ""),
        "settings_tab": "mfa" if name.startswith("mfa_") else SETTINGS.get(name, ""),
        "actor": actor,
        "account": actor.account if actor else None,
        "memberships": memberships_of(request.user) if isinstance(request.user, User) else (),
        "passkeys": _has_name(request),
    }


def _has_name(request: HttpRequest) -> bool:
    """Whether the site was opened by a name: browsers keep passkeys for names, never for IP addresses."""
    try:
        ip_address(split_domain_port(request.get_host())[0].strip("[]"))
    except ValueError:
        return True
    except DisallowedHost:
        # The page that says so is rendered with this, too.
        return False
    return False
