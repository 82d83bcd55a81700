from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

import httpx
from playwright.sync_api import expect

from tests.journey.conftest import Town
from tests.journey.visitor import Visitor


def ask(town: Town, key: str) -> httpx.Response:
    return httpx.get(f"{town.url}/api/v1/me", headers={"Authorization": f"Bearer {key}"}, trust_env=False)


def test_members_come_by_invitation_and_programs_by_keys(enter: Callable[..., Visitor], town: Town):
    slug = f"models-{uuid4().hex[:6]}"
    cleo = enter()
    cleo.is_signed_in_as(town.newcomer())
    cleo.goes("/settings")
    cleo.page.get_by_text("Create an organization", exact=True).click()
    form = cleo.page.locator("form[action='/settings/organizations']")
    form.get_by_label("Name", exact=True).fill("Marchetti Models")
    form.get_by_label("Name in addresses").fill(slug)
    cleo.presses("Create", within=form)
    cleo.reads("You are acting for it now.")
    expect(cleo.page.get_by_role("heading", level=1)).to_have_text("Marchetti Models")

    form = cleo.page.locator("form[action='/settings/members']")
    form.get_by_label("E-mail address").fill("ben@example.org")
    form.get_by_label("Role").select_option("buyer")
    form.get_by_label("Most that one order may cost").fill("25.00")
    cleo.presses("Send the invitation", within=form)
    cleo.reads("We have written to ben@example.org.")

    link = re.findall(r"http\S+/invitation/\S+", town.letter_to("ben@example.org", "/invitation/"))[0]
    ben = enter()
    ben.goes(link.removeprefix(town.url))
    ben.clicks("Sign up")
    ben.signs_up("Ben Okafor", "ben@example.org")
    ben.presses("Accept")
    expect(ben.page.get_by_role("heading", level=1)).to_have_text("Marchetti Models")
    ben.reads("Buyer")
    ben.reads("up to 25.00 tUSD")
    expect(ben.page.get_by_role("button", name="Send the invitation")).to_have_count(0)

    cleo.clicks("API keys", within=cleo.page.locator("main"))
    cleo.fills(name="Training cluster")
    cleo.page.get_by_label("read:").check()
    cleo.page.get_by_label("buy:").check()
    cleo.presses("Make the key")
    cleo.reads("Copy it now: it is shown this once and stored nowhere.")
    key = cleo.page.locator("[data-name='the key']").inner_text().strip()
    answer = ask(town, key)
    assert answer.status_code == 200
    assert answer.json()["account"]["slug"] == slug
    assert set(answer.json()["scopes"]) == {"read", "buy"}

    cleo.goes("/settings/keys")
    expect(cleo.page.locator("main")).not_to_contain_text(key)
    cleo.reads("Training cluster")
    cleo.presses("Revoke Training cluster")
    cleo.reads("The key works no more.")
    assert ask(town, key).status_code == 401
