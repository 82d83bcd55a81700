"""Who acts in the website's session: the signed-in person, for the account that they chose there; and from where.

Pages and API read the same session, so that both act for the same account.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from allauth.account.authentication import get_authentication_records
from django.conf import settings
from django.http import HttpRequest

from marketplace.models import User
from marketplace.queries.actors import AccessRefusal, Actor, actor_of_user

SESSION_ACCOUNT = "account"
SECOND_FACTOR_LASTS = timedelta(minutes=15)


def actor_of_session(request: HttpRequest) -> Actor | None:
    """Return who acts, or None for a visitor and for a user without an account, such as a new operator.

    A membership that ended while the session went on falls back to the person's own account.
    """
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not user.is_active:
        return None
    proved = has_second_factor(request, user, now=time.time())
    chosen = request.session.get(SESSION_ACCOUNT)
    for slug in dict.fromkeys((chosen, None)):
        try:
            return actor_of_user(user, slug, second_factor=proved)
        except AccessRefusal:
            request.session.pop(SESSION_ACCOUNT, None)
    return None


def has_second_factor(request: HttpRequest, user: User, *, now: float) -> bool:
    """Say whether the person proved a second factor in this session within the last minutes."""
    since = now - SECOND_FACTOR_LASTS.total_seconds()
    records = get_authentication_records(request, user)
    return any(record.get("method") == "mfa" and record.get("at", 0) >= since for record in records)


def shown_to_oneself(user: User) -> str:
    """Return what people read about themselves when they sign in; their number here tells how many others there are."""
    return user.email


def login_of(request: HttpRequest, credentials: Mapping[str, Any] | None) -> str:
    """Return the e-mail address that somebody signs in with: wrong passwords lock it, and nobody beside it.

    django-allauth hands it on as `email`, where django-axes does not look by itself.
    """
    given = credentials or {}
    return str(given.get("email") or given.get("login") or request.POST.get("login", "")).lower()


def address_of(request: HttpRequest) -> str:
    """Return the address that the connection came from; behind a proxy, the last one that the proxy names.

    What a client writes into X-Forwarded-For stands before that and is ignored.
    """
    if getattr(settings, "SECURE_PROXY_SSL_HEADER", None):
        named = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
        if named:
            return named[:64]
    return str(request.META.get("REMOTE_ADDR", ""))[:64]
