"""The journal: sums to zero, moves once per effect, and never lets a customer's pot fall below zero."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace import journal
from marketplace.core.journal import Books, JournalRefusal, Pot
from marketplace.core.journal import Transfer as CoreTransfer
from marketplace.models import JournalAccount, Transfer
from marketplace.queries.movements import movements_of
from provenance.core.refusal import Refusal
from tests.trade.conftest import NOW

TOKEN = "eip155:31337/erc20:0x" + "ab" * 20
ADA, BEN = UUID(int=1), UUID(int=2)


def give(account: UUID, amount: int, effect: str) -> bool:
    return journal.move(
        source=journal.FAUCET, target=journal.available(account), token=TOKEN, amount=amount, effect=effect, now=NOW
    )


def hold(account: UUID, amount: int, effect: str) -> bool:
    return journal.move(
        source=journal.available(account),
        target=journal.held(account),
        token=TOKEN,
        amount=amount,
        effect=effect,
        now=NOW,
    )


@pytest.mark.django_db
def test_money_that_is_given_can_be_held():
    assert give(ADA, 500, "faucet:1")
    assert hold(ADA, 200, "order:1:hold")
    assert journal.balance_of(ADA, TOKEN) == journal.Balance(available=300, held=200)
    assert journal.treasury_total(TOKEN) == 500
    assert journal.differences() == []


@pytest.mark.django_db
def test_more_than_the_balance_is_refused_and_moves_nothing():
    give(ADA, 500, "faucet:1")
    with pytest.raises(JournalRefusal) as refused:
        hold(ADA, 501, "order:1:hold")
    assert (refused.value.code, refused.value.limit, refused.value.actual) == ("balance.too_low", 500, 501)
    assert journal.balance_of(ADA, TOKEN) == journal.Balance(available=500, held=0)
    assert hold(ADA, 500, "order:1:hold"), "the refused effect can be tried again"


@pytest.mark.django_db
def test_one_effect_moves_once():
    assert give(ADA, 500, "faucet:1")
    assert not give(ADA, 500, "faucet:1")
    assert journal.balance_of(ADA, TOKEN).available == 500


@pytest.mark.django_db
@pytest.mark.parametrize(("account", "amount"), [(ADA, 501), (BEN, 500)])
def test_one_effect_with_another_content_is_refused(account, amount):
    give(ADA, 500, "faucet:1")
    with pytest.raises(JournalRefusal) as refused:
        give(account, amount, "faucet:1")
    assert refused.value.code == "journal.effect_differs"


@pytest.mark.django_db
@pytest.mark.parametrize("amount", [0, -1, 2**63])
def test_amounts_that_are_not_positive_64_bit_integers_are_refused(amount):
    with pytest.raises(Refusal):
        give(ADA, amount, "faucet:1")


@pytest.mark.django_db
def test_the_database_itself_refuses_a_negative_pot_and_a_doubled_effect():
    give(ADA, 5, "faucet:1")
    pots = JournalAccount.objects.filter(name=journal.available(ADA))
    with pytest.raises(IntegrityError), transaction.atomic():
        pots.update(balance=-1)
    row = Transfer.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        Transfer.objects.create(source=row.source, target=row.target, amount=1, effect=row.effect)


@pytest.mark.django_db
def test_a_balance_that_was_edited_by_hand_is_found():
    give(ADA, 5, "faucet:1")
    assert journal.differences() == []
    JournalAccount.objects.filter(name=journal.available(ADA)).update(balance=6)
    assert len(journal.differences()) == 2


HOLDERS = ("available/a", "held/a", "available/b", "market/unsettled", "world/outside")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(
        st.tuples(st.sampled_from(HOLDERS), st.sampled_from(HOLDERS), st.integers(0, 60), st.integers(0, 8)),
        max_size=25,
    )
)
@pytest.mark.django_db
def test_any_history_agrees_with_the_pure_books_and_sums_to_zero(moves):
    """Faults 10: whatever is bought, refunded, repeated or refused."""
    sid = transaction.savepoint()
    books = Books()

    def key(name: str) -> Pot:
        return Pot(name, TOKEN)

    for source, target, amount, effect in moves:
        expected: bool | None
        try:
            expected = books.post(CoreTransfer(key(source), key(target), amount, f"effect:{effect}"))
        except Refusal:
            expected = None
        try:
            happened = journal.move(
                source=source, target=target, token=TOKEN, amount=amount, effect=f"effect:{effect}", now=NOW
            )
        except Refusal:
            assert expected is None
        else:
            assert happened == expected
    for name in HOLDERS:
        assert journal.pot_balance(name, TOKEN) == books.balance(key(name))
    assert journal.differences() == []
    transaction.savepoint_rollback(sid)


def in_threads(count: int, work) -> list[object]:
    """Run `work(number)` in `count` threads that start together; return results and refusals."""
    barrier = threading.Barrier(count)
    results: list[object] = [None] * count

    def run(number: int) -> None:
        try:
            barrier.wait()
            results[number] = work(number)
        except Exception as error:  # noqa: BLE001  # handed to the test
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
def test_sixteen_threads_cannot_spend_more_than_there_is():
    give(ADA, 1000, "faucet:1")
    results = in_threads(16, lambda number: hold(ADA, 100, f"order:{number}:hold"))
    assert results.count(True) == 10
    assert sum(isinstance(result, JournalRefusal) for result in results) == 6
    assert journal.balance_of(ADA, TOKEN) == journal.Balance(available=0, held=1000)
    assert journal.differences() == []


@pytest.mark.django_db(transaction=True)
def test_one_effect_from_sixteen_threads_moves_once():
    effect = f"payout:{uuid4()}"
    results = in_threads(16, lambda _: give(ADA, 7, effect))
    assert sorted(results, key=bool) == [False] * 15 + [True]
    assert journal.balance_of(ADA, TOKEN).available == 7


@pytest.mark.django_db(transaction=True)
def test_opposite_movements_at_once_do_not_wait_for_each_other_for_ever():
    give(ADA, 1000, "faucet:a")
    give(BEN, 1000, "faucet:b")

    def swap(number: int) -> bool:
        pots = [journal.available(ADA), journal.available(BEN)]
        source, target = pots if number % 2 else reversed(pots)
        return journal.move(source=source, target=target, token=TOKEN, amount=10, effect=f"swap:{number}", now=NOW)

    assert in_threads(12, swap) == [True] * 12
    assert journal.balance_of(ADA, TOKEN).available == journal.balance_of(BEN, TOKEN).available == 1000


@pytest.mark.django_db
def test_an_account_statement_lists_what_came_and_went_and_sums_to_the_balance(cleo, mallory):
    give(cleo.account.pk, 500, "top-up:1")
    hold(cleo.account.pk, 200, "order:1:hold")
    journal.move(
        source=journal.held(cleo.account.pk),
        target=journal.UNSETTLED,
        token=TOKEN,
        amount=200,
        effect="LicensePurchased:chain:1",
        now=NOW,
    )
    lines = list(movements_of(cleo.account, TOKEN))
    assert [(line.what, line.amount) for line in lines] == [("purchase", -200), ("top-up", 500)]
    assert sum(line.amount for line in lines) == 300
    assert list(movements_of(mallory.account, TOKEN)) == []
    assert list(movements_of(cleo.account, TOKEN, end=NOW)) == []
