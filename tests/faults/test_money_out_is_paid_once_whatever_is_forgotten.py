"""Withdrawals and collected income on a real chain, after a restored backup and against people who present them first.

A restored backup: what happens below a savepoint is rolled back here and stays on the chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import transaction

from marketplace import alarms, market_kinds
from marketplace.actions.money import (
    add_withdrawal_address,
    cancel_withdrawal,
    collect_income,
    draw_faucet,
    withdraw,
)
from marketplace.core.transfer import TokenTransfer, transfer_nonce
from marketplace.models import AccountAddress, TopUp, Withdrawal
from marketplace.queries.actors import Actor
from marketplace.queries.deployments import payment_token
from provenance import lanes
from provenance.core.lane import LaneRefusal
from provenance.core.typed_data import StructType, TypedData
from provenance.models import Intent, IntentState, Lane
from provenance.ports import Call
from tests.chain.conftest import ETHER
from tests.trade.conftest import cleo, mallory
from tests.trade.register import Register

__all__ = ["cleo", "mallory"]

pytestmark = pytest.mark.django_db
AWAY = "0x" + "5a" * 20
OTHERS_KEY = "lane/operator"
_CANCEL = StructType("CancelAuthorization(address authorizer,bytes32 nonce)")


class _Lost(Exception):
    """The end of what the backup does not have."""


@contextmanager
def forgotten() -> Iterator[None]:
    """Roll back whatever the database learned inside, and nothing else: a backup from before is put in its place."""
    try:
        with transaction.atomic():
            yield
            raise _Lost
    except _Lost:
        return


def person_with_address(register: Register, person: Actor, amount: int = 9_000_000) -> AccountAddress:
    register.fund(person, amount)
    row = add_withdrawal_address(by=proved(person), address=AWAY, now=register.now)
    register.world.development.advance(86_400)
    register.world.development.mine(2)
    register.run()
    return row


def proved(actor: Actor) -> Actor:
    return replace(actor, second_factor=True)


def resume(register: Register) -> None:
    """What `manage.py resume_lane relayer/0` does, after the lane has noticed."""
    register.sign()
    lane = Lane.objects.get(name="relayer/0")
    assert lane.paused.startswith("lane.foreign_nonce")
    lanes.adopt_chain_nonce(lane, register.world.chain, now=register.now)
    lane.refresh_from_db()
    assert lane.paused == ""


def send(register: Register, call: Call) -> None:
    """Anybody sends a call from a key of their own."""
    chain, ring = register.world.chain, register.ring
    sender, fees = ring.address(OTHERS_KEY), chain.fees()
    register.world.development.fund(sender, ETHER)
    assert call.to is not None
    chain.send_raw(ring.sign_transaction(OTHERS_KEY, {
        "chainId": chain.chain_id, "nonce": chain.nonce(sender), "to": bytes.fromhex(call.to[2:]), "value": 0,
        "data": call.data, "gas": 300_000, "maxFeePerGas": 2 * fees.base_fee + fees.priority_fee,
        "maxPriorityFeePerGas": fees.priority_fee,
    }).raw)  # fmt: skip


def only(register: Register, amount: int) -> None:
    """Exactly this much left for the address, and books and chain agree about it."""
    assert register.on_chain(AWAY) == amount
    register.check_books()


def test_a_withdrawal_that_left_after_the_backup_is_paid_once_and_known(register: Register, cleo: Actor) -> None:
    address = person_with_address(register, cleo)
    row = withdraw(by=proved(cleo), destination=address.pk, amount=4_000_000, now=register.now)
    with forgotten():
        register.run()
        only(register, 4_000_000)
    row.refresh_from_db()
    assert row.state == Withdrawal.State.WAITING
    register.work()
    resume(register)
    register.run()
    row.refresh_from_db()
    assert row.state == Withdrawal.State.FINAL, row.cause
    assert (register.balance(cleo).available, register.balance(cleo).held) == (5_000_000, 0)
    only(register, 4_000_000)


def test_a_withdrawal_whose_row_is_lost_is_booked_for_the_account_that_named_its_address(
    register: Register, cleo: Actor
) -> None:
    address = person_with_address(register, cleo)
    with forgotten():
        withdraw(by=proved(cleo), destination=address.pk, amount=4_000_000, now=register.now)
        register.run()
    assert register.balance(cleo).available == 9_000_000
    draw_faucet(by=cleo, now=register.now, amount=1_000_000)
    resume(register)
    register.run()
    row = Withdrawal.objects.get()
    assert (row.account, row.amount, row.state) == (cleo.account, 4_000_000, Withdrawal.State.FINAL)
    assert register.balance(cleo).available == 6_000_000
    only(register, 4_000_000)
    lanes.adopt_chain_nonce(Lane.objects.get(name="relayer/0"), register.world.chain, now=register.now)
    assert Withdrawal.objects.count() == 1
    only(register, 4_000_000)


def test_a_withdrawal_that_was_sent_and_is_canceled_after_the_restore_is_taken_all_the_same(
    register: Register, cleo: Actor
) -> None:
    address = person_with_address(register, cleo)
    row = withdraw(by=proved(cleo), destination=address.pk, amount=4_000_000, now=register.now)
    with forgotten():
        register.run()
    cancel_withdrawal(by=cleo, withdrawal=row.pk, now=register.now)
    assert register.balance(cleo).available == 9_000_000
    draw_faucet(by=cleo, now=register.now, amount=1_000_000)
    resume(register)
    register.run()
    row.refresh_from_db()
    assert row.state == Withdrawal.State.FINAL
    assert register.balance(cleo).available == 6_000_000
    only(register, 4_000_000)


def test_money_that_left_for_an_address_of_nobody_raises_an_alarm_and_books_nothing(
    register: Register, cleo: Actor
) -> None:
    register.fund(cleo, 9_000_000)
    with forgotten():
        address = person_with_address(register, cleo, amount=1_000_000)
        withdraw(by=proved(cleo), destination=address.pk, amount=4_000_000, now=register.now)
        register.run()
    draw_faucet(by=cleo, now=register.now, amount=1_000_000)
    resume(register)
    register.run()
    assert register.balance(cleo).available == 10_000_000
    (alarm,) = alarms.open_alarms("transfer.unexplained")
    assert AWAY in alarm.message
    assert not Withdrawal.objects.exists()


def test_a_lane_stays_paused_while_what_it_does_not_know_is_not_final(register: Register, cleo: Actor) -> None:
    register.fund(cleo, 1_000_000)
    with forgotten():
        draw_faucet(by=cleo, now=register.now, amount=1_000_000)
        register.sign()
    draw_faucet(by=cleo, now=register.now, amount=2_000_000)
    register.sign()
    lane = Lane.objects.get(name="relayer/0")
    with pytest.raises(LaneRefusal) as refused:
        lanes.adopt_chain_nonce(lane, register.world.chain, now=register.now)
    assert refused.value.code == "lane.not_final"
    lane.refresh_from_db()
    assert lane.paused.startswith("lane.foreign_nonce")
    register.world.development.mine(3)
    resume(register)
    register.run()
    assert register.balance(cleo).available == 3_000_000


def test_whoever_presents_the_authorization_before_the_relayer_is_paid_once(register: Register, cleo: Actor) -> None:
    address = person_with_address(register, cleo)
    row = withdraw(by=proved(cleo), destination=address.pk, amount=4_000_000, now=register.now)
    register.work()
    # Cleo sees the transaction in the pool and sends the same authorization from a wallet of hers, for more gas.
    intent = Intent.objects.get(key=f"withdrawal:{row.pk}")
    send(register, market_kinds.withdraw(intent.payload, register.ring, register.world.chain))
    register.sign()
    intent.refresh_from_db()
    assert intent.state == IntentState.FAILED
    row.refresh_from_db()
    assert row.state == Withdrawal.State.SENDING
    assert register.balance(cleo).held == 4_000_000, "nothing is given back before the chain has been asked"
    register.world.development.mine(3)
    register.run()
    row.refresh_from_db()
    assert (row.state, row.cause) == (Withdrawal.State.FINAL, "")
    assert (register.balance(cleo).available, register.balance(cleo).held) == (5_000_000, 0)
    only(register, 4_000_000)


def test_what_was_canceled_on_chain_is_given_back_although_its_nonce_is_used(register: Register, cleo: Actor) -> None:
    address = person_with_address(register, cleo)
    row = withdraw(by=proved(cleo), destination=address.pk, amount=4_000_000, now=register.now)
    register.work()
    treasury, nonce, token = register.ring.address("treasury"), transfer_nonce(row.pk), payment_token()
    domain = market_kinds.payment_domain(register.world.chain, token.caip)
    typed = TypedData(domain, _CANCEL, {"authorizer": treasury, "nonce": nonce})
    parts = market_kinds.split_signature(market_kinds._signed(register.ring, "treasury", typed))
    send(register, market_kinds._token(
        register.world.chain, token.caip, "cancelAuthorization", treasury, nonce, *parts
    ))  # fmt: skip
    assert register.world.chain.read("TestUSD", "authorizationState", treasury, nonce) is True
    register.run()
    row.refresh_from_db()
    assert row.state == Withdrawal.State.FAILED
    assert (register.balance(cleo).available, register.balance(cleo).held) == (9_000_000, 0)
    only(register, 0)


def test_what_was_never_sent_is_given_back_when_it_can_never_happen_and_not_before(
    register: Register, cleo: Actor
) -> None:
    address = person_with_address(register, cleo)
    row = withdraw(by=proved(cleo), destination=address.pk, amount=4_000_000, now=register.now)
    register.work()
    Intent.objects.filter(key=f"withdrawal:{row.pk}").update(valid_until=register.now - timedelta(seconds=1))
    register.run()
    row.refresh_from_db()
    assert row.state == Withdrawal.State.SENDING
    assert "asked of the chain" in row.cause
    assert register.balance(cleo).held == 4_000_000
    register.world.development.advance(86_400)
    register.world.development.mine(2)
    register.run()
    row.refresh_from_db()
    assert row.state == Withdrawal.State.FAILED
    assert "asked of the chain" not in row.cause
    assert (register.balance(cleo).available, register.balance(cleo).held) == (9_000_000, 0)
    only(register, 0)


def test_an_authorization_that_paid_something_else_is_left_to_a_person(register: Register, cleo: Actor) -> None:
    address = person_with_address(register, cleo)
    row = withdraw(by=proved(cleo), destination=address.pk, amount=4_000_000, now=register.now)
    register.work()
    over = int(register.now.timestamp()) + 1_000
    token, chain = payment_token().caip, register.world.chain
    other = TokenTransfer(row.pk, register.ring.address("treasury"), "0x" + "6b" * 20, 3_000_000, over)
    send(register, market_kinds._transfer(chain, register.ring, token, "treasury", other))
    register.run()
    row.refresh_from_db()
    assert row.state == Withdrawal.State.SENDING
    assert register.balance(cleo).held == 4_000_000
    assert [alarm.subject for alarm in alarms.open_alarms("transfer.contradicted")] == [str(row)]


def test_collected_income_is_booked_once_whether_its_row_was_lost_or_not(register: Register, cleo: Actor) -> None:
    register.fund(cleo, 1_000_000)
    owner = AccountAddress.objects.get(account=cleo.account, purpose=AccountAddress.Purpose.OWNER)
    chain = register.world.chain
    send(register, Call(chain.address("TestUSD"), chain.encode("TestUSD", "mint", owner.address, 8_000_000)))
    known = collect_income(by=cleo, amount=3_000_000, now=register.now)
    with forgotten():
        collect_income(by=cleo, amount=5_000_000, now=register.now)
        register.run()
        assert register.balance(cleo).available == 9_000_000
    assert register.balance(cleo).available == 1_000_000
    resume(register)
    register.run()
    known.refresh_from_db()
    assert known.state == TopUp.State.FINAL, known.cause
    assert register.balance(cleo).available == 9_000_000
    register.check_books()


def test_a_faucet_draw_that_left_after_the_backup_is_booked_once(register: Register, cleo: Actor) -> None:
    register.fund(cleo, 1_000_000)
    row = draw_faucet(by=cleo, now=register.now, amount=5_000_000)
    with forgotten():
        register.run()
    resume(register)
    register.run()
    row.refresh_from_db()
    assert row.state == TopUp.State.FINAL
    assert register.balance(cleo).available == 6_000_000
    # Play money names nobody: it is made a second time, and lies in the treasury beside what the books say.
    assert register.on_chain("treasury") == 11_000_000
