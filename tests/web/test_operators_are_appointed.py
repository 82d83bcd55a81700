"""Who sees the dashboard is said on the machine, and a load balancer needs no account."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from tests.trade.conftest import person

pytestmark = pytest.mark.django_db


def test_whoever_is_appointed_sees_the_dashboard_until_they_are_dismissed(capsys: pytest.CaptureFixture[str]) -> None:
    dora = person("Dora").membership.user
    browser = Client()
    browser.force_login(dora, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert browser.get("/operator").status_code == 404
    call_command("appoint_operator", dora.email.upper())
    assert browser.get("/operator").status_code == 200
    call_command("appoint_operator", dora.email, "--dismiss")
    assert browser.get("/operator").status_code == 404
    assert capsys.readouterr().out.splitlines() == [
        f"{dora.email} is an operator", f"{dora.email} is an operator no longer",
    ]  # fmt: skip


def test_nobody_is_appointed_who_has_not_signed_up() -> None:
    with pytest.raises(CommandError, match="Nobody has signed up as dora@nowhere"):
        call_command("appoint_operator", "dora@nowhere.example")


def test_a_load_balancer_asks_without_https_and_everybody_else_is_sent_there(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert (Client().get("/healthz").status_code, Client().get("/explore").status_code) == (200, 301)
