"""Buyers with limits and approvals, fifty requests at once, and what a lost or doubled message cannot do."""

from __future__ import annotations

import pytest

from marketplace import journal
from marketplace.actions.accounts import create_organization
from marketplace.actions.members import accept_invitation, invite_member
from marketplace.actions.offers import OfferRefusal
from marketplace.actions.orders import OrderRefusal, approve_order, decline_order, fail_order, place_order
from marketplace.core.journal import JournalRefusal
from marketplace.models import IdempotencyRecord, Membership, OfferRow, Order, TermsRow
from marketplace.queries.actors import AccessRefusal, Actor, actor_of_user
from marketplace.queries.orders import orders_to_approve
from provenance.core.refusal import Refusal
from provenance.models import Deployment, Intent
from tests.trade.conftest import NOW, person
from tests.trade.register import RECIPIENT, terms
from tests.trade.test_journal_moves_money_once import in_threads

PRICE = 1_000
TOKEN = "eip155:31337/erc20:0x" + "44" * 20
DATASET = "eip155:31337/erc721:0x" + "11" * 20 + "/1"


def offer(seller: Actor, **changes) -> OfferRow:
    """A live offer without a chain: what an order reads of it."""
    Deployment.objects.get_or_create(
        chain_id=31337, registry="0x" + "11" * 20,
        defaults={
            "market": "0x" + "22" * 20, "anchor": "0x" + "33" * 20, "first_block": 0,
            "tokens": [{"name": "TestUSD", "address": "0x" + "44" * 20, "symbol": "TUSD", "decimals": 6}],
            "created_at": NOW,
        },
    )  # fmt: skip
    said = terms()
    kept, _ = TermsRow.objects.get_or_create(
        digest=said.digest.hex, defaults={"document": said.to_bytes(), "title": "Standard"}
    )
    fields = {
        "digest": f"{OfferRow.objects.count() + 1:064x}", "account": seller.account, "dataset": DATASET, "version": 1,
        "terms": kept, "document": b"{}", "price": PRICE, "token": TOKEN, "fee_bps": 250, "hold_seconds": 0,
        "nonce": str(OfferRow.objects.count() + 1), "typed_data": {}, "state": OfferRow.State.LIVE,
    }  # fmt: skip
    return OfferRow.objects.create(**{**fields, **changes})


def give(actor: Actor, amount: int) -> None:
    journal.move(
        source=journal.FAUCET, target=journal.available(actor.account.pk), token=TOKEN, amount=amount,
        effect=f"gift:{actor.account.pk}:{amount}", now=NOW,
    )  # fmt: skip


def order(actor: Actor, row: OfferRow, key: str = "k1") -> Order:
    return place_order(by=actor, key=key, recipient=RECIPIENT, offer=row.pk, now=NOW)


def member(owner: Actor, name: str, role: Membership.Role, **limits) -> Actor:
    user = person(name).membership.user
    _, token = invite_member(by=owner, email=user.email, role=role, now=NOW, **limits)
    accept_invitation(by=user, token=token, now=NOW)
    return actor_of_user(user, owner.account.slug)


@pytest.fixture
def lab(cleo) -> Actor:
    create_organization(by=cleo.membership.user, slug="lab", display_name="The Lab", now=NOW)
    owner = actor_of_user(cleo.membership.user, "lab")
    give(owner, 10 * PRICE)
    return owner


@pytest.mark.django_db
def test_a_buyer_buys_up_to_the_limit_and_not_a_unit_more(ada, lab):
    buyer = member(lab, "Bob", Membership.Role.BUYER, spend_limit=PRICE)
    assert order(buyer, offer(ada)).state == Order.State.PLACED
    with pytest.raises(OrderRefusal) as refused:
        order(buyer, offer(ada, price=PRICE + 1), key="k2")
    assert (refused.value.code, refused.value.limit, refused.value.actual) == ("order.over_limit", PRICE, PRICE + 1)


@pytest.mark.django_db
def test_an_order_that_needs_approval_holds_nothing_until_somebody_else_approves(ada, lab):
    buyer = member(lab, "Bob", Membership.Role.BUYER, needs_approval=True)
    placed = order(buyer, offer(ada))
    assert placed.state == Order.State.APPROVAL
    assert journal.balance_of(lab.account.pk, TOKEN).held == 0
    assert list(orders_to_approve(lab.account)) == [placed]
    with pytest.raises(AccessRefusal):
        approve_order(by=buyer, order=placed.pk, now=NOW)
    approved = approve_order(by=lab, order=placed.pk, now=NOW)
    assert (approved.state, approved.approved_by) == (Order.State.PLACED, lab.membership)
    assert journal.balance_of(lab.account.pk, TOKEN).held == PRICE
    with pytest.raises(OrderRefusal):
        approve_order(by=lab, order=placed.pk, now=NOW)


@pytest.mark.django_db
def test_nobody_approves_their_own_order(ada, lab):
    Membership.objects.filter(pk=lab.membership.pk).update(needs_approval=True)
    owner = actor_of_user(lab.membership.user, "lab")
    placed = order(owner, offer(ada))
    with pytest.raises(OrderRefusal) as refused:
        approve_order(by=owner, order=placed.pk, now=NOW)
    assert refused.value.code == "order.own_approval"


@pytest.mark.django_db
def test_a_declined_order_is_over(ada, lab):
    buyer = member(lab, "Bob", Membership.Role.BUYER, needs_approval=True)
    placed = order(buyer, offer(ada))
    assert decline_order(by=lab, order=placed.pk, cause="Not this quarter.", now=NOW).state == Order.State.DECLINED
    with pytest.raises(OrderRefusal):
        approve_order(by=lab, order=placed.pk, now=NOW)
    assert not Intent.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Membership.Role.PUBLISHER, Membership.Role.FINANCE, Membership.Role.VIEWER])
def test_roles_that_do_not_buy_cannot_buy(ada, lab, role):
    with pytest.raises(AccessRefusal) as refused:
        order(member(lab, "Eve", role), offer(ada))
    assert refused.value.code == "access.role"


@pytest.mark.django_db
@pytest.mark.parametrize("recipient", ["", "age1short", "AGE-SECRET-KEY-1ABC", "ssh-ed25519 AAAA", RECIPIENT.upper()])
def test_what_is_no_age_recipient_is_refused_before_anything_is_paid(ada, cleo, recipient):
    give(cleo, PRICE)
    with pytest.raises(OrderRefusal) as refused:
        place_order(by=cleo, key="k", recipient=recipient, offer=offer(ada).pk, now=NOW)
    assert refused.value.code == "order.recipient"
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["wanted", "superseded", "withdrawn", "expired", "refused"])
def test_only_a_live_offer_can_be_accepted(ada, cleo, state):
    give(cleo, PRICE)
    with pytest.raises(OfferRefusal) as refused:
        order(cleo, offer(ada, state=state))
    assert refused.value.code == "offer.not_live"
    assert journal.balance_of(cleo.account.pk, TOKEN).held == 0


@pytest.mark.django_db
def test_an_expired_offer_is_refused_even_before_the_sweep_has_seen_it(ada, cleo):
    give(cleo, PRICE)
    with pytest.raises(OrderRefusal):
        order(cleo, offer(ada, expires=NOW))


@pytest.mark.django_db
def test_a_failed_order_is_given_back_once(ada, cleo):
    give(cleo, PRICE)
    placed = order(cleo, offer(ada))
    assert fail_order(order=placed.pk, cause="The contract refused.", now=NOW)
    assert not fail_order(order=placed.pk, cause="again", now=NOW)
    assert journal.balance_of(cleo.account.pk, TOKEN) == journal.Balance(available=PRICE, held=0)
    assert OfferRow.objects.get().sold == 0


@pytest.mark.django_db(transaction=True)
def test_fifty_equal_orders_at_once_are_one_order():
    """Fault 7."""
    cleo, ada = person("Cleo"), person("Ada")
    row = offer(ada)
    give(cleo, 100 * PRICE)
    results = in_threads(50, lambda _: order(cleo, row).pk)
    assert len({str(result) for result in results}) == 1, results
    assert Order.objects.count() == Intent.objects.count() == 1
    assert journal.balance_of(cleo.account.pk, TOKEN).held == PRICE


@pytest.mark.django_db(transaction=True)
def test_different_orders_at_once_never_spend_more_than_there_is_nor_sell_more_than_there_are():
    cleo, ada = person("Cleo"), person("Ada")
    give(cleo, 5 * PRICE)
    row = offer(ada, count=100)
    results = in_threads(12, lambda number: order(cleo, row, key=f"k{number}"))
    placed = [result for result in results if isinstance(result, Order)]
    assert len(placed) == 5
    assert all(isinstance(result, Order | JournalRefusal) for result in results), results
    assert OfferRow.objects.get().sold == 5
    give(cleo, 50 * PRICE)
    rare = offer(ada, count=3)
    results = in_threads(8, lambda number: order(cleo, rare, key=f"r{number}"))
    assert sum(isinstance(result, Order) for result in results) == 3
    assert all(isinstance(result, Order | Refusal) for result in results), results
    assert journal.differences() == []
