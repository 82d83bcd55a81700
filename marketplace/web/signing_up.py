"""Sign-up: an e-mail address, a password, and the name that others read."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import SignupForm
from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from marketplace.actions.accounts import NAME_LIMIT, AccountRefusal, checked_name
from marketplace.models import User


class SignUpForm(SignupForm):
    """Asks for the display name: nothing that others see is taken from the e-mail address."""

    display_name = forms.CharField(
        label=_("Your name, as others read it"),
        max_length=NAME_LIMIT,
        help_text=_("A pen name is fine. You can change it later; what is published keeps the name it had."),
        widget=forms.TextInput(attrs={"autocomplete": "nickname"}),
    )
    field_order = ("display_name", "email", "password1")

    def clean_display_name(self) -> str:
        """Refuse a name before the address is looked at: else the refusal would say that the address is free."""
        try:
            return checked_name(self.cleaned_data["display_name"])
        except AccountRefusal as refusal:
            raise forms.ValidationError(str(refusal)) from refusal

    def try_save(self, request: HttpRequest) -> Any:
        """Sign up; a taken address takes as long as a free one, so that nobody reads it from the clock."""
        if self.account_already_exists:
            User().set_password(self.cleaned_data["password1"])
        return super().try_save(request)
