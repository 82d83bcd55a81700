"""A mail server that is down: people are told, what they did stands, and alarms are raised all the same."""

from __future__ import annotations

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from marketplace.actions.letters import tell_owners
from marketplace.alarms import open_alarms, raise_alarm
from marketplace.models import Membership
from provenance.adapters.local_process import free_port
from tests.trade.conftest import person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nobody_takes_mail(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "marketplace.mail_server.MailServer"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ADMINS = [("", "olga@register.example")]


def test_whoever_signs_up_is_told_and_gets_the_letter_when_they_sign_in(settings: Settings) -> None:
    secret = "Ada-keeps-a-secret"
    fields = {"display_name": "Ada", "email": "ada@example.org", "password1": secret}
    told = Client().post("/account/signup/", fields)
    assert told.status_code == 503
    assert "The letter could not be sent" in told.content.decode()
    assert Membership.objects.get(user__email="ada@example.org").account.display_name == "Ada"

    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    cache.clear()  # some minutes later: letters to one address are apart from each other
    answer = Client().post("/account/login/", {"login": "ada@example.org", "password": secret})
    assert (answer.status_code, [letter.to for letter in mail.outbox]) == (302, [["ada@example.org"]])


def test_a_forgotten_password_is_asked_for_again_later() -> None:
    ada = person("Ada")
    told = Client().post("/account/password/reset/", {"email": ada.membership.user.email})
    assert told.status_code == 503


def test_what_was_done_stands_and_alarms_are_raised(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    ada = person("Ada")
    with django_capture_on_commit_callbacks(execute=True):
        tell_owners(ada.account, "A new address", "Was it you?")
    with django_capture_on_commit_callbacks(execute=True):
        assert raise_alarm(code="journal.sum", message="a balance is not the sum", now=timezone.now())
    assert [alarm.code for alarm in open_alarms()] == ["journal.sum"]
