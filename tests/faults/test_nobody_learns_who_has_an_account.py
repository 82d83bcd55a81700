"""Whether an e-mail address has an account is said to its owner, by mail, and to nobody at the browser."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.test import Client
from pytest_django import Settings

from tests.trade.conftest import person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def live(settings: Settings) -> None:
    """A live network demands that addresses are confirmed; a test network does not, and says that one is taken."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    person("Ada")


def answered(path: str, fields: dict[str, str], email: str) -> tuple[object, ...]:
    """Return all that a browser sees: status, address, words; without tokens and what was typed."""
    client = Client()
    form = {name: value.format(email=email) for name, value in fields.items()}
    answer = client.post(path, form)
    shown = client.get(answer["Location"]) if answer.status_code == 302 else answer
    words = shown.content.decode().replace(email, "…")
    return answer.status_code, answer.get("Location"), re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", words)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/account/signup/", {"display_name": "Eve", "email": "{email}", "password1": "kelp-and-wrack-12"}),
        ("/account/signup/", {"display_name": "Eve\u200b", "email": "{email}", "password1": "kelp-and-wrack-12"}),
        ("/account/login/", {"login": "{email}", "password": "not the right one"}),
        ("/account/password/reset/", {"email": "{email}"}),
    ],
)
def test_an_address_with_an_account_and_one_without_get_the_same_answer(path: str, fields: dict[str, str]) -> None:
    known = answered(path, fields, "ada@example.org")
    assert known == answered(path, fields, "nobody@example.org")


def test_only_the_mailbox_is_told() -> None:
    form = {"display_name": "Eve", "email": "ada@example.org", "password1": "kelp-and-wrack-12"}
    assert Client().post("/account/signup/", form).status_code == 302
    (letter,) = mail.outbox
    assert letter.to == ["ada@example.org"]
    assert "already" in str(letter.body)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/account/signup/", {"display_name": "Eve", "email": "{email}", "password1": "kelp-and-wrack-12"}),
        ("/account/login/", {"login": "{email}", "password": "not the right one"}),
    ],
)
def test_the_slow_hash_is_made_for_both_so_that_the_clock_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, path: str, fields: dict[str, str]
) -> None:
    made: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(hasher: MD5PasswordHasher, password: str, salt: str) -> str:
        made.append(password)
        return encode(hasher, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    answered(path, fields, "ada@example.org")
    known = len(made)
    answered(path, fields, "nobody@example.org")
    assert (known, len(made) - known) == (1, 1)
