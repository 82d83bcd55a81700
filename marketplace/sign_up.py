"""What sign-in and sign-up (django-allauth) ask of this project."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from axes.utils import reset as unlock
from django.http import HttpRequest
from django.utils import timezone

from marketplace.actions.accounts import complete_sign_up
from marketplace.models import User


class AccountAdapter(DefaultAccountAdapter):
    """Signing up creates the person's account beside the user, in one transaction."""

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:  # noqa: FBT001, FBT002  # allauth's signature
        """Save the user that `form` describes, and the personal account that everything else belongs to."""
        user = super().save_user(request, user, form, commit=False)
        name = form.cleaned_data.get("display_name") or None
        return complete_sign_up(user=user, now=timezone.now(), display_name=name) if commit else user

    def set_password(self, user: User, password: str) -> None:
        """Set a password; what was guessed about the one before locks nobody out any more."""
        super().set_password(user, password)
        unlock(username=user.email)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # allauth counts the wrong passwords of an address apart for each name of this host that was asked.
        return str(credentials.get("email", "")).lower()
