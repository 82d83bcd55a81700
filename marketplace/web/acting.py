"""How pages act for an account: who may, what becomes of a refusal, and where one goes from there."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme

from marketplace.queries.actors import AccessRefusal, Actor
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
        _check_meant(request, actor)
        return view(request, actor, *args, **kwargs)

    return guarded


def _check_meant(request: HttpRequest, actor: Actor) -> None:
    """Refuse a form that was filled in for another account than the one that acts now. Raises AccessRefusal.

    Somebody switched in another tab, or was taken out of the organization meanwhile.
    """
    meant = request.POST.get("acting", "")
    if meant and meant != str(actor.account.pk):
        raise AccessRefusal(
            "access.other_account", f"You are acting for {actor.account.display_name} now.",
            todo="Nothing was done. Switch back, or open the page again to do it for this account.",
        )  # fmt: skip


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


def back_to(request: HttpRequest, otherwise: str) -> HttpResponse:
    """Return to the address of this site that the form names as `next`, else to the page called `otherwise`."""
    address = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure())
    # An address, never the name of a page: `redirect` would look that up.
    return HttpResponseRedirect(address) if safe and address.startswith("/") else redirect(otherwise)
