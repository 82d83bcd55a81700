"""From an offer to a final license with its key, on a real chain; and every way in which it does not happen twice."""

from __future__ import annotations

from uuid import UUID

import pytest

from marketplace.actions.licenses import add_recipient, disclose_license, grant_refund, request_refund
from marketplace.actions.offers import OfferRefusal, withdraw_offer
from marketplace.actions.orders import OrderRefusal, place_order
from marketplace.actions.quotes import make_private_offer, request_quote
from marketplace.core.journal import JournalRefusal
from marketplace.core.license import Certificate
from marketplace.idempotency import IdempotencyRefusal
from marketplace.models import LicenseRow, Listing, OfferRow, Order
from marketplace.queries.actors import AccessRefusal
from marketplace.queries.orders import delivery_of, disclosed_license, own_license
from provenance.core.canonical import parse_canonical
from provenance.models import Document, GrantRow, IntakeStatement
from tests.trade.conftest import person
from tests.trade.register import RECIPIENT, Register, document, terms

pytestmark = pytest.mark.django_db
PRICE = 240_000_000


def statements(kind: str, subject: str) -> list[IntakeStatement]:
    return list(IntakeStatement.objects.filter(type=kind, subject=subject))


def test_a_listing_goes_live_when_its_offer_is_signed(register: Register, ada):
    listing = register.publish(ada)
    assert listing.state == Listing.State.LISTED
    assert listing.offer is not None
    assert listing.offer.state == OfferRow.State.LIVE
    assert listing.uses == ["derive", "evaluate", "fine-tune"]
    assert len(statements("offer.made", listing.pk)) == len(statements("listing.changed", listing.pk)) == 1
    assert statements("offer.made", listing.pk)[0].signatures[0]["role"] == "owner"


def test_an_order_becomes_a_final_license_with_certificate_and_key(register: Register, ada, cleo):
    listing = register.publish(ada)
    register.fund(cleo)
    order = register.buy(cleo, listing)
    assert order.state == Order.State.FINAL, order.cause
    row = LicenseRow.objects.get(pk=order.license)
    assert (row.final, row.account, row.price, row.fee) == (True, cleo.account, PRICE, PRICE * 250 // 10_000)
    assert row.licensee == register.ring.address(f"licensee/{order.pk}")
    certificate = Certificate.from_document(parse_canonical(document(row.certificate)))
    assert (str(certificate.license), certificate.price, certificate.tx) == (row.pk, PRICE, row.tx)
    assert not Document.objects.get(pk=row.certificate).public
    assert delivery_of(row).state == "granted"
    assert len(statements("license.purchased", row.pk)) == 1
    assert register.balance(cleo).available == 1_000_000_000 - PRICE
    assert register.balance(cleo).held == 0
    register.check_books()


def test_nobody_else_finds_the_license_or_the_order(register: Register, ada, cleo, mallory):
    order = register.buy_funded(cleo, register.publish(ada))
    own_license(cleo.account, order.license)
    with pytest.raises(AccessRefusal) as refused:
        own_license(mallory.account, order.license)
    assert refused.value.code == "license.not_found"


def test_the_same_key_gives_the_same_order_and_another_body_is_refused(register: Register, ada, cleo):
    listing = register.publish(ada)
    register.fund(cleo)
    first = register.buy(cleo, listing, key="k1", run=False)
    again = register.buy(cleo, listing, key="k1", run=False)
    assert first.pk == again.pk
    with pytest.raises(IdempotencyRefusal):
        place_order(by=cleo, key="k1", recipient=RECIPIENT, offer="0" * 64, now=register.now)
    register.run()
    assert register.buy(cleo, listing, key="k1").license == order_license(first.pk)
    assert LicenseRow.objects.count() == 1


def order_license(order: UUID) -> str:
    return Order.objects.get(pk=order).license


def test_a_balance_that_is_too_low_buys_nothing_and_holds_nothing(register: Register, ada, cleo):
    listing = register.publish(ada)
    register.fund(cleo, PRICE - 1)
    with pytest.raises(JournalRefusal) as refused:
        register.buy(cleo, listing)
    assert (refused.value.limit, refused.value.actual) == (PRICE - 1, PRICE)
    assert register.balance(cleo).held == 0
    assert not Order.objects.exists()


def test_a_purchase_that_the_contract_refuses_gives_everything_back(register: Register, ada, cleo):
    listing = register.publish(ada)
    register.fund(cleo)
    order = register.buy(cleo, listing, run=False)
    # The signature is spoiled between order and purchase: the simulation refuses, no nonce is taken.
    OfferRow.objects.filter(pk=listing.offer_id).update(signature="0x" + "11" * 64 + "1b")
    register.run()
    order.refresh_from_db()
    assert order.state == Order.State.FAILED
    assert "LicensesBadSignature" in order.cause
    assert register.balance(cleo).available == 1_000_000_000
    assert OfferRow.objects.get(pk=listing.offer_id).sold == 0
    register.check_books()


def test_a_price_of_zero_still_gives_a_license(register: Register, ada, cleo):
    listing = register.publish(ada, price=0)
    order = register.buy(cleo, listing)
    assert order.state == Order.State.FINAL, order.cause
    assert LicenseRow.objects.get().price == 0


def test_all_licenses_of_a_limited_offer_can_be_sold_and_no_more(register: Register, ada, cleo):
    listing = register.publish(ada, price=0)
    OfferRow.objects.filter(pk=listing.offer_id).update(count=1)
    register.buy(cleo, listing, run=False)
    with pytest.raises(OfferRefusal) as refused:
        register.buy(cleo, listing, run=False)
    assert refused.value.code == "offer.sold_out"


def test_a_withdrawn_offer_cannot_be_bought_here_or_on_chain(register: Register, ada, cleo):
    listing = register.publish(ada)
    offer = withdraw_offer(by=ada, offer=str(listing.offer_id), now=register.now)
    register.run()
    with pytest.raises(OfferRefusal) as refused:
        place_order(by=cleo, key="k", recipient=RECIPIENT, offer=offer.pk, now=register.now)
    assert refused.value.code == "offer.not_live"
    number = int(listing.pk.rpartition("/")[2])
    assert register.world.chain.read("Market", "offerState", number, int(offer.nonce))[0] is True  # type: ignore[index]


def test_a_private_offer_is_for_one_buyer_at_its_own_price(register: Register, ada, cleo, mallory):
    listing = register.publish(ada)
    register.fund(cleo)
    quote = make_private_offer(
        by=ada, dataset=listing.pk, buyer="cleo", terms=terms(), price=1_000_000, hold_seconds=0, now=register.now
    )
    register.run()
    quote.refresh_from_db()
    assert quote.state == "ready"
    with pytest.raises(AccessRefusal):
        place_order(by=mallory, key="k", recipient=RECIPIENT, quote=quote.pk, now=register.now)
    with pytest.raises(AccessRefusal):
        place_order(by=cleo, key="k0", recipient=RECIPIENT, offer=str(quote.offer_id), now=register.now)
    order = place_order(by=cleo, key="k", recipient=RECIPIENT, quote=quote.pk, now=register.now)
    register.run()
    order.refresh_from_db()
    assert (order.state, order.total, order.pk) == (Order.State.FINAL, 1_000_000, quote.pk), order.cause
    listing.refresh_from_db()
    assert listing.offer is not None
    assert listing.offer.price == PRICE, "the public price is what it was"


def test_a_quote_of_the_public_offer_is_ready_at_once_and_used_once(register: Register, ada, cleo):
    listing = register.publish(ada)
    register.fund(cleo)
    quote = request_quote(by=cleo, dataset=listing.pk, now=register.now)
    assert (quote.price, quote.fee) == (PRICE, 6_000_000)
    place_order(by=cleo, key="a", recipient=RECIPIENT, quote=quote.pk, now=register.now)
    with pytest.raises(OrderRefusal) as refused:
        place_order(by=cleo, key="b", recipient=RECIPIENT, quote=quote.pk, now=register.now)
    assert refused.value.code == "order.quote"


def test_a_held_price_can_be_given_back_and_the_license_ends(register: Register, ada, cleo, mallory):
    listing = register.publish(ada, hold_seconds=7_200)
    order = register.buy_funded(cleo, listing)
    request_refund(by=cleo, license_id=order.license, now=register.now)
    order.refresh_from_db()
    assert order.refund_wanted is not None
    with pytest.raises(AccessRefusal):
        grant_refund(by=mallory, license_id=order.license, now=register.now)
    grant_refund(by=ada, license_id=order.license, now=register.now)
    register.run()
    order.refresh_from_db()
    assert order.state == Order.State.REFUNDED
    assert LicenseRow.objects.get().state == LicenseRow.State.REFUNDED
    assert register.balance(cleo).available == 1_000_000_000
    assert len(statements("license.refunded", order.license)) == 1
    register.check_books()


def test_a_price_that_is_not_held_any_more_is_not_given_back(register: Register, ada, cleo):
    order = register.buy_funded(cleo, register.publish(ada))
    with pytest.raises(OrderRefusal) as refused:
        request_refund(by=cleo, license_id=order.license, now=register.now)
    assert refused.value.code == "license.hold_over"


def test_a_license_is_disclosed_to_its_reader_until_it_is_revoked(register: Register, ada, cleo):
    order = register.buy_funded(cleo, register.publish(ada))
    _, token = disclose_license(by=cleo, license_id=order.license, reader="Dora, auditor", days=7, now=register.now)
    row, disclosure = disclosed_license(token, now=register.now)
    assert (row.pk, row.account, disclosure.reader) == (order.license, cleo.account, "Dora, auditor")
    with pytest.raises(AccessRefusal):
        disclosed_license(token + "x", now=register.now)


def test_another_recipient_gets_a_grant_of_its_own(register: Register, ada, cleo):
    order = register.buy_funded(cleo, register.publish(ada))
    other = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"
    add_recipient(by=cleo, license_id=order.license, recipient=other, now=register.now)
    register.run()
    assert {grant.recipient for grant in GrantRow.objects.filter(state="granted")} == {RECIPIENT, other}
    with pytest.raises(OrderRefusal):
        add_recipient(by=cleo, license_id=order.license, recipient="age1nonsense", now=register.now)


def test_a_reorg_takes_the_license_back_until_it_is_mined_again(register: Register, ada, cleo):
    """Fault 14."""
    listing = register.publish(ada)
    register.fund(cleo)
    order = register.buy(cleo, listing, run=False)
    register.sign()
    register.sign()
    register.follow()
    order.refresh_from_db()
    assert order.state == Order.State.MINED
    register.world.development.reorg(1)
    register.follow()
    order.refresh_from_db()
    assert (order.state, order.license) == (Order.State.PAYING, "")
    assert not LicenseRow.objects.exists()
    register.run()
    order.refresh_from_db()
    assert order.state == Order.State.FINAL, order.cause
    assert LicenseRow.objects.count() == 1
    register.check_books()


def test_a_stranger_who_copies_the_order_reference_pays_for_it_and_gets_nothing_of_ours(register: Register, ada):
    """The reference is public in the mempool; the payer is not the treasury, so the order is not carried out."""
    from marketplace.projections.events import custodial_order
    from provenance.models import ChainEvent

    listing = register.publish(ada, price=0)
    cleo = person("Cleo")
    order = register.buy(cleo, listing)
    event = ChainEvent.objects.get(name="LicensePurchased")
    assert custodial_order(event) == order
    event.args["payer"] = "0x" + "66" * 20
    assert custodial_order(event) is None
