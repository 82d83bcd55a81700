"""Whoever buys from themselves, along any lineage of their own, loses the fee, and every purchase stays in sight."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.money import BPS
from marketplace.core.settlement import settle
from marketplace.core.settlement_documents import write_documents
from provenance.core.lineage import Bounds, check_registration
from tests.marketplace_core.books import (
    ADA_PAYEE,
    BEN_PAYEE,
    DORA_PAYEE,
    FEE_PAYEE,
    amounts,
    charge,
    facts,
    purchase,
)
from tests.marketplace_core.cast import ADA, BEN

PRICES = st.integers(min_value=1, max_value=10**12)
FEES = st.integers(min_value=1, max_value=500)


@given(
    sales=st.lists(st.tuples(st.sampled_from([1, 2]), PRICES, FEES), min_size=1, max_size=20),
    used=st.integers(min_value=0, max_value=10**9),
)
def test_a_ring_that_owns_the_dataset_its_ancestor_and_every_share_gets_back_less_than_it_paid(sales, used):
    """Ada, Ben and Dora are one person who sells to herself: purchases, metered use, self-royalties."""
    bought = [
        purchase(number, dataset, price, fee_bps=fee) for number, (dataset, price, fee) in enumerate(sales, start=1)
    ]
    charges = [charge(1, used, used, used)] if used else []
    settlement = settle(facts(purchases=bought, charges=charges))
    paid_in = sum(price for _, price, _ in sales) + used
    received = amounts(settlement)
    ring = sum(received.get(payee, 0) for payee in (ADA_PAYEE, BEN_PAYEE, DORA_PAYEE))
    fees = received.get(FEE_PAYEE, 0)
    assert ring + fees == paid_in
    assert ring <= paid_in
    least_fees = sum(price * fee // BPS for _, price, fee in sales)
    assert fees >= least_fees
    # Each purchase stands in the public documents on its own line: what was turned over can be counted by anybody.
    lines = [(line.dataset, line.gross) for line in settlement.revenue if line.gross]
    assert sorted(gross for _, gross in lines) == sorted([price for _, price, _ in sales] + ([used] if used else []))
    written = b"".join(write_documents(settlement).shards)
    assert all(item.tx.encode() in written for item in bought)


@given(st.lists(st.integers(min_value=0, max_value=BPS), min_size=1, max_size=12))
def test_self_royalties_cannot_promise_more_than_the_whole(shares):
    bounds = Bounds()
    for share in shares:
        if share + bounds.stack_bps <= BPS:
            bounds = check_registration([(share, bounds)])
    assert bounds.stack_bps <= BPS


def test_the_ring_above_is_really_one_lineage():
    """Its child's income reaches parent, parent's split and the child itself: nobody of it is left out."""
    settlement = settle(facts(purchases=[purchase(1, 2, 1_000_000)]))
    assert {BEN_PAYEE, ADA_PAYEE, DORA_PAYEE, FEE_PAYEE} == set(amounts(settlement))
    assert ADA != BEN
