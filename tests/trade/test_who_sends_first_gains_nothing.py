"""Whoever sees an authorization that waits to be mined can send it first: it happened then, and nothing comes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from marketplace.actions.money import add_withdrawal_address, withdraw
from marketplace.actions.usage import report_usage
from marketplace.models import LicenseRow, Order, VoucherRow, Withdrawal
from marketplace.queries.actors import Actor
from provenance.models import Intent, IntentState
from tests.trade.register import Register
from tests.trade.stranger import Stranger
from tests.trade.test_use_is_reported_and_charged import licensed, used

pytestmark = pytest.mark.django_db
DAY = 86_400


@pytest.fixture
def stranger(register: Register) -> Stranger:
    return Stranger(register)


def waiting(register: Register, kind: str) -> Intent:
    """Work until the newest transaction of a kind waits to be mined; from now on nothing is mined by itself."""
    register.world.development.set_automine(on=False)
    for _ in range(10):
        register.work()
        register.sign()
        intent = Intent.objects.filter(kind=kind).order_by("-created_at").first()
        if intent is not None and intent.state == IntentState.BROADCAST:
            return intent
    raise AssertionError(f"No {kind} was sent.")


def mined(register: Register) -> None:
    register.world.development.mine(1)
    register.world.development.set_automine(on=True)
    register.run()


def wanting(register: Register, actor: Actor, address: str, amount: int) -> Withdrawal:
    """A withdrawal whose address is not new any more."""
    proved = replace(actor, second_factor=True)
    row = add_withdrawal_address(by=proved, address=address, now=register.now - timedelta(days=1))
    return withdraw(by=proved, destination=row.pk, amount=amount, now=register.now)


def test_a_withdrawal_that_its_receiver_sends_first_is_paid_once(register: Register, mallory: Actor, stranger):
    register.fund(mallory, 9_000_000)
    row = wanting(register, mallory, stranger.address, 4_000_000)
    intent = waiting(register, "token.withdraw")
    stranger.send_before(intent)
    mined(register)
    intent.refresh_from_db()
    row.refresh_from_db()
    assert (intent.state, register.on_chain(stranger.address)) == (IntentState.FAILED, 4_000_000)
    assert row.state == Withdrawal.State.FINAL
    assert (register.balance(mallory).available, register.balance(mallory).held) == (5_000_000, 0)
    register.check_books()


def test_a_withdrawal_that_reverted_stays_held_until_nobody_can_send_it_any_more(register: Register, mallory, stranger):
    register.fund(mallory, 9_000_000)
    row = wanting(register, mallory, stranger.address, 4_000_000)
    intent = waiting(register, "token.withdraw")
    Intent.objects.filter(pk=intent.pk).update(state=IntentState.FAILED, code="lane.reverted", cause="It reverted.")
    register.world.development.drop(intent.transactions.get().hash)
    mined(register)
    row.refresh_from_db()
    assert (row.state, register.balance(mallory).held) == (Withdrawal.State.SENDING, 4_000_000)
    register.world.development.advance(DAY)
    register.world.development.mine(3)
    register.run()
    row.refresh_from_db()
    assert (row.state, row.cause) == (Withdrawal.State.FAILED, "It reverted.")
    assert (register.balance(mallory).available, register.on_chain(stranger.address)) == (9_000_000, 0)
    register.check_books()


def test_a_purchase_that_somebody_else_sends_first_is_the_buyers_license(register: Register, ada, cleo, stranger):
    listing = register.publish(ada)
    register.fund(cleo)
    order = register.buy(cleo, listing, run=False)
    intent = waiting(register, "market.purchase")
    stranger.send_before(intent)
    register.world.development.mine(3)
    register.world.development.set_automine(on=True)
    # The signer sees that its own transaction reverted before the follower sees what happened.
    for _ in range(3):
        register.sign()
        register.work()
    intent.refresh_from_db()
    order.refresh_from_db()
    assert (intent.state, order.state) == (IntentState.FAILED, Order.State.PAYING)
    assert register.balance(cleo).held == order.total
    register.run()
    order.refresh_from_db()
    assert (order.state, LicenseRow.objects.get().order_id) == (Order.State.FINAL, order.pk)
    register.check_books()


def test_a_purchase_that_can_never_happen_gives_everything_back_when_its_time_is_over(register: Register, ada, cleo):
    listing = register.publish(ada)
    register.fund(cleo)
    order = register.buy(cleo, listing, run=False)
    intent = waiting(register, "market.purchase")
    register.world.development.drop(intent.transactions.get().hash)
    Intent.objects.filter(pk=intent.pk).update(state=IntentState.FAILED, code="lane.reverted", cause="It reverted.")
    mined(register)
    order.refresh_from_db()
    assert (order.state, register.balance(cleo).held) == (Order.State.PAYING, order.total)
    register.world.development.advance(1_801)
    register.world.development.mine(3)
    register.follow()
    register.run()
    order.refresh_from_db()
    assert (order.state, order.cause, register.balance(cleo).held) == (Order.State.FAILED, "It reverted.", 0)
    register.check_books()


def test_a_deposit_that_somebody_else_sends_first_is_booked_for_its_licensee_once(register, ada, cleo, stranger):
    license_id = licensed(register, ada, cleo)
    before = register.balance(cleo).available
    report_usage(by=cleo, license_id=license_id, key="r1", used=used(register), now=register.now)
    intent = waiting(register, "market.deposit")
    stranger.send_before(intent)
    mined(register)
    intent.refresh_from_db()
    voucher = VoucherRow.objects.get()
    assert (intent.state, voucher.state) == (IntentState.FAILED, VoucherRow.State.CHARGED)
    assert (before - register.balance(cleo).available, register.balance(cleo).held) == (8_000_000, 0)
    register.check_books()
