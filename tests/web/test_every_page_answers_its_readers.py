"""Every address of the website, opened by a visitor, its owner, another member and an operator."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from marketplace.web.urls import urlpatterns
from tests.api.conftest import Person
from tests.web.town import Story, browser

pytestmark = pytest.mark.django_db

PUBLIC = (
    "/", "/explore", "/explore?q=tide&kind=image&use=fine-tune&max_price=500&visibility=sealed", "/look-up", "/publish",
    "/licenses", "/earnings", "/audit", "/verify", "/log", "/log?type=license.purchased", "/docs", "/docs/api",
    "/docs/formats", "/docs/algorithms/royalties", "/e/0", "/s/1", "/robots.txt", "/license.xml",
)  # fmt: skip
TABS = ("", "/preview", "/files", "/license", "/provenance", "/versions", "/activity", "/v/1", "/license.xml")
ANYBODY = (
    "/settings", "/settings/keys", "/settings/key", "/balance", "/balance/statement/2026-11", "/earnings",
    "/earnings/export.csv", "/licenses", "/publish",
)  # fmt: skip
STYLE = re.compile(rb"<[^>]+\sstyle=|<style|javascript:|<[^>]+\son[a-z]+=", re.IGNORECASE)
SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)(?![^>]*type=\"application/(?:json|ld\+json)\")", re.IGNORECASE)


def public_addresses(story: Story) -> list[str]:
    found = list(PUBLIC)
    found += [f"/d/{slug}{tab}" for slug in story.paths.values() for tab in TABS]
    found += [f"/l/{story.slug(story.license.pk)}", f"/sha256/{story.license.terms}", "/audit?tx=0x" + "dd" * 32]
    return found


def own_addresses(story: Story) -> dict[str, tuple[Person, list[str]]]:
    license_id = story.slug(story.license.pk)
    offer = story.photographs.offer_id
    return {
        "ada": (story.ada, [f"/d/{story.paths['photographs']}/manage", f"/earnings/payouts/{story.payout.pk}"]),
        "cleo": (
            story.cleo,
            [f"/licenses/{license_id}", f"/licenses/{license_id}/certificate", f"/orders/{story.order.pk}"],
        ),
        "anybody": (story.ben, [*ANYBODY, f"/checkout/{offer}"]),
    }


def check_page(answer) -> None:
    assert answer.status_code == 200, answer.content.decode()[:2000]
    assert b"{#" not in answer.content
    assert not STYLE.search(answer.content), STYLE.search(answer.content)
    assert not SCRIPT.search(answer.content), SCRIPT.search(answer.content)


def test_a_visitor_reads_everything_public(story: Story, visitor: Client):
    for address in public_addresses(story):
        answer = visitor.get(address)
        check_page(answer)
        if answer["Content-Type"].startswith("text/html"):
            assert b"TEST" in answer.content, address
            assert "unsafe-inline" not in answer["Content-Security-Policy"]


def test_owners_read_their_own(story: Story):
    for person, addresses in own_addresses(story).values():
        client = browser(person)
        for address in addresses:
            check_page(client.get(address))


def test_others_do_not_learn_that_it_exists(story: Story, mallory: Person):
    client = browser(mallory)
    for name, (_, addresses) in own_addresses(story).items():
        if name != "anybody":
            for address in addresses:
                assert client.get(address).status_code == 404, address


def test_visitors_are_asked_to_sign_in(story: Story, visitor: Client):
    for _, addresses in own_addresses(story).values():
        for address in addresses:
            if address not in {"/earnings", "/licenses", "/publish"}:
                answer = visitor.get(address)
                assert answer.status_code == 302, address
                assert answer["Location"].startswith(reverse("account_login")), address


def test_signed_in_readers_see_public_pages_too(story: Story):
    client = browser(story.ada)
    for address in public_addresses(story):
        check_page(client.get(address))


def test_the_operator_page_exists_for_operators_only(story: Story, visitor: Client, mallory: Person):
    assert visitor.get("/operator").status_code == 404
    assert browser(mallory).get("/operator").status_code == 404
    client = browser(story.ben, operator=True)
    check_page(client.get("/operator"))


def test_names_of_accounts_cannot_hide_pages():
    from marketplace.actions.accounts import RESERVED

    first = {str(pattern.pattern).split("/")[0] for pattern in urlpatterns}
    words = {word for word in first if word and "<" not in word and "." not in word}
    assert words <= RESERVED, words - RESERVED


@pytest.mark.parametrize(
    "address",
    [
        "/d/nothing",
        "/d/31337-" + "11" * 20 + "-99",
        "/l/x",
        "/e/999999",
        "/s/99",
        "/docs/no",
        "/no-such/page",
        "/cid/zzz",
        "/sha256/00",
    ],
)
def test_what_does_not_exist_is_said_plainly(site, visitor: Client, address: str):
    answer = visitor.get(address)
    assert answer.status_code == 404
    assert b"explore" in answer.content or b"Look a file up" in answer.content
