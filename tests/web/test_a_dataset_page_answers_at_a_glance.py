"""What a dataset's page says at first sight: terms in a breath, whether it was checked, who is paid, who made it."""

from __future__ import annotations

import ast
import html
import re

import pytest
from django.core.cache import caches
from django.test import Client

from cadastre.client import Client as ApiClient
from marketplace.models import Listing, PayoutRow, SettlementRow
from provenance.core.parcel import draw_parcel
from provenance.models import AnchorRecord, Document, LogState, PinRow, VersionRecord
from tests.api.conftest import Person, Site, table
from tests.web.town import Story, browser

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_kept():
    caches["process"].clear()


def page(visitor: Client, address: str) -> str:
    answer = visitor.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def text_of(content: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", content)))


def checks(visitor: Client, story: Story) -> dict[str, str]:
    found = page(visitor, f"/d/{story.paths['derived']}/provenance")
    lines = re.findall(r"<li><span>(.*?)</span>(.*?)</li>", found[found.index('id="check"') :])
    return {text_of(words).strip(): text_of(outcome).strip() for words, outcome in lines}


def test_the_terms_stand_beside_the_price_in_one_breath(story: Story, visitor: Client):
    found = page(visitor, f"/d/{story.paths['photographs']}")
    assert "You may <b>train, fine-tune and evaluate</b> models" in found
    assert "<b>commercially</b>, for <b>2\u00a0years</b>." in found
    assert "Derived datasets owe <b>10\u00a0%</b>." in found


def test_what_was_checked_is_said_line_by_line_with_what_only_the_reader_can_check(story: Story, visitor: Client):
    found = checks(visitor, story)
    assert found["The log is signed, and the latest facts about this dataset are in it"] == "✓ pass"
    assert found["It is the same log as the one anchored on chain at block 40"] == "✓ pass"
    assert found["The description shown here is the one that the chain names"] == "✓ pass"
    assert found["The files’ bytes give this CID"] == "– not checked: you have not downloaded them"
    assert "Verified" in text_of(page(visitor, f"/d/{story.paths['derived']}"))


def test_another_log_than_the_anchored_one_fails(story: Story, visitor: Client):
    AnchorRecord.objects.update(root="0f" * 32)
    assert checks(visitor, story)["It is the same log as the one anchored on chain at block 40"] == "✕ fail"
    shown = text_of(page(visitor, f"/d/{story.paths['derived']}"))
    assert "A check failed" in shown
    assert "Verified" not in shown


def test_a_head_that_another_key_signed_fails(story: Story, visitor: Client):
    log = LogState.objects.get()
    LogState.objects.update(vkey=log.vkey[:-4] + "AAA=")
    assert checks(visitor, story)["The log is signed, and the latest facts about this dataset are in it"] == "✕ fail"


def test_another_description_than_the_registered_one_fails(story: Story, visitor: Client):
    row = Document.objects.get(pk=story.manifest("derived"))
    Document.objects.filter(pk=row.pk).update(data=row.content.replace(b"Shoreline", b"Coastline"))
    assert checks(visitor, story)["The description shown here is the one that the chain names"] == "✕ fail"


def test_copies_that_were_not_read_back_are_not_called_checked_and_a_missing_one_fails(story: Story, visitor: Client):
    line = "The stored copies were read back, and their bytes are the right ones"
    PinRow.objects.update(audited=None)
    assert "not checked" in checks(visitor, story)[line]
    caches["process"].clear()
    PinRow.objects.update(cause="the disk is gone")
    assert checks(visitor, story)[line] == "✕ fail"


def test_who_is_paid_and_how_much_was_paid_so_far(story: Story, visitor: Client):
    shown = text_of(page(visitor, f"/d/{story.paths['derived']}/provenance"))
    assert "Ben Okafor owner 90 % 210.60 TUSD" in shown
    assert "Ada Fenwick it is built from “Tide-pool photographs, Cornwall 2019–2025” 10 % 23.40 TUSD" in shown


def test_what_is_owed_and_not_paid_yet_is_not_called_paid(story: Story, visitor: Client):
    PayoutRow.objects.update(state="claimable")
    assert "owner 90 % –" in text_of(page(visitor, f"/d/{story.paths['derived']}/provenance"))


def test_the_column_is_left_out_when_a_settlements_documents_are_gone(story: Story, visitor: Client):
    SettlementRow.objects.update(digest="ab" * 32)
    shown = text_of(page(visitor, f"/d/{story.paths['derived']}/provenance"))
    assert "Ben Okafor owner 90 %" in shown
    assert "Paid so far" not in shown


def test_the_python_beside_the_price_is_what_the_client_offers(story: Story, visitor: Client):
    found = page(visitor, f"/d/{story.paths['photographs']}")
    code = html.unescape(re.search(r'data-copy-block="Python">(.*?)</pre>', found, re.DOTALL)[1])
    calls = {
        node.func.attr: {keyword.arg for keyword in node.keywords}
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert set(calls) == {"offers", "buy", "bundle"}
    for name, keywords in calls.items():
        assert keywords <= set(getattr(ApiClient, name).__annotations__), name


def test_a_creators_name_leads_to_everything_they_have_listed(story: Story, visitor: Client):
    assert 'by <a href="/ada">Ada Fenwick</a>' in page(visitor, f"/d/{story.paths['photographs']}")
    shown = text_of(page(visitor, "/ada"))
    assert "1 dataset" in shown
    assert "Tide-pool photographs, Cornwall 2019–2025" in shown
    assert "Shoreline survey" not in shown


def test_an_account_that_has_listed_nothing_has_no_page(story: Story, visitor: Client):
    assert visitor.get("/cleo").status_code == 404
    assert visitor.get("/nobody-of-this-name").status_code == 404
    Listing.objects.filter(account__slug="ada").update(state="delisted")
    assert visitor.get("/ada").status_code == 404


def test_parcel_marks_stand_beside_datasets_and_beside_licenses_of_that_version(story: Story, visitor: Client):
    mark = draw_parcel(bytes.fromhex(story.manifest("derived")), size=48).partition("<rect")[2]
    assert mark in browser(story.ben).get("/publish").content.decode()
    assert mark in browser(story.cleo).get("/licenses").content.decode()
    VersionRecord.objects.filter(manifest=story.manifest("derived")).update(version=2)
    assert mark not in browser(story.cleo).get("/licenses").content.decode()


def test_explore_sorts_as_asked_and_says_so_when_nothing_fits(story: Story, visitor: Client):
    Listing.objects.filter(title="Shoreline survey").update(records=10**9)
    largest = text_of(page(visitor, "/explore?sort=records"))
    assert largest.index("Shoreline survey") < largest.index("Tide-pool")
    by_title = text_of(page(visitor, "/explore?sort=title"))
    assert by_title.index("Shoreline survey") < by_title.index("Tide-pool")
    assert "Tide-pool" in page(visitor, "/explore?sort=no-such-order")
    assert "Nothing that is listed fits. Try fewer words" in text_of(page(visitor, "/explore?q=zebra"))
    assert 'href="/explore?q=shoreline"' in page(visitor, "/explore?q=shorline")


def test_an_empty_register_offers_to_begin(site: Site, visitor: Client):
    assert "Publish the first dataset" in page(visitor, "/explore")
    assert "Publish the first dataset" in page(visitor, "/")


def test_numbers_of_a_table_stand_at_the_right_and_the_sentence_says_how_much_is_shown(
    site: Site, ada: Person, visitor: Client
):
    files = {f"{name}.csv": table(name) for name in "abcdefg"}
    site.publish(ada, files=files, visibility="open", preview_public=True)
    found = page(visitor, "/d/31337-" + "11" * 20 + "-1")
    assert "The beginning of 6 of 7 files" in text_of(found)
    assert re.search(r'<th scope="col" class="n">\w+<br><small>(whole )?number</small>', found)


def test_the_log_names_the_dataset_of_each_fact(story: Story, visitor: Client):
    shown = text_of(page(visitor, "/log"))
    assert re.search(r"Listed for sale\. (Tide-pool|Shoreline)", shown)
    assert "Registered by Ada Fenwick as baf" in shown
