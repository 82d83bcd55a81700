from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from marketplace.management.story.data import Sources, alter, right
from tests.faults.instance import Newcomer
from tests.journey.conftest import Town
from tests.journey.goods import part, published
from tests.journey.visitor import Visitor

ADAS = {
    "remove": ["brick-wall.png", "greek-coins.png"],
    "built-from": ["summer-palace.jpg", "retina.jpg"],
}
MALLORYS = "hubble-deep-field.jpg"
ANSWERS = (
    "Mine was built from it.",
    "Both come from the same public source.",
    "I am the author.",
    "Remove these records.",
)


@pytest.fixture
def ada(town: Town) -> Newcomer:
    return town.newcomer()


def photographs(ada: Newcomer, sources: Sources, names: list[str], folder: Path) -> str:
    """Publish some, open: whoever builds on them needs no license, and owes what their terms say."""
    return published(
        ada, part(sources.photographs, names, folder), kind="image", visibility="open", preset="open-cc0-1.0",
        price="0", title=f"Photographs of {names[0].partition('.')[0]}", languages=[],
        rights=[right("All photographs", "open-license", license="CC0-1.0", sublicensing=True)],
    )  # fmt: skip


def comes_with_a_copy(mallory: Visitor, town: Town, copy: Path) -> None:
    mallory.is_signed_in_as(town.newcomer())
    mallory.goes("/publish")
    mallory.presses("Start a new dataset")
    mallory.page.locator("#pick-folder").set_input_files(copy)
    expect(mallory.page.locator("#upload-state")).to_contain_text("have arrived")
    mallory.presses("These are all files")
    mallory.fills(title="Pictures of my own")
    source = mallory.page.locator("fieldset").filter(has_text="Source 1")
    source.get_by_label("Why you may offer it").select_option("own-work")
    mallory.presses("Save and go on")
    mallory.fills(price="500")
    mallory.presses("Save and go on")


def is_stopped(mallory: Visitor, share: str, title: str) -> None:
    mallory.reads(f"{share} of your records match “{title}”")
    for answer in ANSWERS:
        expect(mallory.page.get_by_role("radio", name=answer)).to_be_visible()
    mallory.page.get_by_text("Which records", exact=True).click()
    mallory.reads("IMG_4000.jpg")
    mallory.examines()
    mallory.goes(mallory.page.url.removeprefix(mallory.site).replace("/checks", "/review"))
    expect(mallory.page.get_by_role("button", name="Publish this")).to_have_count(0)
    mallory.goes(mallory.page.url.removeprefix(mallory.site).replace("/review", "/checks"))


def publishes(mallory: Visitor) -> None:
    mallory.reads("All checks passed.")
    mallory.clicks("Review what becomes public")
    mallory.presses("Publish this")
    mallory.reads("Published.")
    mallory.clicks("See its page")


def test_a_copyist_removes_what_is_not_theirs(
    enter: Callable[..., Visitor], town: Town, sources: Sources, folder: Path, ada: Newcomer
):
    photographs(ada, sources, ADAS["remove"], folder / "adas")
    copy = folder / "copy"
    alter(folder / "adas", copy)
    part(sources.photographs, [MALLORYS], folder / "own")
    (folder / "own" / MALLORYS).rename(copy / MALLORYS)
    mallory = enter()
    comes_with_a_copy(mallory, town, copy)
    is_stopped(mallory, "66.66 %", "Photographs of brick-wall")

    mallory.page.get_by_role("radio", name="Remove these records.").check()
    mallory.presses("Answer")
    publishes(mallory)
    mallory.reads("Pictures of my own")
    mallory.reads("1 picture")


def test_a_copyist_owns_up_and_owes_a_share(
    enter: Callable[..., Visitor], town: Town, sources: Sources, folder: Path, ada: Newcomer
):
    dataset = photographs(ada, sources, ADAS["built-from"], folder / "adas")
    alter(folder / "adas", folder / "copy")
    mallory = enter()
    comes_with_a_copy(mallory, town, folder / "copy")
    is_stopped(mallory, "100 %", "Photographs of summer-palace")

    mallory.page.get_by_role("radio", name="I am the author.").check()
    mallory.presses("Answer")
    mallory.reads("evidence")
    mallory.page.get_by_role("radio", name="Mine was built from it.").check()
    mallory.presses("Answer")
    publishes(mallory)
    mallory.reads("built from 1 dataset")
    mallory.clicks("Provenance")
    parent = mallory.page.get_by_role("link", name="Photographs of summer-palace")
    expect(parent).to_have_attribute("href", f"/d/{dataset}")
    mallory.reads("overlaps that the creator explained")
