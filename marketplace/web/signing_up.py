"""Sign-up: an e-mail address, a password, and the name that others read."""

from __future__ import annotations

from allauth.account.forms import SignupForm
from django import forms
from django.utils.translation import gettext_lazy as _

from marketplace.actions.accounts import NAME_LIMIT


class SignUpForm(SignupForm):
    """Asks for the display name: nothing that others see is taken from the e-mail address."""

    display_name = forms.CharField(
        label=_("Your name, as others read it"),
        max_length=NAME_LIMIT,
        help_text=_("A pen name is fine. You can change it later; what is published keeps the name it had."),
        widget=forms.TextInput(attrs={"autocomplete": "nickname"}),
    )
    field_order = ("display_name", "email", "password1")
