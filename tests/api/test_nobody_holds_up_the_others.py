"""Work that cannot be done, however much of it somebody wants, never holds up what others wait for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.actions.custody import derive_addresses
from marketplace.actions.offers import OFFERS_PER_DAY, advance_offers
from marketplace.actions.quotes import advance_quotes, make_private_offer
from marketplace.actions.vouchers import advance_vouchers, charge_minimums
from marketplace.core.offer import OfferRefusal
from marketplace.core.presets import PRESETS
from marketplace.core.terms import Rate, RateUnit, Terms
from marketplace.limits import LimitRefusal
from marketplace.models import Listing, OfferRow, Order, Quote, VoucherRow
from provenance import signing
from provenance.models import DatasetRecord
from tests.api.conftest import PRICE, Person, Site, metered
from tests.api.test_a_license_is_bought_by_a_program import report

pytestmark = pytest.mark.django_db
MOST = 2**63 - 1


def quote(site: Site, seller: Person, listing: Listing, **changes) -> Quote:
    said = {"terms": metered(), "price": 1, "hold_seconds": 0, **changes}
    return make_private_offer(by=seller.actor, dataset=listing.dataset, buyer="cleo", now=site.now, **said)


def work(site: Site) -> None:
    for _ in range(2):
        derive_addresses(ring=site.ring, now=site.now)
        advance_quotes(now=site.now)
        signing.sign_due(site.ring, site.now)
        advance_offers(now=site.now)


def test_a_private_offer_that_became_impossible_ends_and_the_others_are_signed(site, ada, cleo, mallory, listing):
    hers = site.publish(mallory)
    wanted = [quote(site, mallory, hers) for _ in range(3)]
    # On chain an owner may change the share at any time, and then these terms promise another one.
    DatasetRecord.objects.filter(token=int(hers.dataset.rpartition("/")[2])).update(derive_bps=9_999)
    good = quote(site, ada, listing)
    work(site)
    assert Quote.objects.get(pk=good.pk).state == Quote.State.READY
    assert {Quote.objects.get(pk=each.pk).state for each in wanted} == {Quote.State.EXPIRED}


def test_private_offers_are_counted_when_they_are_asked_for(site, ada, cleo, mallory, listing):
    hers = site.publish(mallory)
    for _ in range(OFFERS_PER_DAY):
        quote(site, mallory, hers)
    with pytest.raises(LimitRefusal) as refused:
        quote(site, mallory, hers)
    assert refused.value.limit == OFFERS_PER_DAY
    good = quote(site, ada, listing)
    work(site)
    assert Quote.objects.get(pk=good.pk).state == Quote.State.READY


def test_terms_with_another_share_than_the_registers_are_refused_at_once(site, ada, cleo, listing):
    DatasetRecord.objects.update(derive_bps=9_999)
    with pytest.raises(OfferRefusal):
        quote(site, ada, listing)
    assert not Quote.objects.exists()


def test_use_that_nobody_pays_for_does_not_hold_up_use_that_is_paid(site, ada, cleo, mallory, listing):
    poor = site.license(mallory, listing, order=order(site, mallory, listing))
    paying = site.license(cleo, listing, order=order(site, cleo, listing))
    api = mallory.api("use")
    for number in range(3):
        assert api.post("/usage", report(site, poor, quantity="2000000000"), key=f"u{number}").status_code == 201
    assert cleo.api("use").post("/usage", report(site, paying), key="u").status_code == 201
    assert VoucherRow.objects.get(license=paying.pk).state == VoucherRow.State.UNFUNDED
    site.give(cleo, PRICE)
    for second in range(1, 4):
        advance_vouchers(now=site.now + timedelta(seconds=second), limit=2)
    assert VoucherRow.objects.get(license=paying.pk).state == VoucherRow.State.WANTED
    assert set(VoucherRow.objects.filter(license=poor.pk).values_list("state", flat=True)) == {"unfunded"}


def test_minimums_beyond_the_journal_leave_those_of_others_alone(site, ada, cleo, mallory, listing):
    greedy = rated(Rate(unit=RateUnit.RUN, price=1, minimum=MOST))
    modest = rated(Rate(unit=RateUnit.RUN, price=1, minimum=5))
    theirs = [site.publish(seller, terms=said) for seller, said in ((mallory, greedy), (ada, modest))]
    rows = [site.license(cleo, each, order=order(site, cleo, each)) for each in theirs]
    assert charge_minimums(now=site.now + timedelta(days=100)) == 1
    assert list(VoucherRow.objects.values_list("license", flat=True)) == [rows[1].pk]


def rated(rate: Rate) -> Terms:
    said = PRESETS["train-commercial"].terms
    return Terms.from_document({**said.to_document(), "rate": rate.to_document()})


def order(site: Site, person: Person, listing: Listing):
    row = OfferRow.objects.get(pk=Listing.objects.get(pk=listing.pk).offer_id)
    return Order.objects.create(
        account=person.actor.account, offer=row, dataset=listing.dataset, recipient="age1", total=row.price, fee=0,
        idempotency_key=f"{Order.objects.count()}", placed_by=person.actor.membership, state="final",
        created=site.now, changed=site.now,
    )  # fmt: skip


def test_use_beyond_sixty_three_bits_is_refused_and_not_a_fault(site, ada, cleo, listing):
    row = site.license(cleo, listing, order=order(site, cleo, listing))
    api = cleo.api("use")
    first = api.post("/usage", report(site, row, quantity=str(MOST)), key="u1")
    assert (first.status_code, first.json()["code"]) == (422, "usage.overflow")
    half = api.post("/usage", report(site, row, quantity=str(10**15)), key="u2")
    assert half.status_code == 201, half.content
    again = api.post("/usage", report(site, row, quantity=str(MOST - 1)), key="u3")
    assert (again.status_code, again.json()["code"]) == (422, "usage.overflow")
