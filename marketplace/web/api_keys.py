"""API keys: made by a person, shown once, revoked."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from marketplace.actions import api_keys
from marketplace.queries.actors import ACTS_OF_ROLE, SCOPES, Act, Actor
from marketplace.queries.members import api_keys_for
from marketplace.web.acting import attempt, for_account
from marketplace.web.fields import AmountField
from marketplace.web.people import LIMIT_WORDS

SCOPE_WORDS = {
    Act.READ: _("read: licenses, orders, balance"),
    Act.PUBLISH: _("publish: upload, describe, publish, change offers"),
    Act.BUY: _("buy: quotes, orders, refunds"),
    Act.USE: _("use: report use"),
    Act.FINANCE: _("finance: earnings, play money"),
}
LIVES = [(30, _("30 days")), (90, _("90 days")), (180, _("180 days")), (366, _("a year"))]


class KeyForm(forms.Form):
    """What a key is for, what it may do, how long it lives."""

    name = forms.CharField(label=_("What it is for"), max_length=100)
    scopes = forms.MultipleChoiceField(label=_("What it may do"), widget=forms.CheckboxSelectMultiple)
    days = forms.TypedChoiceField(label=_("It works for"), choices=LIVES, coerce=int, initial=90)
    spend_limit = AmountField(label=_("Most that one order may cost"), required=False, help_text=LIMIT_WORDS)

    def __init__(self, *args: object, scopes: list[Act], **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]  # Django's own
        field = self.fields["scopes"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(scope.value, SCOPE_WORDS[scope]) for scope in scopes]


@for_account
def keys(request: HttpRequest, actor: Actor) -> HttpResponse:
    """List the keys; make one, and show its secret in this answer only."""
    allowed = [act for act in SCOPE_WORDS if act in SCOPES & ACTS_OF_ROLE[actor.membership.role]]
    form = KeyForm(request.POST or None, scopes=allowed)
    secret = ""
    if request.method == "POST" and form.is_valid():
        made: list[str] = []

        def make() -> None:
            _, token = api_keys.create_api_key(by=actor, now=timezone.now(), **form.cleaned_data)
            made.append(token)

        if attempt(request, make):
            secret, form = made[0], KeyForm(scopes=allowed)
    response = render(
        request,
        "web/api_keys.html",
        {"form": form, "secret": secret, "keys": api_keys_for(actor), "now": timezone.now()},
    )
    # The secret must not come back with the Back button.
    response["Cache-Control"] = "no-store"
    return response


@for_account
@require_POST
def revoke(request: HttpRequest, actor: Actor, key: UUID) -> HttpResponse:
    """Make a key worthless at once."""
    found = get_object_or_404(api_keys_for(actor), pk=key)
    attempt(
        request,
        lambda: api_keys.revoke_api_key(by=actor, key=found, now=timezone.now()),
        done=_("The key works no more."),
    )
    return redirect("api-keys")
