"""The operator reads for how long a lane can pay; everybody reads up to which block, and how long ago."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.core.cache import caches
from django.test import Client
from django.utils import timezone

from marketplace.queries.operations import operations, runway_days
from provenance.models import DatasetRecord, Intent, Lane, PinRow
from tests.api.conftest import Person, Site
from tests.web.town import Story, browser

pytestmark = pytest.mark.django_db
ETHER, GWEI = 10**18, 10**9


@pytest.fixture(autouse=True)
def _nothing_kept():
    caches["process"].clear()


@pytest.fixture
def lane(site: Site) -> Lane:
    """A relayer that has used 30 million gas this week, and as much before."""
    now = timezone.now()
    for number, age in enumerate((1, 3, 5, 12, 20)):
        moment = now - timedelta(days=age)
        Intent.objects.create(
            key=f"k{number}", deployment=site.deployment, chain_id=31337, lane_name="relayer/0", kind="mint",
            payload={}, state="final", gas_used=10_000_000, valid_until=moment, created_at=moment, updated_at=moment,
        )  # fmt: skip
    return Lane.objects.create(chain_id=31337, name="relayer/0", address="0x" + "55" * 20, updated_at=now)


def look(lane: Lane, **found: int) -> str:
    Lane.objects.filter(pk=lane.pk).update(**found)
    return str(operations(now=timezone.now()).lanes[0].days)


def text_of(client: Client, address: str) -> str:
    content = client.get(address).content.decode()
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", content)))


def test_a_lanes_funds_last_as_long_as_last_weeks_use_says(lane: Lane):
    # 30 million gas at 10 gwei cost 0.3 ether a week.
    assert look(lane, balance=3 * ETHER, gas_price=10 * GWEI) == "70"
    assert look(lane, balance=3 * ETHER, gas_price=20 * GWEI) == "35"


def test_a_lane_that_nobody_looked_at_or_that_sends_nothing_has_no_figure(lane: Lane):
    assert look(lane) == "None"
    Intent.objects.all().delete()
    assert look(lane, balance=ETHER, gas_price=GWEI) == "None"


def test_a_lane_in_its_first_days_is_measured_by_these():
    assert runway_days(ETHER, gas=10_000_000, gas_price=10 * GWEI, over=timedelta(days=1)) == 10
    assert runway_days(ETHER, gas=10_000_000, gas_price=10 * GWEI, over=timedelta(days=2)) == 20
    assert runway_days(ETHER, gas=0, gas_price=10 * GWEI, over=timedelta(days=1)) is None


def test_the_dashboard_shows_funds_and_demands_a_person_before_they_end(lane: Lane, ben: Person):
    client = browser(ben, operator=True)
    look(lane, balance=3 * ETHER, gas_price=10 * GWEI)
    shown = text_of(client, "/operator")
    assert "3.0000 about 70 days" in shown
    assert "Nothing demands a person." in shown
    look(lane, balance=ETHER // 4, gas_price=10 * GWEI)
    shown = text_of(client, "/operator")
    assert "0.2500 ✕ about 5 days" in shown
    assert "Something demands a person" in shown


def test_trails_say_as_of_which_block(story: Story, site: Site, visitor: Client):
    site.deployment.followed_at = timezone.now()
    site.deployment.finalized = 1_234
    site.deployment.save()
    for address in (f"/d/{story.paths['derived']}/provenance", "/audit"):
        assert "As of block 1,234," in text_of(visitor, address)
    site.deployment.followed_at = None
    site.deployment.save()
    assert "As of block" not in text_of(visitor, "/audit")


def test_one_copy_and_one_confirmation_are_not_many(story: Story, site: Site, visitor: Client):
    address = f"/d/{story.paths['photographs']}"
    assert "1 of 1 copy" in text_of(visitor, address)
    record = DatasetRecord.objects.get(token=1)
    site.deployment.finalized = record.block_number + 1
    site.deployment.save()
    assert "1 confirmation " in text_of(visitor, address)
    site.deployment.finalized = record.block_number + 2
    site.deployment.save()
    assert "2 confirmations" in text_of(visitor, address)
    assert PinRow.objects.exists()


def test_moments_stand_in_utc_and_are_dated_for_the_script_that_says_how_long_ago(story: Story, visitor: Client):
    content = visitor.get(f"/d/{story.paths['derived']}/provenance").content.decode()
    times = re.findall(r'<time datetime="(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"[^>]*>([^<]*)</time>', content)
    assert len(times) > 5
    assert all(shown.endswith(" UTC") for _moment, shown in times)
