"""Key or money, never both: a refund of an undelivered license stops its delivery, and one that fails lets it go on."""

from __future__ import annotations

import pyrage
import pytest

from marketplace.actions.licenses import add_recipient, grant_refund, request_refund, retry_delivery
from marketplace.actions.orders import OrderRefusal, place_order
from marketplace.models import LicenseRow, Order
from marketplace.queries.actors import Actor
from marketplace.queries.orders import delivery_of
from provenance.models import GrantRow, GrantState, Intent, IntentState
from tests.trade.register import Register

pytestmark = pytest.mark.django_db
# Every character is one of bech32's, and the checksum is wrong: the signer refuses it for good.
SPOILED = "age1" + "q" * 58


def mine() -> str:
    return str(pyrage.x25519.Identity.generate().to_public())


def undelivered(register: Register, seller: Actor, buyer: Actor) -> LicenseRow:
    """A final license, still held, whose key could not be granted because its recipient is none."""
    listing = register.publish(seller, hold_seconds=7_200)
    register.fund(buyer)
    place_order(by=buyer, key="k", recipient=SPOILED, offer=str(listing.offer_id), now=register.now)
    register.run()
    row = LicenseRow.objects.get()
    assert (row.final, delivery_of(row).state) == (True, "refused")
    return row


def test_who_asks_for_the_price_back_cannot_have_the_key_meanwhile(register: Register, ada, mallory):
    row = undelivered(register, ada, mallory)
    request_refund(by=mallory, license_id=row.pk, now=register.now)
    with pytest.raises(OrderRefusal) as refused:
        add_recipient(by=mallory, license_id=row.pk, recipient=mine(), now=register.now)
    assert refused.value.code == "license.refund_under_way"
    assert retry_delivery(by=mallory, license_id=row.pk, now=register.now) == 0
    register.run()
    assert Order.objects.get().state == Order.State.REFUNDED
    assert not GrantRow.objects.filter(state=GrantState.GRANTED).exists()
    register.check_books()


def test_a_grant_that_waits_is_taken_back_by_the_refund(register: Register, ada, mallory):
    row = undelivered(register, ada, mallory)
    add_recipient(by=mallory, license_id=row.pk, recipient=mine(), now=register.now)
    request_refund(by=mallory, license_id=row.pk, now=register.now)
    register.run()
    assert Order.objects.get().state == Order.State.REFUNDED
    assert set(GrantRow.objects.values_list("state", flat=True)) == {GrantState.REFUSED}


def test_once_the_key_is_granted_the_seller_decides(register: Register, ada, mallory):
    row = undelivered(register, ada, mallory)
    add_recipient(by=mallory, license_id=row.pk, recipient=mine(), now=register.now)
    register.run()
    request_refund(by=mallory, license_id=row.pk, now=register.now)
    register.run()
    assert Order.objects.get().state == Order.State.FINAL
    grant_refund(by=ada, license_id=row.pk, now=register.now)
    with pytest.raises(OrderRefusal):
        add_recipient(by=mallory, license_id=row.pk, recipient=mine(), now=register.now)


def test_a_refund_that_the_contract_refused_leaves_the_license_and_its_key(register: Register, ada, cleo):
    row = undelivered(register, ada, cleo)
    request_refund(by=cleo, license_id=row.pk, now=register.now)
    Intent.objects.filter(kind="market.refund").update(state=IntentState.FAILED, cause="The hold is over.")
    add_recipient(by=cleo, license_id=row.pk, recipient=mine(), now=register.now)
    register.run()
    assert delivery_of(row).state == "granted"
    assert Order.objects.get().state == Order.State.FINAL
