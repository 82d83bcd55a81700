"""What sign-in and sign-up (django-allauth) ask of this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allauth.account.adapter import DefaultAccountAdapter

if TYPE_CHECKING:
    from django.http import HttpRequest

    from marketplace.models import User


class AccountAdapter(DefaultAccountAdapter):
    """Signing up creates the person's account beside the user, in one transaction."""

    def save_user(self, request: HttpRequest, user: User, form: object, commit: bool = True) -> User:  # noqa: FBT001, FBT002  # allauth's signature
        """Save the user that `form` describes, and the personal account that everything else belongs to."""
        from marketplace.actions.accounts import complete_sign_up  # noqa: PLC0415  # actions need the app registry

        user = super().save_user(request, user, form, commit=False)
        return complete_sign_up(user=user) if commit else user
