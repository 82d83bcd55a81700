"""Buying: one order, one license, whatever is lost, doubled or late.

1. In one transaction: the idempotency record, the order, one license of the offer reserved, the price held in the
   journal, the intent written. Any refusal takes all of it back.
2. The signer pays from the treasury to a license of its own, for a fresh licensee (`market_calls`).
3. The event makes the license; its finality spends what was held. Only now is anything irrevocable.
4. A purchase that failed or expired on chain gives the hold and the reserved license back, with its cause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from django.db import transaction

from marketplace import idempotency, journal, market_calls
from marketplace.actions.offers import count_sale, uncount_sale
from marketplace.core.caip import AssetKind, AssetName
from marketplace.models import OfferRow, Order, Quote
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.catalog import fee_part, own_quote
from marketplace.queries.deployments import deployment_of
from marketplace.queries.orders import own_order
from provenance.core.refusal import Refusal

# age recipients are bech32 with the prefix `age`: 58 characters after `age1`. The signer decodes them for good.
RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")


class OrderRefusal(Refusal):
    """An order is refused; nothing is held and nothing is bought."""


@dataclass(frozen=True, slots=True)
class _Wish:
    key: str
    recipient: str
    offer: str
    quote: UUID | None


def place_order(
    *, by: Actor, key: str, recipient: str, now: datetime, offer: str = "", quote: UUID | None = None
) -> Order:
    """Buy a license of a public offer (digest) or of a quote; the content key will be granted to `recipient` (age1…).

    The same `key` with the same request returns the same order, however often and however many at once; another
    request under it is refused (`idempotency.other_body`). Raises AccessRefusal, OrderRefusal, OfferRefusal,
    JournalRefusal `balance.too_low`, IdempotencyRefusal, OutboxRefusal.
    """
    by.require(Act.BUY)
    if RECIPIENT.fullmatch(recipient) is None:
        raise OrderRefusal(
            "order.recipient", "The recipient is not an age public key.", actual=recipient[:80],
            todo="Make one with `cadastre keygen`, age-keygen, or on the checkout page.",
        )  # fmt: skip
    if bool(offer) == (quote is not None):
        raise OrderRefusal("order.what", "An order names either an offer or a quote.")
    request = ["order", offer, None if quote is None else str(quote), recipient]
    outcome = idempotency.once(
        account=by.account.pk,
        key=key,
        request=request,
        effect=lambda: (201, {"order": str(_place(by, _Wish(key, recipient, offer, quote), now).pk)}),
        now=now,
    )
    return Order.objects.select_related("offer", "account").get(pk=str(outcome.response["order"]))


@transaction.atomic
def approve_order(*, by: Actor, order: UUID, now: datetime) -> Order:
    """Approve another member's order; now its price is held and it is bought. Raises OrderRefusal, JournalRefusal."""
    by.require(Act.APPROVE)
    by.require_person()
    found = own_order(by.account, order)
    if found.placed_by_id == by.membership.pk:
        raise OrderRefusal(
            "order.own_approval", "Somebody else has to approve your order.", todo="Ask an owner or finance."
        )
    moved = Order.objects.filter(pk=found.pk, state=Order.State.APPROVAL).update(
        state=Order.State.PLACED, approved_by=by.membership, changed=now
    )
    if moved != 1:
        raise _not_in(found, Order.State.APPROVAL)
    found.refresh_from_db()
    count_sale(found.offer)
    _pay(found, now)
    return found


@transaction.atomic
def decline_order(*, by: Actor, order: UUID, now: datetime, cause: str = "") -> Order:
    """Decline an order that waits for approval; whoever placed it may take it back. Raises OrderRefusal."""
    found = own_order(by.account, order)
    if found.placed_by_id != by.membership.pk:
        by.require(Act.APPROVE)
        by.require_person()
    moved = Order.objects.filter(pk=found.pk, state=Order.State.APPROVAL).update(
        state=Order.State.DECLINED, cause=cause[:500], changed=now
    )
    if moved != 1:
        raise _not_in(found, Order.State.APPROVAL)
    if found.quote_id is not None:
        Quote.objects.filter(pk=found.quote_id, state=Quote.State.ORDERED).update(state=Quote.State.EXPIRED)
    found.refresh_from_db()
    return found


@transaction.atomic
def fail_order(*, order: UUID, cause: str, now: datetime) -> bool:
    """Give back what an order holds, because its purchase cannot happen any more. Safe twice."""
    found = Order.objects.select_related("offer").get(pk=order)
    waiting = (Order.State.PLACED, Order.State.PAYING)
    moved = Order.objects.filter(pk=order, state__in=waiting).update(
        state=Order.State.FAILED, cause=cause[:500], changed=now
    )
    if moved != 1:
        return False
    if found.total:
        journal.move(
            source=journal.held(found.account_id), target=journal.available(found.account_id),
            token=found.offer.token, amount=found.total, effect=f"order:{found.pk}:release", now=now,
        )  # fmt: skip
    uncount_sale(found.offer)
    return True


def _place(by: Actor, wish: _Wish, now: datetime) -> Order:
    quote = None if wish.quote is None else _take_quote(by, wish.quote, now)
    row = _public_offer(wish.offer, now) if quote is None else quote.offer
    if row is None:
        raise OrderRefusal("order.quote_wanted", "The quote is not ready yet.", todo="Try again in a few seconds.")
    if by.spend_limit is not None and row.price > by.spend_limit:
        raise OrderRefusal(
            "order.over_limit", "The price is over your limit.", limit=by.spend_limit, actual=row.price,
            todo="Ask an owner of the account to buy it or to raise your limit.",
        )  # fmt: skip
    order = Order(
        id=uuid4() if quote is None else quote.pk,
        account=by.account,
        offer=row,
        quote=quote,
        dataset=row.dataset,
        recipient=wish.recipient,
        idempotency_key=wish.key,
        total=row.price,
        fee=fee_part(row.price, row.fee_bps),
        placed_by=by.membership,
        state=Order.State.APPROVAL if by.needs_approval else Order.State.PLACED,
        created=now,
        changed=now,
    )
    order.save(force_insert=True)
    if not by.needs_approval:
        count_sale(row)
        _pay(order, now)
    return order


def _pay(order: Order, now: datetime) -> None:
    if order.total:
        journal.move(
            source=journal.available(order.account_id), target=journal.held(order.account_id),
            token=order.offer.token, amount=order.total, effect=f"order:{order.pk}:hold", now=now,
        )  # fmt: skip
    deployment = deployment_of(AssetName.parse(order.dataset, AssetKind.DATASET))
    intent = market_calls.want(
        kind="market.purchase",
        key=f"purchase:{order.pk}",
        payload={"order": str(order.pk), "valid_before": str(int((now + market_calls.PURCHASE_LIVES).timestamp()))},
        deployment=deployment,
        party=order.account_id,
        lives=market_calls.PURCHASE_LIVES,
        now=now,
    )
    Order.objects.filter(pk=order.pk).update(intent_key=intent.key)
    order.intent_key = intent.key


def _take_quote(by: Actor, quote_id: UUID, now: datetime) -> Quote:
    quote = own_quote(by.account, quote_id)
    taken = Quote.objects.filter(pk=quote.pk, state=Quote.State.READY, expires__gt=now).update(
        state=Quote.State.ORDERED
    )
    if taken != 1:
        raise OrderRefusal(
            "order.quote", "This quote cannot be ordered.", limit=str(Quote.State.READY),
            actual="expired" if quote.expires <= now else str(quote.state), todo="Ask for a new quote.",
        )  # fmt: skip
    return quote


def _public_offer(digest: str, now: datetime) -> OfferRow:
    row = OfferRow.objects.filter(pk=digest, public=True).first()
    if row is None:
        raise AccessRefusal("offer.not_found", "There is no such offer.", actual=digest[:80])
    if row.expires is not None and row.expires <= now:
        raise OrderRefusal("offer.expired", "The offer has expired.", limit=f"{row.expires:%Y-%m-%dT%H:%M:%SZ}")
    return row


def _not_in(order: Order, state: Order.State) -> OrderRefusal:
    return OrderRefusal(
        "order.state", "The order does not wait for this.", limit=str(state), actual=str(order.state),
        todo="Look at the order's page for what became of it.",
    )  # fmt: skip
