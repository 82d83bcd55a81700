from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import expect

from cadastre.folder import files_of
from marketplace.management.story.data import Sources, right
from tests.faults.instance import ROOT, Newcomer, until
from tests.journey.conftest import Town
from tests.journey.goods import METERED, part, prose, published
from tests.journey.visitor import Visitor


def digests(folder: Path) -> dict[str, str]:
    return {file.path: hashlib.sha256(file.location.read_bytes()).hexdigest() for file in files_of(folder)}


def cadastre(town: Town, home: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """The command line of somebody who has just installed it."""
    command = [sys.executable, "-m", "cadastre", *words, "--site", town.url]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "CADASTRE_HOME": str(home)}
    return subprocess.run(command, cwd=ROOT, env=environment, input=given, capture_output=True, text=True, check=False)


def makes_a_key(visitor: Visitor) -> str:
    visitor.fills(name="My terminal")
    visitor.page.get_by_label("read:").check()
    visitor.presses("Make the key")
    return visitor.page.locator("[data-name='the key']").inner_text().strip()


def gets(town: Town, folder: Path, bundle: Path, key: Path, *, api_key: str) -> Path:
    """What the order's page says to type: log in, get."""
    home = folder / "home"
    words = ("get", str(bundle), "--identity", str(key), "--to", str(folder / "data"))
    refused = cadastre(town, home, *words)
    assert refused.returncode == 1
    assert "cadastre login" in refused.stderr
    for command in (("login", "--key-file", "-"), words):
        done = cadastre(town, home, *command, given=api_key)
        assert done.returncode == 0, done.stderr
    return folder / "data"


def sells_a_table(town: Town, sources: Sources, folder: Path) -> tuple[Newcomer, Newcomer, Path, str]:
    """Ada sells the carbon dioxide of a hill for 20.00 and 0.80 for 1,000 rows; Noor has a quarter of it."""
    ada, noor = town.newcomer(), town.newcomer()
    table = part(sources.tables, ["carbon-dioxide.csv"], folder / "table")
    dataset = published(
        ada, table, kind="table", title="Carbon dioxide above Mauna Loa", price="20.00", rate=METERED, languages=[],
        description="Weekly means since 1958.", preview_public=True,
        rights=[right("All of it", "open-license", license="CC0-1.0", sublicensing=True)],
        splits=[{"account": noor.me()["account"]["slug"], "bps": 2_500, "role": "measuring"}],
    )  # fmt: skip
    return ada, noor, table, dataset


def test_from_the_search_to_the_last_payout(enter: Callable[..., Visitor], town: Town, sources: Sources, folder: Path):
    ada, noor, table, dataset = sells_a_table(town, sources, folder)
    sharer = enter()
    sharer.is_signed_in_as(noor)
    link = re.findall(r"http\S+/contribution/\S+", town.letter_to(noor.email, "/contribution/"))[0]
    sharer.goes(link.removeprefix(town.url))
    sharer.presses("Accept")

    cleo = enter()
    cleo.goes("/")
    cleo.page.get_by_role("searchbox", name="Search").fill("mauna")
    cleo.page.get_by_role("searchbox", name="Search").press("Enter")
    cleo.clicks("Carbon dioxide above Mauna Loa")
    cleo.reads("20.00 tUSD, once")
    cleo.reads("316.1")
    cleo.clicks("License")
    cleo.reads("Use is metered: 0.80 tUSD per 1,000 records.")
    cleo.clicks("License this dataset")
    cleo.clicks("Sign up")
    cleo.signs_up("Cleo Marchetti", "cleo@example.org")

    cleo.reads("20.00 tUSD are missing.")
    cleo.presses("Get play money")
    cleo.reloads_until("Pay 20.00 tUSD")
    cleo.reads("Market fee, inside the price")
    cleo.touches("Make a key in this browser")
    cleo.touches("Pay 20.00 tUSD")
    cleo.reads("Download the recovery file first")
    key = cleo.downloads("Download the recovery file", folder)
    assert re.search(r"^AGE-SECRET-KEY-1[0-9A-Z]{58}$", key.read_text(), re.MULTILINE)
    cleo.presses("Pay 20.00 tUSD")
    cleo.reads(re.compile(r"It is safe to close this page\.|Everything is ready\."))
    cleo.reads("Paid. Your license is valid. Everything is ready.")
    cleo.examines()
    bundle = cleo.downloads("Download the license bundle", folder)
    order = cleo.page.url.removeprefix(town.url)
    cleo.clicks("make one")
    data = gets(town, folder, bundle, key, api_key=makes_a_key(cleo))
    assert digests(data) == digests(table)

    cleo.goes(order)
    cleo.clicks("Certificate")
    cleo.reads("TEST: no legal or monetary value")
    cleo.reads("Cleo Marchetti")
    license_id = cleo.page.url.split("/")[-2]
    answer = cleo.page.request.get(f"{town.url}/api/v1/licenses/{license_id}").json()
    cleo.reads(answer["terms"])
    cleo.reads(answer["tx"])
    expect(cleo.page.locator("svg.qr")).to_be_visible()
    printed = cleo.page.pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1

    cleo.clicks("Back to the license")
    cleo.fills(quantity="25000", model="marchetti-1", run="2026-11-a")
    cleo.page.get_by_label("What for").select_option("fine-tune")
    cleo.presses("Preview the amount")
    cleo.reads("This report costs 20.00 tUSD.")
    cleo.presses("Send the report")
    cleo.reads("25,000")
    cleo.reloads_until("Signed for so far: 20.00 tUSD (paid)")
    until("the end of the epoch", lambda: town.manage("close_epoch").returncode == 0)

    earner = enter()
    earner.is_signed_in_as(ada)
    earner.goes("/earnings")
    earner.reloads_until("✓ paid")
    earner.reads("29.25 tUSD")
    earner.clicks("Where it comes from")
    earner.reads("You own it; this is what is left after the others.")
    earner.reads("39.00 tUSD")
    rows = earner.page.get_by_role("table").nth(1).get_by_role("row")
    expect(rows.filter(has_text="license").filter(has_text="20.00 tUSD").filter(has_text="0.50 tUSD")).to_have_count(1)
    expect(rows.filter(has_text="use").filter(has_text="20.00 tUSD").filter(has_text="0.50 tUSD")).to_have_count(1)
    earner.clicks("The whole settlement")
    earner.reads(f"cadastre --site {town.url} audit-settlement 1 --pins pins.json")

    sharer.goes("/earnings")
    sharer.reloads_until("✓ paid")
    sharer.clicks("Where it comes from")
    sharer.reads("You share the income of “Carbon dioxide above Mauna Loa”: 25 %.")
    sharer.reads("9.75 tUSD")

    cleo.goes(f"/d/{dataset}/provenance")
    paid = cleo.page.get_by_role("table").get_by_role("row")
    expect(paid.filter(has_text="owner").filter(has_text="75 %")).to_have_count(1)
    expect(paid.filter(has_text="measuring").filter(has_text="25 %")).to_have_count(1)
    cleo.goes(f"/l/{license_id}")
    cleo.reads("Use reported: 25,000 records.")


def walks_to(visitor: Visitor, words: str) -> None:
    """Press the tabulator until what has these words has the focus."""
    page = visitor.page
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "() => { const it = document.activeElement;"
            " return [it.innerText, it.getAttribute('aria-label'), it.labels?.[0]?.innerText].join(' '); }"
        )
        if words in focused:
            outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"{words!r} has the focus, and nothing shows it"
            return
    raise AssertionError(f"The keyboard does not reach {words!r}: {visitor.sees()}")


def enters(visitor: Visitor) -> None:
    with visitor.leaves():
        visitor.page.keyboard.press("Enter")
    visitor.examines()


def test_a_license_is_bought_with_the_keyboard_alone(
    enter: Callable[..., Visitor], town: Town, sources: Sources, folder: Path
):
    ada, cleo_account = town.newcomer(), town.newcomer()
    dataset = published(ada, prose(sources, 0, folder / "prose"), title="Topics for the keyboard")
    cleo_account.draw(50_000_000, key="first")
    until("play money", lambda: cleo_account.balance() == 50_000_000)

    cleo = enter()
    cleo.is_signed_in_as(cleo_account)
    cleo.goes("/explore?q=keyboard")
    cleo.page.keyboard.press("Tab")
    expect(cleo.page.locator(":focus")).to_have_text("Skip to the content")
    cleo.page.keyboard.press("Enter")
    walks_to(cleo, "Topics for the keyboard")
    enters(cleo)
    assert urlsplit(cleo.page.url).path == f"/d/{dataset}"
    walks_to(cleo, "License this dataset")
    enters(cleo)
    walks_to(cleo, "Make a key in this browser")
    cleo.page.keyboard.press("Enter")
    expect(cleo.page.locator(":focus")).to_have_text("Download the recovery file")
    with cleo.page.expect_download() as saved:
        cleo.page.keyboard.press("Enter")
    assert "AGE-SECRET-KEY-1" in Path(saved.value.path()).read_text()
    walks_to(cleo, "Pay 12.00 tUSD")
    enters(cleo)
    cleo.reads("Paid. Your license is valid. Everything is ready.")
    walks_to(cleo, "Download the license bundle")
    with cleo.page.expect_download() as bundle:
        cleo.page.keyboard.press("Enter")
    assert json.loads(Path(bundle.value.path()).read_bytes())["schema"].startswith("cadastre.")
