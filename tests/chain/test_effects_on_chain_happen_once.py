"""Lanes and outbox: whatever crashes, repeats or vanishes, an intent has its effect once or never, and says which."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, connections
from pytest_django import Settings

from provenance import hooks, lanes, outbox
from provenance.adapters.keystore import SeedKeyRing
from provenance.core.lane import Fee, bumped
from provenance.models import Intent, IntentState, IntentTransaction, Lane, RelayBudget
from provenance.outbox import OutboxRefusal
from provenance.ports import Call, CallRefused, Chain, ChainDown, KeyRing
from tests.chain.conftest import Mint, World

pytestmark = pytest.mark.django_db
ADA = UUID("5f9c0d1e-3c52-4a55-9d49-5d8d3a9b1c11")


class _Killed(BaseException):
    """The process ends here."""


class _Watched:
    """Passes calls on to a chain or a key ring; `interfere(name, when)` is called before and after each."""

    def __init__(self, inner: Any, interfere: Callable[[str, str], None]) -> None:
        self._inner, self._interfere = inner, interfere

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._inner, name)
        if not callable(member):
            return member

        def passed_on(*args: Any, **options: Any) -> Any:
            self._interfere(name, "before")
            result = member(*args, **options)
            self._interfere(name, "after")
            return result

        return passed_on


def _killer(at: int) -> Callable[[str, str], None]:
    seen = 0

    def interfere(_name: str, _when: str) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            raise _Killed

    return interfere


def _state(number: int) -> str:
    return Intent.objects.get(key=f"mint:{number}").state


def test_an_intent_is_carried_out_and_becomes_final(mint: Mint, world: World, now: datetime) -> None:
    states: list[str] = []
    receiver = hooks.on_intent(lambda intent: states.append(intent.state))
    try:
        intent = mint.want(1, now)
        mint.work(now)
        assert mint.minted == 1
        assert _state(1) == IntentState.MINED
        world.development.mine(3)
        mint.work(now)
    finally:
        hooks._on_intent.remove(receiver)
    intent.refresh_from_db()
    assert intent.state == IntentState.FINAL
    assert states == ["broadcast", "mined", "final"]
    receipt = world.chain.receipt(intent.tx)
    assert receipt is not None
    assert (receipt.block_hash, receipt.gas_used) == (intent.block_hash, intent.gas_used)
    assert mint.work(now) == 0


def test_wanting_the_same_twice_is_wanting_it_once(mint: Mint, now: datetime) -> None:
    assert mint.want(1, now) == mint.want(1, now)
    mint.work(now)
    mint.want(1, now)
    mint.work(now)
    assert mint.minted == 1
    with pytest.raises(OutboxRefusal) as refused:
        mint.want(1, now, amount=2)
    assert refused.value.code == "outbox.key_reused"
    with pytest.raises(OutboxRefusal) as refused:
        mint.want(2, now, kind="test.steal")
    assert refused.value.code == "outbox.kind"


def test_a_signer_killed_at_any_call_never_acts_twice(
    mint: Mint, world: World, ring: SeedKeyRing, now: datetime
) -> None:
    kills = 0
    for at in range(1, 400):
        mint.want(at, now)
        interfere = _killer(at)
        try:
            mint.work(now, chain=_Watched(world.chain, interfere), ring=_Watched(ring, interfere))
        except _Killed:
            kills += 1
        mint.work(now)
        assert mint.minted == at, f"killed at call {at}"
        if kills < at:
            break
    assert kills > 40
    assert IntentTransaction.objects.count() == kills + 1


def test_a_signer_killed_at_any_query_never_acts_twice(mint: Mint, now: datetime) -> None:
    kills = 0
    for at in range(1, 400):
        mint.want(at, now)
        seen = 0

        def execute(run: Callable[..., Any], *arguments: Any, at: int = at) -> Any:
            nonlocal seen
            seen += 1
            if seen == at:
                raise _Killed
            return run(*arguments)

        try:
            with connection.execute_wrapper(execute):
                mint.work(now)
        except _Killed:
            kills += 1
        mint.work(now)
        assert mint.minted == at, f"killed at query {at}"
        if kills < at:
            break
    assert kills > 20
    nonces = list(Intent.objects.order_by("nonce").values_list("nonce", flat=True))
    assert nonces == list(range(nonces[0], nonces[0] + kills + 1))


@pytest.mark.django_db(transaction=True)
def test_two_signers_at_once_share_a_lane_without_a_second_effect(mint: Mint, now: datetime) -> None:
    for number in range(12):
        mint.want(number, now)
    mint.work(now - timedelta(days=1))  # the lane's row exists
    barrier = threading.Barrier(3)
    failures: list[BaseException] = []

    def sign() -> None:
        barrier.wait()
        try:
            for _ in range(6):
                mint.work(now)
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sign) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mint.work(now)
    assert failures == []
    assert mint.minted == 12
    nonces = sorted(Intent.objects.values_list("nonce", flat=True))
    assert nonces == list(range(nonces[0], nonces[0] + 12))
    assert IntentTransaction.objects.count() == 12


def _accept_nothing(_payload: Mapping[str, object], _ring: KeyRing, chain: Chain) -> Call:
    """A call that the Market refuses: nothing is proposed."""
    return Call(chain.address("Market"), chain.encode("Market", "accept", chain.address("TestUSD"), 9))


def test_a_refused_intent_takes_no_nonce_and_says_what_the_contract_said(mint: Mint, now: datetime) -> None:
    outbox.register("test.refused", _accept_nothing)
    refused = mint.want(1, now, kind="test.refused")
    mint.want(2, now + timedelta(seconds=1))
    mint.work(now + timedelta(seconds=2))
    refused.refresh_from_db()
    assert (refused.state, refused.nonce) == (IntentState.FAILED, None)
    assert refused.code.startswith("chain.Payouts")
    assert "Payouts" in refused.cause
    assert _state(2) == IntentState.MINED
    assert Lane.objects.get().next_nonce == Intent.objects.get(key="mint:2").nonce + 1


def test_a_refusal_that_passes_by_itself_is_tried_again_until_its_time_is_over(
    mint: Mint, world: World, now: datetime
) -> None:
    calls: list[int] = []

    def builder(payload: Mapping[str, object], ring: KeyRing, chain: Chain) -> Call:
        calls.append(1)
        return _accept_nothing(payload, ring, chain)

    with pytest.raises(CallRefused) as refused:
        world.chain.read("Market", "accept", world.deployed.token, 9)
    outbox.register("test.waits", builder, retry_on={refused.value.code.removeprefix("chain.")})
    intent = mint.want(1, now, kind="test.waits", lives=timedelta(seconds=30))
    mint.work(now)
    mint.work(now)
    intent.refresh_from_db()
    assert (intent.state, len(calls)) == (IntentState.WANTED, 1)
    assert intent.not_before is not None
    mint.work(intent.not_before)
    assert len(calls) == 2
    mint.work(now + timedelta(seconds=31))
    intent.refresh_from_db()
    assert (intent.state, intent.nonce) == (IntentState.EXPIRED, None)
    assert "Payouts" in intent.cause


def test_what_is_refused_while_something_waits_is_asked_again_after_it(mint: Mint, world: World, now: datetime) -> None:
    world.development.set_automine(on=False)
    mint.want(1, now)
    mint.work(now)

    def spend(_payload: Mapping[str, object], _ring: KeyRing, chain: Chain) -> Call:
        return Call(chain.address("TestUSD"), chain.encode("TestUSD", "transferFrom", mint.receiver, mint.receiver, 5))

    outbox.register("test.spend", spend)
    mint.want(2, now, kind="test.spend")
    mint.work(now)
    assert _state(2) == IntentState.WANTED
    world.development.mine()
    mint.work(now + timedelta(seconds=3))
    assert _state(2) == IntentState.FAILED


def test_a_transaction_that_waits_too_long_is_replaced_for_ten_percent_more(
    mint: Mint, world: World, now: datetime
) -> None:
    world.development.set_automine(on=False)
    mint.want(1, now)
    mint.work(now)
    mint.work(now + timedelta(seconds=59))
    assert IntentTransaction.objects.count() == 1
    mint.work(now + timedelta(seconds=61))
    first, second = IntentTransaction.objects.order_by("pk")
    assert first.nonce == second.nonce
    least = bumped(Fee(int(first.max_fee), int(first.priority_fee)), Fee(0, 0))
    assert second.max_fee >= least.max_fee
    assert second.priority_fee >= least.priority_fee
    assert world.chain.known(second.hash)
    world.development.mine()
    mint.work(now + timedelta(seconds=62))
    assert mint.minted == 1
    assert Intent.objects.get().tx in {first.hash, second.hash}


def test_an_intent_whose_time_is_over_gives_its_nonce_to_an_empty_transfer(
    mint: Mint, world: World, now: datetime
) -> None:
    world.development.set_automine(on=False)
    mint.want(1, now, lives=timedelta(seconds=30))
    mint.want(2, now)
    mint.work(now)
    mint.work(now + timedelta(seconds=31))
    world.development.mine()
    mint.work(now + timedelta(seconds=32))
    world.development.mine(3)
    mint.work(now + timedelta(seconds=33))
    expired = Intent.objects.get(key="mint:1")
    assert mint.minted == 1
    assert (expired.state, expired.code) == (IntentState.EXPIRED, "lane.filled")
    assert _state(2) == IntentState.FINAL


def test_dropped_bytes_are_sent_again_as_they_are(mint: Mint, world: World, now: datetime) -> None:
    world.development.set_automine(on=False)
    mint.want(1, now)
    mint.work(now)
    tx = IntentTransaction.objects.get().hash
    world.development.drop(tx)
    assert not world.chain.known(tx)
    mint.work(now)
    assert world.chain.known(tx)
    world.development.mine()
    assert mint.minted == 1
    assert IntentTransaction.objects.count() == 1


def test_a_chain_that_comes_back_behind_the_database_gets_the_same_bytes_in_order(
    mint: Mint, world: World, now: datetime
) -> None:
    snapshot = world.development.snapshot()
    for number in range(4):
        mint.want(number, now)
    mint.work(now)
    world.development.mine(3)
    mint.work(now)
    assert {_state(number) for number in range(4)} == {IntentState.FINAL}
    stored = set(IntentTransaction.objects.values_list("hash", flat=True))
    world.development.restore(snapshot)
    assert mint.minted == 0
    mint.work(now)
    assert mint.minted == 4
    assert set(IntentTransaction.objects.values_list("hash", flat=True)) == stored
    mint.want(5, now)
    mint.work(now)
    assert mint.minted == 5


def test_a_node_that_accepts_and_then_falls_silent_is_asked_what_became_of_it(
    mint: Mint, world: World, now: datetime
) -> None:
    def silent_after_sending(name: str, when: str) -> None:
        if (name, when) == ("send_raw", "after"):
            raise ChainDown("chain.timeout", "The chain's node did not answer in time.")

    mint.want(1, now)
    mint.work(now, chain=_Watched(world.chain, silent_after_sending))
    intent = Intent.objects.get()
    assert intent.state == IntentState.SIGNED
    assert intent.code == "chain.timeout"
    mint.work(now)
    assert mint.minted == 1
    assert IntentTransaction.objects.count() == 1
    assert _state(1) == IntentState.MINED


def test_a_node_that_is_down_leaves_everything_wanted(mint: Mint, world: World, now: datetime) -> None:
    def down(_name: str, _when: str) -> None:
        raise ChainDown("chain.down", "The chain's node is unreachable.")

    mint.work(now)
    mint.want(1, now)
    assert mint.work(now, chain=_Watched(world.chain, down)) == 0
    assert _state(1) == IntentState.WANTED
    mint.work(now)
    assert mint.minted == 1


def test_a_reorg_that_takes_the_block_sends_the_bytes_again(mint: Mint, world: World, now: datetime) -> None:
    world.development.mine(5)
    mint.want(1, now)
    mint.work(now)
    assert _state(1) == IntentState.MINED
    world.development.reorg(2)
    world.development.set_automine(on=False)
    mint.work(now)
    assert _state(1) == IntentState.BROADCAST
    world.development.mine(4)
    mint.work(now)
    assert mint.minted == 1
    assert _state(1) == IntentState.FINAL
    assert IntentTransaction.objects.count() == 1


def test_a_key_that_is_used_elsewhere_pauses_its_lane_until_somebody_has_looked(
    mint: Mint, world: World, ring: SeedKeyRing, now: datetime
) -> None:
    mint.want(1, now)
    mint.work(now)
    _send_elsewhere(world, ring)
    mint.want(2, now)
    mint.work(now)
    lane = Lane.objects.get()
    assert lane.paused.startswith("lane.foreign_nonce")
    assert _state(2) == IntentState.WANTED
    world.development.mine(3)
    lanes.adopt_chain_nonce(lane, world.chain, now=now)
    mint.work(now)
    assert mint.minted == 2


def _send_elsewhere(world: World, ring: SeedKeyRing) -> None:
    fees, sender = world.chain.fees(), ring.address("lane/relayer/0")
    world.chain.send_raw(ring.sign_transaction("lane/relayer/0", {
        "chainId": world.chain.chain_id, "nonce": world.chain.nonce(sender), "to": bytes(20), "value": 1, "data": b"",
        "gas": 21_000, "maxFeePerGas": 2 * fees.base_fee + fees.priority_fee, "maxPriorityFeePerGas": fees.priority_fee,
    }).raw)  # fmt: skip


def test_a_lane_without_funds_pauses_with_an_explanation_and_goes_on_when_funded(
    mint: Mint, world: World, ring: SeedKeyRing, now: datetime
) -> None:
    sender = ring.address("lane/relayer/0")
    world.chain.request("anvil_setBalance", sender, hex(10**12))
    mint.want(1, now)
    mint.work(now)
    lane = Lane.objects.get()
    assert lane.paused.startswith("lane.funds")
    assert sender in lane.paused
    assert lane.balance == 10**12, "the dashboard says how long it lasts"
    assert lane.gas_price
    assert _state(1) == IntentState.WANTED
    world.development.fund(sender, 10**20)
    mint.work(now)
    assert mint.minted == 1
    assert Lane.objects.get().paused == ""


def test_budgets_of_account_and_register_hold_exactly(mint: Mint, now: datetime, settings: Settings) -> None:
    settings.CADASTRE_RELAY_ACCOUNT_DAILY, settings.CADASTRE_RELAY_GLOBAL_DAILY = 3, 5
    for number in range(3):
        mint.want(number, now, party=ADA)
    mint.want(0, now, party=ADA)
    with pytest.raises(OutboxRefusal) as refused:
        mint.want(3, now, party=ADA)
    assert refused.value.code == "relay.account_budget"
    assert refused.value.limit == 3
    assert "own wallet" in str(refused.value)
    for number in (4, 5):
        mint.want(number, now, party=uuid4())
    with pytest.raises(OutboxRefusal) as refused:
        mint.want(6, now, party=uuid4())
    assert refused.value.code == "relay.global_budget"
    mint.want(7, now)
    tomorrow = now + timedelta(days=1)
    mint.want(8, tomorrow, party=ADA)
    assert dict(RelayBudget.objects.filter(day=now.date()).values_list("scope", "used"))["global"] == 5


def test_an_intent_that_never_became_a_transaction_gives_its_budget_back(
    mint: Mint, now: datetime, settings: Settings
) -> None:
    settings.CADASTRE_RELAY_ACCOUNT_DAILY = 1
    mint.want(1, now, party=ADA, lives=timedelta(seconds=1))
    mint.work(now + timedelta(seconds=2))
    assert _state(1) == IntentState.EXPIRED
    second = mint.want(2, now, party=ADA)
    with pytest.raises(OutboxRefusal):
        outbox.retry(Intent.objects.get(key="mint:1"), valid_until=now + timedelta(hours=1), now=now)
    mint.work(now)
    second.refresh_from_db()
    assert second.state == IntentState.MINED
    with pytest.raises(OutboxRefusal):
        mint.want(3, now, party=ADA)


def test_an_intent_that_failed_without_a_nonce_can_be_wanted_again(mint: Mint, now: datetime) -> None:
    intent = mint.want(1, now, lives=timedelta(seconds=1))
    mint.work(now + timedelta(seconds=2))
    outbox.retry(intent, valid_until=now + timedelta(hours=1), now=now)
    mint.work(now)
    assert mint.minted == 1
    intent.refresh_from_db()
    with pytest.raises(OutboxRefusal) as refused:
        outbox.retry(intent, valid_until=now + timedelta(hours=1), now=now)
    assert refused.value.code == "outbox.not_over"


@pytest.mark.django_db(transaction=True)
def test_a_thousand_at_once_take_no_more_than_the_budget(mint: Mint, now: datetime, settings: Settings) -> None:
    settings.CADASTRE_RELAY_ACCOUNT_DAILY = 5
    taken: list[int] = []
    barrier = threading.Barrier(4)

    def publish(first: int) -> None:
        barrier.wait()
        try:
            for number in range(first, first + 8):
                try:
                    mint.want(number, now, party=ADA)
                except OutboxRefusal:
                    continue
                taken.append(number)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=publish, args=(100 * index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == Intent.objects.count() == 5
