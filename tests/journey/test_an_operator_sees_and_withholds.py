from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from marketplace.management.story.data import Sources
from tests.journey.conftest import Town
from tests.journey.goods import prose, published
from tests.journey.visitor import PASSWORD, Visitor

NOT_FOUND = ("status of 404",)


def test_a_dataset_is_withheld_and_its_page_says_so(
    enter: Callable[..., Visitor], town: Town, sources: Sources, folder: Path
):
    dataset = published(town.newcomer(), prose(sources, 3, folder / "prose"), title="Topics for the operator")
    olga = enter(expects=NOT_FOUND)
    olga.goes("/account/signup/")
    olga.signs_up("Olga", "olga@example.org")
    olga.goes("/operator")
    olga.reads("There is nothing at this address")
    done = town.manage(
        "shell", "-c",
        "from marketplace.models import User; User.objects.filter(email='olga@example.org').update(is_staff=True)",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    olga.page.locator("header summary").click()
    olga.presses("Sign out")
    olga.goes("/account/login/?next=/operator")
    olga.fills(login="olga@example.org", password=PASSWORD)
    olga.presses("Sign in", within=olga.page.locator("main"))

    olga.reads("Nothing demands a person.")
    for words in ("Transactions to be sent", "Facts to be logged", "Copies to be made or mended"):
        expect(olga.page.get_by_role("row").filter(has_text=words)).to_be_visible()
    lanes = olga.page.get_by_role("row").filter(has_text="✓ sends")
    expect(lanes.filter(has_text="relayer")).not_to_have_count(0)
    olga.fills(dataset=dataset)
    olga.page.get_by_label("Reason", exact=True).select_option("malware")
    olga.presses("Withhold")
    olga.reads("Delivery has stopped. The trail says why.")
    olga.reads("Topics for the operator")

    visitor = enter()
    visitor.goes(f"/d/{dataset}")
    visitor.reads("Delivery stopped")
    expect(visitor.page.get_by_role("link", name="License this dataset")).to_have_count(0)
    visitor.clicks("Provenance")
    visitor.reloads_until("Delivery stopped: malware.")
    visitor.goes("/explore?q=operator")
    expect(visitor.page.get_by_role("link", name="Topics for the operator")).to_have_count(0)
