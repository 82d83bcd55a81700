"""A second factor from its first scan to the withdrawal that asks for it: an app, recovery codes, a passkey."""

from __future__ import annotations

import base64
import hmac
import struct
import time

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from marketplace import journal
from marketplace.models import Withdrawal
from tests.api.conftest import TOKEN, Person, Site
from tests.web.test_pages_are_accessible_and_ask_nobody_else import examine
from tests.web.town import browser

pytestmark = pytest.mark.django_db(transaction=True)
PERIOD = 30
PASSWORD = "kelp-and-wrack-12"
TARGET = "0x" + "9a" * 20


def code_of(secret: str, *, unlike: str = "") -> str:
    """What an app shows (RFC 6238), as a person uses it: a code that is not about to change and was not used yet."""
    while True:
        moment = time.time()
        mac = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(moment // PERIOD)), "sha1")
        start = mac[-1] & 15
        code = f"{int.from_bytes(mac[start : start + 4], 'big') % 2**31 % 10**6:06}"
        if code != unlike and moment % PERIOD < PERIOD / 2:
            return code
        time.sleep(0.5)


def with_password(person: Person) -> str:
    """Give somebody a password and a verified address; return the address."""
    user = person.actor.membership.user
    user.set_password(PASSWORD)
    user.save()
    user.emailaddress_set.update_or_create(email=user.email, defaults={"verified": True, "primary": True})
    return str(user.email)


def sign_in(page: Page, live_server, email: str) -> None:
    page.goto(f"{live_server.url}/account/login/?next=/balance")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def confirm(page: Page) -> None:
    """Type the password once more, as every change of what protects an account asks for."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()


def test_an_app_is_set_up_signs_in_and_opens_withdrawals(
    site: Site, ada: Person, live_server, browser_context: BrowserContext, axe_source: str
):
    site.give(ada, 90_000_000)
    email = with_password(ada)
    page = browser_context.new_page()
    sign_in(page, live_server, email)
    expect(page.get_by_text("Moving money out needs a second factor")).to_be_visible()
    expect(page.get_by_label("New address to withdraw to")).to_have_count(0)
    page.get_by_role("link", name="Set one up").click()
    assert examine(page, axe_source, page.url) == []
    page.get_by_role("link", name="Set up an app").click()
    confirm(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Set up an app")
    secret = page.locator("#authenticator_secret").inner_text()
    page.get_by_label("Authenticator code").fill("000000")
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_text("Incorrect code")).to_be_visible()
    secret = page.locator("#authenticator_secret").inner_text()
    used = code_of(secret)
    page.get_by_label("Authenticator code").fill(used)
    page.get_by_role("button", name="Turn it on").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    recovery = page.locator("pre.codes").inner_text().split()
    assert len(recovery) == 10
    assert examine(page, axe_source, page.url) == []
    with page.expect_download() as codes:
        page.get_by_role("link", name="Download the codes").click()
    assert set(recovery) <= set(codes.value.path().read_text().split())

    page.locator(".account summary").click()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, live_server, email)
    expect(page.get_by_role("heading", level=1)).to_have_text("One more proof")
    assert examine(page, axe_source, page.url) == []
    page.get_by_label("Code").fill(code_of(secret, unlike=used))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/balance")

    page.get_by_label("New address to withdraw to").fill(TARGET)
    page.get_by_role("button", name="Add the address").click()
    expect(page.get_by_text("It can be used after the delay")).to_be_visible()
    page.get_by_label("Amount", exact=True).fill("25.00")
    page.get_by_role("button", name="Withdraw", exact=True).click()
    expect(page.get_by_text("Held for withdrawal.")).to_be_visible()
    expect(page.get_by_text("is sent on")).to_be_visible()
    assert examine(page, axe_source, page.url) == []
    held = Withdrawal.objects.get()
    assert (held.amount, held.destination.address, held.state) == (25_000_000, TARGET, "waiting")
    assert journal.balance_of(ada.actor.account.pk, TOKEN).available == 65_000_000

    page.locator(".account summary").click()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, live_server, email)
    page.get_by_label("Code").fill(recovery[0])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/balance")


def test_a_passkey_is_added_and_signs_in_without_a_password(
    site: Site, ada: Person, live_server, browser_context: BrowserContext, axe_source: str
):
    email = with_password(ada)
    page = browser_context.new_page()
    machine = browser_context.new_cdp_session(page)
    machine.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    machine.send(
        "WebAuthn.addVirtualAuthenticator",
        {"options": {**options, "isUserVerified": True, "automaticPresenceSimulation": True}},
    )
    sign_in(page, live_server, email)
    page.wait_for_url("**/balance")
    page.goto(f"{live_server.url}/account/2fa/")
    page.get_by_role("link", name="Add a key").click()
    confirm(page)
    assert examine(page, axe_source, page.url) == []
    page.get_by_role("textbox", name="Name").fill("Laptop")
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add the key").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text("1 key is on.")).to_be_visible()

    page.locator(".account summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{live_server.url}/account/login/?next=/balance")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/balance")
    expect(page.get_by_label("New address to withdraw to")).to_be_visible()


def test_a_site_opened_by_its_number_offers_no_passkeys(ada: Person):
    client = browser(ada)
    by_number = client.get("/account/2fa/", headers={"host": "127.0.0.1"}).content.decode()
    assert "Add a key" not in by_number
    assert "open this site by its name" in by_number
    assert "Add a key" in client.get("/account/2fa/", headers={"host": "localhost"}).content.decode()
