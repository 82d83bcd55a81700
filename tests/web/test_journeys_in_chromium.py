"""What people do from one page to the next, in a real browser: publish, find, license, look up, change the light."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pyrage
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from marketplace.actions.custody import derive_addresses
from marketplace.models import Draft, LicenseRow, Listing, Order
from provenance.models import Document, GrantRow, SubmittedFile
from tests.api.conftest import Person, Site, table
from tests.web.town import Story, browser, photograph

pytestmark = pytest.mark.django_db(transaction=True)
GOLDEN = Path(__file__).parents[1] / "golden" / "parcels.json"
DROP = """([input, name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name));
  input.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def photographs(tmp_path) -> list[Path]:
    paths = [tmp_path / f"pool-{number}.jpg" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(photograph(number + 70))
    return paths


def sign_in(context: BrowserContext, live_server, person: Person) -> None:
    cookie = browser(person).cookies["cadastre_session"].value
    context.add_cookies([{"name": "cadastre_session", "value": cookie, "url": live_server.url}])


def tab_to(page: Page, name: str, limit: int = 60) -> None:
    """Press Tab until the control of this name has the focus."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        focused = page.evaluate("(document.activeElement.innerText || document.activeElement.ariaLabel || '').trim()")
        if focused == name:
            return
    raise AssertionError(f"{name} cannot be reached by keyboard")


def test_from_sign_up_to_publication(site: Site, live_server, page: Page, photographs: list[Path]):
    page.goto(f"{live_server.url}/publish")
    page.get_by_role("link", name="Sign up").click()
    page.get_by_label("Your name, as others read it").fill("Ada Fenwick")
    page.get_by_label("Email").fill("ada@example.org")
    page.get_by_label("Password").fill("kelp-and-wrack-12")
    page.get_by_role("button", name="Sign up").click()
    page.wait_for_url("**/publish")
    derive_addresses(ring=site.ring, now=site.now)

    page.get_by_role("button", name="Start a new dataset").click()
    page.locator("#pick-files").set_input_files(photographs)
    expect(page.locator("#upload-state")).to_contain_text("All 3 files have arrived")
    hashes = set(SubmittedFile.objects.values_list("claimed_sha256", flat=True))
    assert hashes == {hashlib.sha256(path.read_bytes()).hexdigest() for path in photographs}, "hashed in the browser"
    page.get_by_role("button", name="These are all files").click()
    draft = Draft.objects.get()
    site.work(draft)

    page.get_by_label("Title").fill("Tide-pool photographs")
    page.get_by_label("Description").fill("Rock pools at low water.")
    page.get_by_label("What it covers").fill("All photographs")
    page.get_by_role("button", name="Save and go on").click()

    page.get_by_text("Train and fine-tune, commercially").click()
    page.get_by_label("Price of a license (TUSD)").fill("240.00")
    page.get_by_role("button", name="Save and show the example").click()
    expect(page.get_by_text("Of a sale at 240.00 TUSD you receive 234.00 TUSD.")).to_be_visible()
    page.get_by_label("E-mail address").fill("dora@example.org")
    page.get_by_label("What they did").fill("identified the species")
    page.get_by_label("Share of your income, in %").fill("20")
    page.get_by_role("button", name="Share with them").click()
    expect(page.get_by_role("cell", name="identified the species", exact=True)).to_be_visible()
    derive_addresses(ring=site.ring, now=site.now)
    page.get_by_role("button", name="Save and go on").click()

    site.work(draft)
    page.goto(f"{live_server.url}/publish/{draft.pk}/checks")
    expect(page.get_by_text("All checks passed.")).to_be_visible()
    page.get_by_role("link", name="Review what becomes public").click()
    for said in (
        "Tide-pool photographs",
        "240.00 TUSD",
        "identified the species: 20 %",
        "You may train models from scratch",
    ):
        expect(page.get_by_text(said).first).to_be_visible()
    page.get_by_role("button", name="Publish this").click()
    expect(page.get_by_text("It is safe to close this page")).to_be_visible()

    site.register(draft)
    expect(page.get_by_text("Published.")).to_be_visible()
    page.get_by_role("link", name="See its page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Tide-pool photographs")


def test_an_upload_goes_on_after_a_dropped_connection_and_a_reload(
    site: Site, ada: Person, live_server, browser_context: BrowserContext, photographs: list[Path]
):
    sign_in(browser_context, live_server, ada)
    page = browser_context.new_page()
    page.goto(f"{live_server.url}/publish")
    page.get_by_role("button", name="Start a new dataset").click()
    cut = re.compile("/api/v1/uploads/")
    page.route(cut, lambda route: route.abort() if route.request.method == "PATCH" else route.continue_())
    page.locator("#pick-files").set_input_files(photographs)
    expect(page.locator("#upload-list tr")).to_have_count(3)
    page.wait_for_function("document.querySelectorAll('#upload-list tr').length === 3")
    for _ in range(1_200):
        if SubmittedFile.objects.count() == 3:
            break
        page.wait_for_timeout(50)
    assert set(SubmittedFile.objects.values_list("received", flat=True)) == {0}

    # Before the way is free again: else what the page tries anew could arrive in between.
    page.reload()
    page.unroute(cut)
    expect(page.get_by_text("choose the file again to go on").first).to_be_visible()
    page.get_by_role("button", name="These are all files").click()
    expect(page.locator("#upload-state")).to_contain_text("have not arrived whole")
    first = True

    def drop_once(route: Route) -> None:
        nonlocal first
        if first and route.request.method == "PATCH":
            first = False
            route.abort()
        else:
            route.continue_()

    page.route(cut, drop_once)
    page.locator("#pick-files").set_input_files(photographs)
    expect(page.locator("#upload-state")).to_contain_text("All 3 files have arrived")
    assert SubmittedFile.objects.count() == 3, "no file was created twice"


def test_a_license_is_bought_by_keyboard_alone_and_opens_with_the_browsers_key(
    story: Story, live_server, browser_context: BrowserContext, tmp_path
):
    site = story.site
    sign_in(browser_context, live_server, story.cleo)
    page = browser_context.new_page()
    page.goto(f"{live_server.url}/explore?q=tide-pool")
    tab_to(page, "Tide-pool photographs, Cornwall 2019–2025")
    page.keyboard.press("Enter")
    page.wait_for_url("**/d/*")
    tab_to(page, "License this dataset")
    page.keyboard.press("Enter")
    page.wait_for_url("**/checkout/*")
    tab_to(page, "Make a key in this browser")
    page.keyboard.press("Enter")
    expect(page.get_by_text("without it nobody, not even we")).to_be_visible()
    page.get_by_role("button", name="Pay 240.00 TUSD").click()
    expect(page.get_by_text("Download the recovery file first")).to_be_visible()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    recovery = tmp_path / "key.txt"
    download.value.save_as(recovery)
    tab_to(page, "Pay 240.00 TUSD")
    page.keyboard.press("Enter")
    page.wait_for_url("**/orders/*")
    expect(page.get_by_text("Your payment is under way.")).to_be_visible()

    order = Order.objects.get(pk=page.url.rsplit("/", 1)[1])
    row = site.license(story.cleo, Listing.objects.get(pk=order.dataset), order=order, log=9)
    Order.objects.filter(pk=order.pk).update(state="final", license=row.pk)
    expect(page.get_by_text("The key is being prepared")).to_be_visible()
    site.deliver(row, order.recipient)
    expect(page.get_by_text("Paid. Your license is valid. Everything is ready.")).to_be_visible()
    with page.expect_download() as bundle:
        page.get_by_role("link", name="Download the license bundle").click()
    assert bundle.value.suggested_filename == f"license-{story.slug(row.pk)}.json"
    identity = pyrage.x25519.Identity.from_str(recovery.read_text().strip().splitlines()[-1])
    assert str(identity.to_public()) == order.recipient
    grant = json.loads(Document.objects.get(pk=GrantRow.objects.get(license=row.pk).document).content)
    opened = pyrage.decrypt(base64.b64decode(grant["sealed_key"]), [identity])
    assert opened.startswith(b"AGE-SECRET-KEY-1")
    assert LicenseRow.objects.filter(account=story.cleo.actor.account).count() == 2


def test_a_dropped_file_is_hashed_here_and_only_its_digest_leaves(site: Site, ada: Person, live_server, page: Page):
    listing = site.publish(ada, files={"sunspots.csv": table("dropped")})
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or "") if request.method != "GET" else None)
    page.goto(live_server.url)
    box = page.get_by_role("searchbox", name="Search: name, CID")
    page.evaluate(DROP, [box.element_handle(), "mine.csv", table("dropped").decode()])
    expect(page.get_by_text("Exact match.")).to_be_visible()
    expect(page.get_by_role("link", name=listing.title)).to_be_visible()
    page.evaluate(DROP, [box.element_handle(), "other.txt", "nobody registered this"])
    expect(page.get_by_text("No match found.")).to_be_visible()
    assert sent == []


def test_the_light_stays_as_it_was_chosen(site: Site, live_server, page: Page):
    page.goto(live_server.url)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light or dark").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.goto(f"{live_server.url}/explore")
    assert page.locator("html").get_attribute("data-theme") == "dark", "the server writes it, so nothing flashes"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_tabs_of_a_dataset_are_pages_of_their_own(story: Story, live_server, page: Page):
    page.goto(f"{live_server.url}/d/{story.paths['derived']}")
    headings = {
        "Files": "1 file",
        "License": "Training license, commercial, two years",
        "Provenance": "What happened to this data",
        "Versions": "Versions",
        "Activity": "Licenses",
    }
    for name, heading in headings.items():
        page.get_by_role("navigation", name="Dataset").get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", name=heading).first).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Versions").first).to_be_visible()


def test_the_first_tab_stop_skips_to_the_content(site: Site, live_server, page: Page):
    page.goto(live_server.url)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_browser_draws_the_golden_parcels(site: Site, live_server, page: Page):
    golden = json.loads(GOLDEN.read_text())
    page.goto(live_server.url)
    drawn = page.evaluate(
        """async (digests) => {
          const { drawParcel, bytesOfHex } = await import("/static/js/parcel.js");
          return digests.map((digest) => drawParcel(bytesOfHex(digest)));
        }""",
        [case["digest"] for case in golden],
    )
    assert drawn == [case["svg"] for case in golden]


def test_without_scripts_everything_is_still_read_and_bought(story: Story, live_server, chromium: Browser):
    context = chromium.new_context(java_script_enabled=False)
    sign_in(context, live_server, story.cleo)
    page = context.new_page()
    page.goto(f"{live_server.url}/checkout/{story.photographs.offer_id}")
    expect(page.get_by_role("button", name="Make a key in this browser")).to_be_hidden()
    page.get_by_label("Your public key (age1…)").fill(story.order.recipient)
    page.get_by_role("button", name="Pay 240.00 TUSD").click()
    expect(page.get_by_text("Your payment is under way.")).to_be_visible()
    context.close()


def test_the_lineage_is_drawn_on_demand(story: Story, live_server, page: Page):
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{live_server.url}/d/{story.paths['derived']}/provenance")
    assert page.evaluate("typeof window.cytoscape") == "undefined", "large libraries are fetched on demand"
    page.get_by_role("button", name="Show as a drawing").click()
    expect(page.get_by_text("Arrows lead from")).to_be_visible()
    expect(page.locator("#lineage canvas").first).to_be_visible()
    marks = page.evaluate("document.getElementById('lineage')._cyreg.cy.nodes().map(node => node.data('mark'))")
    assert len(set(marks)) == 2, "each dataset has its own parcel mark"
    assert all(mark.startswith("data:image/svg+xml,") and "var(" not in mark for mark in marks)
    assert said == []


def test_a_lineage_that_cannot_be_loaded_says_so(story: Story, live_server, page: Page):
    page.route("**/lineage", lambda route: route.abort())
    page.goto(f"{live_server.url}/d/{story.paths['derived']}/provenance")
    page.get_by_role("button", name="Show as a drawing").click()
    expect(page.get_by_text("Failed to fetch")).to_be_visible()
    expect(page.get_by_role("button", name="Show as a drawing")).to_be_visible()


def test_what_was_typed_outlives_a_reload_and_is_forgotten_when_it_is_saved(
    site: Site, ada: Person, live_server, browser_context: BrowserContext, photographs: list[Path]
):
    sign_in(browser_context, live_server, ada)
    page = browser_context.new_page()
    page.goto(f"{live_server.url}/publish")
    page.get_by_role("button", name="Start a new dataset").click()
    page.locator("#pick-files").set_input_files(photographs)
    expect(page.locator("#upload-state")).to_contain_text("All 3 files have arrived")
    page.get_by_role("button", name="These are all files").click()
    page.get_by_label("Title").fill("Half a title")
    page.get_by_role("button", name="Add a source").click()
    page.locator("[name=rights-1-source]").fill("Captions")
    expect(page.locator("[data-kept]")).to_have_text("Kept in this browser until you save.")

    page.reload()
    expect(page.locator("[data-kept]")).to_have_text("What you typed last time is back. It is not saved yet.")
    expect(page.get_by_label("Title")).to_have_value("Half a title")
    expect(page.locator("[name=rights-1-source]")).to_have_value("Captions")

    page.get_by_label("Shown as made by").fill("Ada Fenwick")
    page.get_by_label("What it is").select_option("image")
    for number in (0, 1):
        page.locator(f"[name=rights-{number}-source]").fill(f"Source {number}")
        page.locator(f"[name=rights-{number}-basis]").select_option("own-work")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What may others do, and for how much?")
    page.locator(".wizard").get_by_role("link", name="Describe").click()
    expect(page.get_by_label("Title")).to_have_value("Half a title")
    expect(page.locator("[data-kept]")).to_be_empty()
