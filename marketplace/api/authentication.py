"""Who asks: an API key, or the website's session. Both become an `Actor`, found under `request.auth`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, CSRFCheck, get_authorization_header
from rest_framework.request import Request

from marketplace.actions.api_keys import note_use
from marketplace.models import User
from marketplace.queries.actors import AccessRefusal, Actor, actor_of_key
from marketplace.session import actor_of_session


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer cad_…`."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Actor] | None:
        """Return the key's actor, or None when no key is sent. Raises AccessRefusal `access.key` (HTTP 401)."""
        header = get_authorization_header(request)
        if not header:
            return None
        scheme, _, token = header.partition(b" ")
        text = token.strip().decode("ascii", "replace")
        if scheme.lower() != b"bearer" or not text:
            raise AccessRefusal(
                "access.key", "The Authorization header is not a Bearer key.", todo="Send: Authorization: Bearer cad_…"
            )
        now = timezone.now()
        actor = actor_of_key(text, now=now)
        if actor.key is not None:
            note_use(key=actor.key, now=now)
        return AnonymousUser(), actor


class SessionActorAuthentication(BaseAuthentication):
    """The website's session: the signed-in person for the account chosen there. Changes need the CSRF token."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        """Return the person's actor, or None without a session. Raises AccessRefusal `access.csrf` (HTTP 403)."""
        http = request._request  # noqa: SLF001  # REST framework's own way to Django's request
        user = getattr(http, "user", None)
        if not isinstance(user, User) or not user.is_active:
            return None
        _check_csrf(http)
        actor = actor_of_session(http)
        return None if actor is None else (user, actor)


def _check_csrf(request: HttpRequest) -> None:
    check = CSRFCheck(lambda _request: HttpResponse())
    check.process_request(request)
    # REST framework's check answers with the reason instead of a page.
    reason = check.process_view(request, HttpResponse, (), {})
    if reason:
        raise AccessRefusal("access.csrf", f"The CSRF token is missing or wrong: {reason}", todo="Reload the page.")


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the schema names an API key."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key: made on the API keys page, shown once."}


class SessionScheme(OpenApiAuthenticationExtension):
    """How the schema names the website's session."""

    target_class = SessionActorAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "cadastre_session", "description": "With the CSRF token."}
