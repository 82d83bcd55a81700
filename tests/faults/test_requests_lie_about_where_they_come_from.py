"""Headers that a visitor writes decide nothing: neither the address of the site nor their own."""

from __future__ import annotations

import re

import pytest
from django.conf import settings as configured
from django.core import mail
from django.test import Client
from pytest_django import Settings

from marketplace.models import RateWindow
from tests.trade.conftest import person

pytestmark = pytest.mark.django_db

LIES = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "443",
    "Forwarded": "for=203.0.113.9;host=evil.example;proto=https",
    "X-Real-Ip": "203.0.113.9",
    "X-Original-Url": "/operator",
    "X-Rewrite-Url": "/operator",
}


@pytest.mark.parametrize("path", ["/", "/explore", "/account/login/", "/api/v1/datasets", "/healthz"])
def test_a_host_that_is_not_ours_is_refused_on_every_address(path: str) -> None:
    assert Client(headers={"Host": "evil.example"}).get(path).status_code == 400


def test_a_mail_with_a_link_names_our_host_whatever_the_headers_say(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    ada = person("Ada")
    client = Client(headers={**LIES, "Host": "localhost"})
    answer = client.post("/account/password/reset/", {"email": ada.membership.user.email})
    assert answer.status_code == 302
    (letter,) = mail.outbox
    links = re.findall(r"https?://[^\s/]+", str(letter.body))
    assert links
    assert all(link in {"http://localhost", configured.CADASTRE_PUBLIC_URL} for link in links)
    assert "evil.example" not in str(letter.message())


def test_claimed_addresses_share_the_limit_of_the_connection_they_came_by() -> None:
    for number in range(3):
        Client(headers={**LIES, "X-Forwarded-For": f"203.0.113.{number}"}).get("/api/v1/datasets")
    (window,) = RateWindow.objects.filter(name__startswith="api:general:")
    assert (window.name, window.count) == ("api:general:127.0.0.1", 3)


def test_a_claimed_protocol_and_a_claimed_path_change_nothing() -> None:
    plain, lying = Client().get("/"), Client(headers=LIES).get("/")
    assert lying.status_code == plain.status_code == 200
    assert "evil.example" not in lying.content.decode() + str(lying.headers)
    assert not lying.wsgi_request.is_secure()
    assert "Strict-Transport-Security" not in lying.headers


def test_failed_sign_ins_are_counted_by_the_real_address(settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    ada = person("Ada")
    wrong = {"login": ada.membership.user.email, "password": "not hers"}
    seen = []
    for number in range(5):
        client = Client(headers={**LIES, "X-Forwarded-For": f"198.51.100.{number}"})
        seen.append(client.post("/account/login/", wrong).status_code)
    assert seen[-1] == 429


def test_wrong_passwords_for_one_account_lock_nobody_else_at_the_same_address(settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    ada, cleo = person("Ada").membership.user.email, person("Cleo").membership.user.email
    seen = [Client().post("/account/login/", {"login": ada, "password": "not hers"}).status_code for _ in range(3)]
    assert seen[-1] == 429
    right = Client().post("/account/login/", {"login": ada.upper(), "password": "Ada-keeps-a-secret"})
    assert right.status_code == 429, "her account waits, however the address is written"
    assert Client().post("/account/login/", {"login": cleo, "password": "Cleo-keeps-a-secret"}).status_code == 302


def test_behind_a_proxy_one_visitors_wrong_passwords_and_look_ups_are_not_anothers(settings: Settings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    settings.AXES_FAILURE_LIMIT = 3
    ben = person("Ben")
    wrong = {"login": ben.membership.user.email, "password": "not his"}
    # The proxy writes the last address; what stands before it is the visitor's own word.
    mallory = Client(headers={"X-Forwarded-For": "203.0.113.7, 198.51.100.1"})
    for _ in range(5):
        locked = mallory.post("/account/login/", wrong)
    assert locked.status_code == 429
    right = {"login": person("Cleo").membership.user.email, "password": "Cleo-keeps-a-secret"}
    assert Client(headers={"X-Forwarded-For": "198.51.100.2"}).post("/account/login/", right).status_code == 302
    for number in range(31):
        answer = mallory.get("/look-up", {"sha256": f"{number:064x}"})
    assert answer.status_code == 429
    asked = {"sha256": "0" * 64}
    refused = mallory.post("/api/v1/look-up", asked, content_type="application/json")
    other = Client(headers={"X-Forwarded-For": "198.51.100.2"}).post("/api/v1/look-up", asked, "application/json")
    assert (refused.status_code, other.status_code) == (429, 200)
