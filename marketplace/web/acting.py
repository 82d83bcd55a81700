"""How pages act for an account: who may, what becomes of a refusal, and letters to those concerned."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.mail import send_mail
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from marketplace.models import Account, Membership
from marketplace.queries.actors import Actor
from marketplace.web.context import actor_of
from marketplace.web.errors import is_absent, said
from provenance.core.refusal import Refusal

P = ParamSpec("P")
View = Callable[..., HttpResponse]


def for_account(view: Callable[Concatenate[HttpRequest, Actor, P], HttpResponse]) -> View:
    """Sign in first, then hand the actor to the view. What it refuses is answered by `errors.RefusalMiddleware`."""

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        actor = actor_of(request)
        if actor is None:
            return redirect("settings-begin")
        return view(request, actor, *args, **kwargs)

    return guarded


def for_operators(view: View) -> View:
    """Show a page to operators; to everybody else it does not exist."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not (request.user.is_active and getattr(request.user, "is_staff", False)):
            raise Http404
        return view(request, *args, **kwargs)

    return guarded


def attempt(request: HttpRequest, act: Callable[[], object], *, done: object = "", by_link: bool = False) -> bool:
    """Do one thing and say `done`, or say the refusal; return whether it was done.

    What is not theirs goes on as an exception: it does not exist for them. Whoever came `by_link` is told why it leads
    nowhere, because they had it from somebody.
    """
    try:
        act()
    except Refusal as refusal:
        if is_absent(refusal) and not by_link:
            raise
        messages.error(request, said(refusal))
        return False
    if done:
        messages.success(request, str(done))
    return True


def tell_owners(account: Account, subject: str, text: str) -> None:
    """Write to the owners of an account after the commit: whoever is being robbed must hear of it in time."""
    owners = Membership.objects.filter(account=account, role=Membership.Role.OWNER).select_related("user")
    addresses = [owner.user.email for owner in owners]

    def send() -> None:
        for address in addresses:
            send_mail(subject, text, None, [address])

    transaction.on_commit(send)
