from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Request, Route, expect

from marketplace.management.story.data import Sources
from provenance.core.parcel import draw_parcel
from tests.faults.instance import until
from tests.journey.conftest import Town
from tests.journey.goods import part
from tests.journey.visitor import Visitor

CONNECTION = ("net::ERR_",)
PIECE = 8 * 1024 * 1024
"""What the page sends in one request."""


def starts_a_dataset(visitor: Visitor) -> None:
    """Press the button, again while the signer still makes the address of a new account: so the page says to do."""
    visitor.goes("/publish")
    visitor.presses("Start a new dataset")
    while "address is still being made" in visitor.sees():
        visitor.presses("Start a new dataset")


def row(visitor: Visitor, path: str) -> Locator:
    return visitor.page.locator("#upload-list tr").filter(has_text=path)


def big_table(sources: Sources, to: Path) -> Path:
    """The sea's temperatures, so often that they need three requests."""
    text = (sources.tables / "sea-surface-temperature.csv").read_bytes()
    to.mkdir()
    (to / "temperatures.csv").write_bytes(text * (PIECE * 5 // 2 // len(text)))
    return to


def sent_from(requests: list[Request]) -> list[int]:
    return [int(request.headers["upload-offset"]) for request in requests]


def test_a_folder_becomes_a_listed_dataset(enter: Callable[..., Visitor], town: Town, sources: Sources, folder: Path):
    names = ["astronaut.png", "cat-chelsea.png", "cup-of-coffee.png", "rocket-launch.jpg"]
    photographs = part(sources.photographs, names, folder / "photographs")
    ada = enter()
    ada.goes("/publish")
    ada.clicks("Sign up")
    ada.signs_up("Ada Fenwick", "ada@example.org")

    starts_a_dataset(ada)
    ada.page.locator("#pick-folder").set_input_files(photographs)
    for name in names:
        expect(row(ada, name)).to_contain_text("✓ arrived")
    expect(ada.page.locator("#upload-state")).to_contain_text("All 4 files have arrived")
    ada.examines()
    ada.presses("These are all files")

    ada.fills(title="Four things worth a look", description="A face, a cat, a cup and a rocket.")
    ada.page.get_by_label("What it is", exact=True).select_option("image")
    ada.page.get_by_label("Show small samples to everybody").check()
    source = ada.page.locator("fieldset").filter(has_text="Source 1")
    source.get_by_label("What it covers").fill("All photographs")
    source.get_by_label("Why you may offer it").select_option("open-license")
    source.get_by_label("From whom").fill("CC0-1.0")
    source.get_by_label("Passing it on").select_option("yes")
    ada.touches("Add a source")
    another = ada.page.locator("fieldset").filter(has_text="Another source")
    another.get_by_label("What it covers").fill("Captions")
    another.get_by_label("Why you may offer it").select_option("own-work")
    ada.presses("Save and go on")

    ada.page.locator("[name=preset][value=train-commercial]").check()
    ada.fills(price="40.00")
    ada.presses("Save and show the example")
    ada.reads("Of a sale at 40.00 tUSD you receive 39.00 tUSD.")
    ada.reads("You may train models from scratch")
    ada.fills(email="noor@example.org", role="Retouching", percent="25")
    ada.presses("Share with them")
    ada.reads("noor@example.org")
    ada.reads("Of a sale at 40.00 tUSD you receive 29.25 tUSD.")
    ada.presses("Save and go on")

    ada.reads("All checks passed.")
    ada.reads("Compared with everything in the register")
    ada.examines()
    ada.clicks_until("Review what becomes public", "This becomes public and permanent")
    ada.reads("Retouching: 25 %")
    ada.reads("Locked: names, contents and hashes of the files stay private.")
    ada.presses("Publish this")
    # A quick machine is through before the page is; tests/web holds this state and reads these words in it.
    ada.reads(re.compile(r"It is safe to close this page|Published\."))
    ada.reads("Published.")
    ada.examines()
    ada.clicks("See its page")

    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Four things worth a look")
    for image in ada.page.locator(".thumbs img").all():
        image.scroll_into_view_if_needed()
        assert until("a sample", lambda shown=image: shown.evaluate("image => image.naturalWidth"))
    expect(ada.page.locator(".thumbs img")).to_have_count(4)

    ada.reloads_until("40.00 tUSD, once")

    visitor = enter()
    visitor.goes("/explore?q=rocket")
    listed = visitor.page.locator(".rows li").filter(has_text="Four things worth a look")
    expect(listed).to_contain_text("by Ada Fenwick")
    expect(listed).to_contain_text("40.00")
    found = visitor.page.request.get(f"{town.url}/api/v1/datasets?q=rocket").json()["results"]
    manifest = visitor.page.request.get(f"{town.url}/api/v1/datasets/{found[0]['id']}").json()["manifest"]
    drawn = re.findall(r'points="([^"]+)"', draw_parcel(bytes.fromhex(manifest)))
    shown = listed.locator("svg.parcel polygon").evaluate_all("all => all.map(each => each.getAttribute('points'))")
    assert shown == drawn

    noor = enter()
    link = re.findall(r"http\S+/contribution/\S+", town.letter_to("noor@example.org", "/contribution/"))[0]
    noor.goes(link.removeprefix(town.url))
    noor.clicks("Sign up")
    noor.signs_up("Noor Haddad", "noor@example.org")
    noor.presses("Accept")
    noor.reads("Accepted. Your share is paid out with every settlement.")


def test_an_upload_goes_on_after_a_reload(enter: Callable[..., Visitor], town: Town, sources: Sources, folder: Path):
    table = big_table(sources, folder / "table")
    ada = enter(expects=CONNECTION)
    ada.is_signed_in_as(town.newcomer())
    starts_a_dataset(ada)
    sent: list[Request] = []

    def only_the_first(route: Route) -> None:
        if route.request.method == "PATCH":
            sent.append(route.request)
            if len(sent) > 1:
                route.abort("internetdisconnected")
                return
        route.continue_()

    ada.page.route("**/api/v1/uploads/**", only_the_first)
    ada.page.locator("#pick-files").set_input_files(table / "temperatures.csv")
    expect(row(ada, "temperatures.csv")).to_contain_text(re.compile(r"\d+ %"))
    until("the first piece", lambda: len(sent) > 1 or ada.page.wait_for_timeout(50))
    ada.page.reload()
    ada.page.unroute_all()

    expect(row(ada, "temperatures.csv")).to_contain_text("8.4 MB arrived; choose the file again to go on")
    ada.touches("These are all files")
    ada.reads("Some files have not arrived whole.")
    ada.page.on("request", lambda request: sent.append(request) if request.method == "PATCH" else None)
    sent.clear()
    ada.page.locator("#pick-folder").set_input_files(table)
    expect(row(ada, "temperatures.csv")).to_contain_text("✓ arrived")
    assert sent_from(sent) == [PIECE, 2 * PIECE]
    ada.presses("These are all files")
    ada.reads("What is it?")


def test_an_upload_goes_on_after_the_connection_dropped(
    enter: Callable[..., Visitor], town: Town, sources: Sources, folder: Path
):
    table = big_table(sources, folder / "table")
    ada = enter(expects=CONNECTION)
    ada.is_signed_in_as(town.newcomer())
    starts_a_dataset(ada)
    arrived: list[Request] = []
    dropped: list[Request] = []

    def drops_twice(route: Route) -> None:
        if route.request.method == "PATCH" and arrived and len(dropped) < 2:
            dropped.append(route.request)
            route.abort("connectionreset")
            return
        if route.request.method == "PATCH":
            arrived.append(route.request)
        route.continue_()

    ada.page.route("**/api/v1/uploads/**", drops_twice)
    ada.page.locator("#pick-folder").set_input_files(table)
    expect(row(ada, "temperatures.csv")).to_contain_text("✓ arrived", timeout=60_000)
    assert sent_from(dropped) == [PIECE, PIECE]
    assert sent_from(arrived) == [0, PIECE, 2 * PIECE]


def test_a_file_can_be_taken_out_again(enter: Callable[..., Visitor], town: Town, sources: Sources, folder: Path):
    names = ["flower.jpg", "moon.png"]
    pictures = part(sources.photographs, names, folder / "pictures")
    ada = enter()
    ada.is_signed_in_as(town.newcomer())
    starts_a_dataset(ada)
    ada.page.locator("#pick-files").set_input_files([pictures / name for name in names])
    expect(ada.page.locator("#upload-state")).to_contain_text("All 2 files have arrived")
    ada.touches("Remove moon.png")
    expect(ada.page.locator("#upload-state")).to_contain_text("The file has arrived")
    ada.page.reload()
    expect(row(ada, "flower.jpg")).to_contain_text("✓ arrived")
    expect(row(ada, "moon.png")).to_have_count(0)
