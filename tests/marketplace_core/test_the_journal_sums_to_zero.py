import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.journal import Books, JournalRefusal, Pot, Transfer

TOKEN = "eip155:31337/erc20:0x" + "ab" * 20
POTS = [
    Pot(name, TOKEN) for name in ("world/faucet", "available/cleo", "held/cleo", "market/unsettled", "world/payees")
]
FAUCET, AVAILABLE, HELD, MARKET, _ = POTS


def test_a_purchase_is_held_and_then_spent():
    books = Books.of(
        [
            Transfer(FAUCET, AVAILABLE, 100, "faucet:1"),
            Transfer(AVAILABLE, HELD, 40, "order:1:hold"),
            Transfer(HELD, MARKET, 40, "order:1:spend"),
        ]
    )
    assert (books.balance(AVAILABLE), books.balance(HELD), books.balance(MARKET), books.balance(FAUCET)) == (
        60,
        0,
        40,
        -100,
    )


def test_a_customer_cannot_spend_more_than_is_there():
    books = Books.of([Transfer(FAUCET, AVAILABLE, 100, "faucet:1")])
    with pytest.raises(JournalRefusal) as refusal:
        books.post(Transfer(AVAILABLE, HELD, 101, "order:1:hold"))
    assert (refusal.value.code, refusal.value.limit, refusal.value.actual) == ("journal.insufficient", 100, 101)
    assert books.balance(AVAILABLE) == 100


def test_the_same_effect_is_booked_once():
    books = Books()
    assert books.post(Transfer(FAUCET, AVAILABLE, 100, "faucet:1")) is True
    assert books.post(Transfer(FAUCET, AVAILABLE, 100, "faucet:1")) is False
    assert books.balance(AVAILABLE) == 100


def test_another_transfer_under_a_booked_effect_is_refused():
    books = Books.of([Transfer(FAUCET, AVAILABLE, 100, "faucet:1")])
    with pytest.raises(JournalRefusal, match="otherwise"):
        books.post(Transfer(FAUCET, AVAILABLE, 101, "faucet:1"))


@pytest.mark.parametrize(
    ("source", "target", "amount", "effect"),
    [
        (FAUCET, FAUCET, 1, "x"),
        (FAUCET, AVAILABLE, 0, "x"),
        (FAUCET, AVAILABLE, -1, "x"),
        (FAUCET, Pot("available/cleo", "other"), 1, "x"),
        (FAUCET, AVAILABLE, 1, ""),
    ],
)
def test_what_is_not_a_transfer_is_refused(source, target, amount, effect):
    with pytest.raises(Exception) as refusal:  # money and journal refuse, each by its code
        Transfer(source, target, amount, effect)
    assert refusal.value.code.startswith(("journal.", "amount."))


@given(
    st.lists(
        st.tuples(st.sampled_from(POTS), st.sampled_from(POTS), st.integers(1, 50), st.integers(0, 10)), max_size=60
    )
)
def test_any_history_sums_to_zero_and_leaves_no_guarded_pot_negative(history):
    books = Books()
    for source, target, amount, effect in history:
        if source != target:
            try:
                books.post(Transfer(source, target, amount, f"effect:{effect}"))
            except JournalRefusal as refusal:
                assert refusal.code in {"journal.insufficient", "journal.effect_differs"}  # noqa: PT017
        assert sum(books.balances.values()) == 0
        assert all(balance >= 0 for pot, balance in books.balances.items() if pot.guarded)
