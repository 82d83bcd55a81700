"""Neither a clock that jumps nor an edit moves what was agreed: payouts wait for the chain, terms stay as sold."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import Settings

from marketplace.actions.listings import edit_offer
from marketplace.core.terms import Rate, RateUnit
from marketplace.models import LicenseRow, SettlementRow
from marketplace.queries.orders import own_license
from marketplace.settling.closing import advance_settlements, close_due
from marketplace.settling.paying import push_due
from provenance.models import Document, Intent
from tests.trade.conftest import person
from tests.trade.register import Register, terms

pytestmark = pytest.mark.django_db


def test_a_clock_that_jumps_a_day_closes_accepts_and_pays_nothing_early(register: Register, settings: Settings) -> None:
    ada, cleo = person("Ada"), person("Cleo")
    register.buy_funded(cleo, register.publish(ada))
    tomorrow = register.now + timedelta(days=1)
    settings.CADASTRE_EPOCH_SECONDS = 31_536_000
    assert close_due(register.token, now=tomorrow) is None
    settings.CADASTRE_EPOCH_SECONDS = 60
    register.world.development.advance(61)
    register.world.development.mine(3)
    register.follow()
    row = close_due(register.token, now=register.now)
    assert row is not None
    for _ in range(3):
        register.work()
        register.sign()
    register.follow()
    row.refresh_from_db()
    assert row.state == SettlementRow.State.PROPOSED
    advance_settlements(now=tomorrow + timedelta(days=365))
    push_due(now=tomorrow + timedelta(days=365))
    assert not Intent.objects.filter(kind__in=("market.accept", "market.push")).exists()
    assert register.on_chain(register.owner_address(ada)) == 0


def test_terms_and_price_edited_after_a_sale_leave_the_buyers_as_they_were(register: Register) -> None:
    ada, cleo = person("Ada"), person("Cleo")
    agreed = terms(rate=Rate(unit=RateUnit("records-1000"), price=800_000), report_use=True)
    listing = register.publish(ada, with_terms=agreed)
    order = register.buy_funded(cleo, listing)
    before = LicenseRow.objects.values().get(pk=order.license)
    document = bytes(Document.objects.get(pk=before["terms"]).content)
    dearer = terms(
        rate=Rate(unit=RateUnit("records-1000"), price=99_000_000), report_use=True, text="Something else entirely."
    )
    edit_offer(by=ada, dataset=listing.pk, terms=dearer, price=999_000_000, hold_seconds=None, now=register.now)
    register.run()
    listing.refresh_from_db()
    assert listing.offer_id != before["offer"]
    assert LicenseRow.objects.values().get(pk=order.license) == before
    held = own_license(cleo.account, order.license)
    assert (held.terms, held.price) == (agreed.digest.hex, 240_000_000)
    assert bytes(Document.objects.get(pk=held.terms).content) == document == agreed.to_bytes()
