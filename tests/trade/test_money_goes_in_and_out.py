"""Faucet, withdrawals, and people who take over their keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pyrage
import pytest
from eth_account import Account as EthAccount

from marketplace.actions.accounts import AccountRefusal
from marketplace.actions.custody import (
    cancel_key_export,
    connect_wallet,
    hand_over_dataset,
    request_key_export,
    seal_key_exports,
    wallet_link,
)
from marketplace.actions.money import (
    MoneyRefusal,
    add_withdrawal_address,
    advance_withdrawals,
    cancel_withdrawal,
    draw_faucet,
    withdraw,
)
from marketplace.core.journal import JournalRefusal
from marketplace.limits import LimitRefusal
from marketplace.models import AccountAddress, Handover, KeyExport, Listing, TopUp, Withdrawal
from marketplace.queries.actors import AccessRefusal, Actor
from provenance.core.typed_data import TypedDataRefusal
from provenance.models import DatasetRecord
from tests.trade.register import Register

pytestmark = pytest.mark.django_db
AWAY = "0x" + "5a" * 20


def proved(actor: Actor) -> Actor:
    """The same person after a second factor."""
    return replace(actor, second_factor=True)


def wallet():
    return EthAccount.from_key("0x" + "42" * 32)


def link(register: Register, actor: Actor, key=None, account: Actor | None = None) -> AccountAddress:
    key = key or wallet()
    deadline = int(register.now.timestamp()) + 600
    typed = wallet_link(by=account or actor, address=key.address.lower(), deadline=deadline).to_json()
    for member in typed["types"]["WalletLink"]:  # type: ignore[index]
        if member["type"].startswith("uint"):
            typed["message"][member["name"]] = int(typed["message"][member["name"]])  # type: ignore[index]
    signature = key.sign_typed_data(full_message=typed).signature.hex()
    return connect_wallet(
        by=actor,
        address=key.address,
        deadline=deadline,
        signature="0x" + signature.removeprefix("0x"),
        now=register.now,
    )


def test_the_faucet_books_play_money_when_it_is_final(register: Register, cleo):
    top_up = draw_faucet(by=cleo, now=register.now, amount=5_000_000)
    assert register.balance(cleo).available == 0
    register.run()
    top_up.refresh_from_db()
    assert top_up.state == TopUp.State.FINAL, top_up.cause
    assert register.balance(cleo).available == 5_000_000
    register.check_books()


def test_the_faucet_has_limits_and_none_on_a_live_network(register: Register, cleo, settings):
    with pytest.raises(MoneyRefusal) as refused:
        draw_faucet(by=cleo, now=register.now, amount=settings.CADASTRE_FAUCET_AMOUNT + 1)
    assert refused.value.limit == settings.CADASTRE_FAUCET_AMOUNT
    for _ in range(5):
        draw_faucet(by=cleo, now=register.now, amount=1)
    with pytest.raises(LimitRefusal):
        draw_faucet(by=cleo, now=register.now, amount=1)
    settings.CADASTRE_NETWORK = "live"
    with pytest.raises(MoneyRefusal):
        draw_faucet(by=cleo, now=register.now + timedelta(days=1), amount=1)


def test_a_withdrawal_waits_for_its_new_address_and_arrives_once(register: Register, cleo):
    register.fund(cleo, 9_000_000)
    address = add_withdrawal_address(by=proved(cleo), address=AWAY, now=register.now)
    row = withdraw(by=proved(cleo), destination=address.pk, amount=4_000_000, now=register.now)
    assert register.balance(cleo).held == 4_000_000
    assert advance_withdrawals(now=register.now) == 0, "the address is new"
    register.world.development.advance(86_400)
    register.world.development.mine(2)
    register.run()
    row.refresh_from_db()
    assert row.state == Withdrawal.State.FINAL, row.cause
    assert register.on_chain(AWAY) == 4_000_000
    assert (register.balance(cleo).available, register.balance(cleo).held) == (5_000_000, 0)
    assert advance_withdrawals(now=register.now) == 0
    register.check_books()


def test_a_withdrawal_can_be_cancelled_while_it_waits(register: Register, cleo, mallory):
    register.fund(cleo, 9_000_000)
    address = add_withdrawal_address(by=proved(cleo), address=AWAY, now=register.now)
    row = withdraw(by=proved(cleo), destination=address.pk, amount=4_000_000, now=register.now)
    with pytest.raises(AccessRefusal):
        cancel_withdrawal(by=mallory, withdrawal=row.pk, now=register.now)
    cancel_withdrawal(by=cleo, withdrawal=row.pk, now=register.now)
    assert register.balance(cleo).available == 9_000_000
    with pytest.raises(MoneyRefusal):
        cancel_withdrawal(by=cleo, withdrawal=row.pk, now=register.now)


def test_money_out_needs_a_second_factor_an_own_address_and_a_balance(register: Register, cleo, mallory):
    with pytest.raises(AccessRefusal) as refused:
        add_withdrawal_address(by=cleo, address=AWAY, now=register.now)
    assert refused.value.code == "access.second_factor"
    with pytest.raises(MoneyRefusal):
        add_withdrawal_address(by=proved(cleo), address="0x123", now=register.now)
    address = add_withdrawal_address(by=proved(cleo), address=AWAY, now=register.now)
    with pytest.raises(AccessRefusal):
        withdraw(by=proved(mallory), destination=address.pk, amount=1, now=register.now)
    with pytest.raises(JournalRefusal):
        withdraw(by=proved(cleo), destination=address.pk, amount=1, now=register.now)
    assert not Withdrawal.objects.exists()


def test_a_wallet_is_connected_by_its_own_signature_only(register: Register, ada, mallory):
    row = link(register, ada)
    assert (row.key_path, row.state) == ("wallet", "ready")
    with pytest.raises(AccountRefusal):
        link(register, mallory)
    stranger = EthAccount.from_key("0x" + "43" * 32)
    with pytest.raises(TypedDataRefusal):
        # Signed for Ada's account, presented for Mallory's.
        link(register, mallory, key=stranger, account=ada)


def test_a_dataset_is_handed_over_to_the_own_wallet(register: Register, ada):
    listing = register.publish(ada)
    with pytest.raises(AccountRefusal, match="Connect"):
        hand_over_dataset(by=proved(ada), dataset=listing.pk, address=wallet().address, now=register.now)
    link(register, ada)
    hand_over_dataset(by=proved(ada), dataset=listing.pk, address=wallet().address, now=register.now)
    register.run()
    assert Handover.objects.get().state == Handover.State.FINAL
    assert DatasetRecord.objects.get().owner == wallet().address.lower()
    listing.refresh_from_db()
    assert listing.account == ada.account, "the account is the same"
    assert listing.state == Listing.State.LISTED


def test_a_key_is_exported_after_the_delay_to_the_recipient_alone(register: Register, ada):
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    with pytest.raises(AccessRefusal):
        request_key_export(by=ada, recipient=recipient, now=register.now)
    export = request_key_export(by=proved(ada), recipient=recipient, now=register.now)
    with pytest.raises(AccountRefusal, match="waiting"):
        request_key_export(by=proved(ada), recipient=recipient, now=register.now)
    assert seal_key_exports(ring=register.ring, now=register.now) == 0
    assert seal_key_exports(ring=register.ring, now=register.now + timedelta(days=1)) == 1
    assert seal_key_exports(ring=register.ring, now=register.now + timedelta(days=1)) == 0
    export.refresh_from_db()
    key = pyrage.decrypt(bytes(export.sealed_key), [identity]).decode()
    assert EthAccount.from_key(key).address.lower() == register.owner_address(ada)


def test_an_export_can_be_stopped(register: Register, ada):
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    export = request_key_export(by=proved(ada), recipient=recipient, now=register.now)
    cancel_key_export(by=ada, export=export.pk)
    assert seal_key_exports(ring=register.ring, now=register.now + timedelta(days=2)) == 0
    assert KeyExport.objects.get().sealed_key is None
