"""Every page in Chromium: axe finds nothing in light and dark, wide and narrow; nothing is asked of anybody else."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.api.conftest import Person, table
from tests.web.town import Story, browser, prove_second_factor

pytestmark = pytest.mark.django_db(transaction=True)

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]
PUBLIC = (
    "/", "/explore", "/explore?q=nothing-fits", "/ada", "/look-up", "/publish", "/licenses", "/earnings", "/audit",
    "/audit?tx=0x" + "dd" * 32, "/verify", "/log", "/docs", "/docs/api", "/docs/algorithms/royalties", "/e/0", "/s/1",
    "/no/page", "/account/login/", "/account/signup/", "/account/password/reset/", "/account/password/reset/done/",
)  # fmt: skip
OWN = (
    "/publish", "/earnings", "/balance", "/balance/statement/2026-11", "/settings", "/settings/keys", "/settings/key",
    "/account/email/", "/account/password/change/", "/account/2fa/", "/account/2fa/totp/activate/",
    "/account/2fa/webauthn/add/", "/account/reauthenticate/", "/account/logout/", "/invitation/none",
    "/contribution/none",
)  # fmt: skip
TABS = ("", "/files", "/license", "/provenance", "/versions", "/activity")


def signed_in(chromium: Browser, live_server, person: Person, *, operator: bool = False) -> BrowserContext:
    client = browser(person, operator=operator)
    prove_second_factor(client, person)
    context = chromium.new_context(reduced_motion="reduce", locale="en-US", timezone_id="UTC")
    cookie = client.cookies["cadastre_session"].value
    context.add_cookies([{"name": "cadastre_session", "value": cookie, "url": live_server.url}])
    return context


def examine(page: Page, axe_source: str, address: str) -> list[str]:
    """Return what is wrong with a page, in each of the looks."""
    wrong: list[str] = []
    page.goto(address)
    page.evaluate(axe_source)
    for scheme, width in LOOKS:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        found = page.evaluate("rules => axe.run({ runOnly: rules })", RULES)
        for violation in found["violations"]:
            nodes = [
                f"{node['html'][:160]} {node['any'][0]['message'] if node['any'] else ''}"
                for node in violation["nodes"][:3]
            ]
            wrong.append(f"{scheme} {width}: {violation['id']} {nodes}")
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if over > 0:
            wrong.append(f"{scheme} {width}: {over} px wider than the window")
    return wrong


def read_all(context: BrowserContext, live_server, axe_source: str, addresses: list[str]) -> str:
    """Return what is wrong with the pages, one problem to a line."""
    found: list[str] = []
    page = context.new_page()
    said: list[str] = []
    here = urlsplit(live_server.url).netloc
    # Chromium reports the status of a page that is meant to be an error page, too.
    page.on(
        "console",
        lambda message: (
            said.append(message.text) if message.type == "error" and "status of 404" not in message.text else None
        ),
    )
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request",
        lambda request: said.append(f"asks {request.url}") if urlsplit(request.url).netloc not in {here, ""} else None,
    )
    for address in addresses:
        said.clear()
        wrong = examine(page, axe_source, live_server.url + address)
        found += [f"{address} {problem}" for problem in (*wrong, *said)]
    page.close()
    return "\n".join(found)


def test_what_everybody_reads(story: Story, live_server, browser_context: BrowserContext, axe_source: str):
    pages = [*PUBLIC, *(f"/d/{slug}{tab}" for slug in story.paths.values() for tab in TABS)]
    pages += [f"/l/{story.slug(story.license.pk)}", f"/sha256/{story.license.terms}", "/sha256/" + "00" * 32]
    assert read_all(browser_context, live_server, axe_source, pages) == ""


def test_what_owners_read(story: Story, live_server, chromium: Browser, axe_source: str):
    draft = story.site.draft(story.ada, {"a.csv": table("draft")}, title="Harbour sounds")
    with_files = story.site.draft(story.ada, {"b.csv": table("other")}, checked=False)
    steps = [f"/publish/{draft.pk}/{step}" for step in ("files", "describe", "terms", "checks", "review")]
    pages = [
        *OWN,
        *steps,
        f"/publish/{with_files.pk}/files",
        f"/d/{story.paths['photographs']}/manage",
        f"/earnings/payouts/{story.payout.pk}",
    ]
    context = signed_in(chromium, live_server, story.ada)
    assert read_all(context, live_server, axe_source, pages) == ""
    context.close()


def test_what_buyers_and_operators_read(story: Story, mallory: Person, live_server, chromium: Browser, axe_source: str):
    license_id = story.slug(story.license.pk)
    pages = ["/licenses", f"/licenses/{license_id}", f"/licenses/{license_id}/certificate", f"/orders/{story.order.pk}",
             f"/checkout/{story.photographs.offer_id}"]  # fmt: skip
    context = signed_in(chromium, live_server, story.cleo)
    found = read_all(context, live_server, axe_source, pages)
    context.close()
    poor = signed_in(chromium, live_server, mallory, operator=True)
    found += read_all(poor, live_server, axe_source, [f"/checkout/{story.photographs.offer_id}", "/operator"])
    poor.close()
    assert found == ""
