"""From play money to a payout through the pages alone, while signer, chain and follower do their work behind them."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from marketplace.models import LicenseRow, Order
from marketplace.queries.actors import Actor
from marketplace.settling.closing import close_due
from provenance.models import DatasetRecord
from tests.trade.register import RECIPIENT, Register, terms

pytestmark = pytest.mark.django_db


def signed_in(actor: Actor) -> Client:
    client = Client()
    client.force_login(actor.membership.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def text_of(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_a_sale_its_use_and_its_payout_through_the_pages(register: Register, ada: Actor, cleo: Actor):
    listing = register.publish(ada, with_terms=terms())
    buyer, owner = signed_in(cleo), signed_in(ada)
    buyer.post("/balance/faucet")
    register.run()
    assert "1,000.00 TUSD" in text_of(buyer.get("/balance"))

    buyer.post(f"/checkout/{listing.offer_id}", {"order_key": "first", "recipient": RECIPIENT})
    order = Order.objects.get()
    assert "Your payment is under way" in text_of(buyer.get(f"/orders/{order.pk}"))
    register.run()
    assert "Paid. Your license is valid. Everything is ready." in text_of(buyer.get(f"/orders/{order.pk}"))
    row = LicenseRow.objects.get()
    license_id = f"{row.chain}-{row.market[2:]}-{row.number}"
    assert row.tx in text_of(buyer.get(f"/licenses/{license_id}/certificate"))
    assert "This license is valid" in text_of(Client().get(f"/l/{license_id}"))
    assert "Licenses sold" in text_of(owner.get("/earnings"))

    register.world.development.advance(61)
    register.world.development.mine(3)
    register.follow()
    assert close_due(register.token, now=register.now) is not None
    register.run()
    waiting = text_of(owner.get("/earnings"))
    assert "unless somebody objects" in waiting or "paid" in waiting
    register.world.development.advance(10)
    register.world.development.mine(2)
    register.follow()
    register.run()
    register.run()
    shown = text_of(owner.get("/earnings"))
    assert "Paid out to you 234.00 TUSD" in shown
    page = owner.get(
        "/earnings/payouts/" + re.search(r"/earnings/payouts/(\d+)", owner.get("/earnings").content.decode())[1]
    )
    assert "You own it; this is what is left after the others." in text_of(page)
    assert row.tx.encode() in page.content


def test_a_new_price_and_shares_reach_the_chain(register: Register, ada: Actor, cleo: Actor):
    listing = register.publish(ada)
    owner = signed_in(ada)
    slug = re.sub(r"eip155:(\d+)/erc721:0x([0-9a-f]+)/(\d+)", r"\1-\2-\3", listing.pk)
    owner.post(f"/d/{slug}/manage/offer", {"preset": "train-commercial", "price": "12.00"})
    register.run()
    listing.refresh_from_db()
    assert listing.offer.price == 12_000_000
    owner.post(f"/d/{slug}/manage/shares", {"email": "cleo@example.org", "role": "labels", "percent": "25"})
    register.run()
    assert "Your changes are not in force yet" in text_of(owner.get(f"/d/{slug}/manage"))
    owner.post(f"/d/{slug}/manage/shares/apply")
    register.run()
    assert DatasetRecord.objects.get().splits
    assert "Your changes are not in force yet" not in text_of(owner.get(f"/d/{slug}/manage"))
