"""A wallet in Chromium, with a real key behind it, signs what pages ask, and a real chain takes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from eth_account.signers.local import LocalAccount
from playwright.sync_api import Browser

from marketplace.models import LicenseRow, Listing, Order
from marketplace.queries.actors import Actor
from provenance.models import DatasetRecord
from tests.journey.visitor import Visitor
from tests.trade.register import RECIPIENT, Register
from tests.trade.test_a_draft_becomes_a_listing import Workshop, priced
from tests.trade.wallets import STRANGER, WALLET, address, fund, signed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
PROVIDER = Path(__file__).with_name("wallet.js").read_text()
PRICE = 240_000_000


@dataclass
class Extension:
    """What stands behind the wallet's window: which account it shows, and what it was asked to sign."""

    key: LocalAccount
    chain: int

    def sign(self, account: str, text: str) -> str:
        typed = json.loads(text)
        assert int(typed["domain"]["chainId"]) == self.chain
        assert account == address(self.key)
        return signed(typed, self.key)


@pytest.fixture(autouse=True)
def by_the_clock(register: Register) -> None:
    """Pages are judged by the clock on the wall, the chain has its own: let both say about the same."""
    behind = int(timezone.now().timestamp() - register.now.timestamp())
    if behind > 0:
        register.world.development.advance(behind)


@pytest.fixture
def enter(chromium: Browser, live_server, axe_source: str, register: Register) -> Iterator[Callable[..., Visitor]]:
    """Let somebody in who is signed in, with a wallet in the browser or without."""
    visitors: list[Visitor] = []

    def come(actor: Actor, wallet: LocalAccount | None) -> Visitor:
        context = chromium.new_context(reduced_motion="reduce", locale="en-US", timezone_id="UTC")
        if wallet is not None:
            extension = Extension(wallet, register.deployment.chain_id)
            context.expose_function("walletAddress", lambda: extension.key.address)
            context.expose_function("walletChain", lambda: hex(extension.chain))
            context.expose_function("walletSign", extension.sign)
            context.add_init_script(PROVIDER)
        client = Client()
        client.force_login(actor.membership.user, backend="allauth.account.auth_backends.AuthenticationBackend")
        cookie = client.cookies["cadastre_session"].value
        context.add_cookies([{"name": "cadastre_session", "value": cookie, "url": live_server.url}])
        visitors.append(Visitor(context, live_server.url, axe_source))
        return visitors[-1]

    yield come
    wrong = [each for visitor in visitors for each in visitor.wrong]
    for visitor in visitors:
        visitor.context.close()
    assert wrong == []


def connects(visitor: Visitor) -> None:
    visitor.goes("/settings/key")
    visitor.presses("Connect a wallet")
    visitor.reads("Connected")


def test_a_license_is_paid_by_the_wallet_in_the_browser(register: Register, ada, cleo, enter):
    listing = register.publish(ada)
    fund(register, PRICE)
    visitor = enter(cleo, WALLET)
    connects(visitor)
    visitor.goes(f"/checkout/{listing.offer_id}")
    visitor.reads("everybody can see on the chain")
    visitor.page.get_by_label("Pay from").select_option(address())
    visitor.fills(recipient=RECIPIENT)
    visitor.presses("Pay 240.00 TUSD")
    order = Order.objects.get()
    assert (order.payer, order.licensee, order.state) == (address(), address(), Order.State.SIGNING)
    register.run()

    stranger = enter(cleo, STRANGER)
    stranger.goes(f"/orders/{order.pk}")
    stranger.touches("Sign with your wallet")
    stranger.reads(f"Choose this account in your wallet: {address()}")
    bare = enter(cleo, None)
    bare.goes(f"/orders/{order.pk}")
    bare.touches("Sign with your wallet")
    bare.reads("This browser has no wallet.")
    order.refresh_from_db()
    assert order.state == Order.State.SIGNING

    visitor.goes(f"/orders/{order.pk}")
    visitor.reads("Everybody can see on the chain")
    visitor.presses("Sign with your wallet")
    register.run()
    register.run()
    visitor.goes(f"/orders/{order.pk}")
    visitor.reads("Paid. Your license is valid. Everything is ready.")
    assert (LicenseRow.objects.get().payer, register.on_chain(address())) == (address(), 0)


def test_a_dataset_is_published_and_offered_by_the_wallet_in_the_browser(shop: Workshop, ada, enter):
    register = shop.register
    register.sign()
    visitor = enter(ada, WALLET)
    connects(visitor)
    draft = priced(shop, ada, shop.fill(ada, shop.open(ada)))
    visitor.goes(f"/publish/{draft.pk}/review")
    visitor.reads("Your wallet will own it")
    visitor.presses("Sign with your wallet and publish this")
    shop.publish(draft)
    assert DatasetRecord.objects.get().owner == address()
    listing = Listing.objects.get()
    visitor.goes("/settings/key")
    visitor.reads("Your own wallet has to sign.")
    visitor.presses("Sign with your wallet")
    register.run()
    listing.refresh_from_db()
    assert listing.offer is not None
    visitor.page.reload()
    visitor.reads("For sale at 5.00 TUSD.")
