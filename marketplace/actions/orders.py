"""Buying: one order, one license, whatever is lost, doubled or late.

1. In one transaction: the idempotency record, the order, one license of the offer reserved, the price held in the
   journal, the intent written. Any refusal takes all of it back.
2. The signer pays from the treasury to a license of its own, for a fresh licensee (`market_calls`).
3. The event makes the license; its finality spends what was held. Only now is anything irrevocable.
4. A purchase that failed or expired on chain gives the hold and the reserved license back, with its cause.

An order that a wallet of the account's own pays holds no balance: instead of 1's hold and 2 the wallet is asked for its
authorization (EIP-3009), bound to offer, licensee and order, and the relayer presents it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import transaction

from marketplace import idempotency, journal, market_calls
from marketplace.actions.offers import count_sale, uncount_sale
from marketplace.actions.wallet_requests import ADVANCE, ask_wallet, send_signed
from marketplace.core.caip import AssetKind, AssetName
from marketplace.models import OfferRow, Order, Quote, WalletRequest
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.addresses import signing_of
from marketplace.queries.catalog import fee_part, offer_value, own_quote
from marketplace.queries.deployments import deployment_of
from marketplace.queries.orders import own_order
from provenance.core.canonical import Json
from provenance.core.refusal import Refusal
from provenance.doorbell import ring

# age recipients are bech32 with the prefix `age`: 58 characters after `age1`. The signer decodes them for good.
RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")
WALLET_SIGNS_WITHIN = timedelta(minutes=30)


class OrderRefusal(Refusal):
    """An order is refused; nothing is held and nothing is bought."""


@dataclass(frozen=True, slots=True)
class _Wish:
    key: str
    recipient: str
    offer: str
    quote: UUID | None
    payer: str
    fresh_licensee: bool


def place_order(
    *,
    by: Actor,
    key: str,
    recipient: str,
    now: datetime,
    offer: str = "",
    quote: UUID | None = None,
    payer: str = "",
    fresh_licensee: bool = False,
) -> Order:
    """Buy a license of a public offer (digest) or of a quote; the content key will be granted to `recipient` (age1…).

    `payer`: a connected wallet that pays, and holds the license unless `fresh_licensee` asks for an address of its own
    that we sign for; without it the account's balance pays. The same `key` with the same request returns the same
    order, however often and however many at once; another request under it is refused (`idempotency.other_body`).
    Raises AccessRefusal, OrderRefusal, OfferRefusal, JournalRefusal `balance.too_low`, IdempotencyRefusal,
    OutboxRefusal.
    """
    by.require(Act.BUY)
    if RECIPIENT.fullmatch(recipient) is None:
        raise OrderRefusal(
            "order.recipient", "The recipient is not an age public key.", actual=recipient[:80],
            todo="Take the one that `cadastre me` shows, or make one with age-keygen or on the checkout page.",
        )  # fmt: skip
    if bool(offer) == (quote is not None):
        raise OrderRefusal("order.what", "An order names either an offer or a quote.")
    request: list[Json] = ["order", offer, None if quote is None else str(quote), recipient]
    wish = _Wish(key, recipient, offer, quote, payer.lower(), fresh_licensee)
    if payer:
        request += [wish.payer, fresh_licensee]
    elif fresh_licensee:
        raise OrderRefusal("order.licensee", "What the balance pays is held by a fresh address anyway.")
    outcome = idempotency.once(
        account=by.account.pk,
        key=key,
        request=request,
        effect=lambda: (201, {"order": str(_place(by, wish, now).pk)}),
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
        state=_begun(found.payer), approved_by=by.membership, changed=now
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
    waiting = (Order.State.SIGNING, Order.State.PLACED, Order.State.PAYING)
    moved = Order.objects.filter(pk=order, state__in=waiting).update(
        state=Order.State.FAILED, cause=cause[:500], changed=now
    )
    if moved != 1:
        return False
    if found.total and not found.payer:
        journal.move(
            source=journal.held(found.account_id), target=journal.available(found.account_id),
            token=found.offer.token, amount=found.total, effect=f"order:{found.pk}:release", now=now,
        )  # fmt: skip
    uncount_sale(found.offer)
    return True


@transaction.atomic
def pay_by_wallet(request: WalletRequest, *, now: datetime) -> None:
    """The wallet has signed: want its payment presented. Raises OrderRefusal when the order waits for it no more."""
    order = Order.objects.get(pk=request.subject)
    moved = Order.objects.filter(pk=order.pk, state=Order.State.SIGNING).update(state=Order.State.PLACED, changed=now)
    if moved != 1:
        raise _not_in(order, Order.State.SIGNING)
    lives = datetime.fromtimestamp(int(request.call["valid_before"]), tz=now.tzinfo) - now
    Order.objects.filter(pk=order.pk).update(intent_key=send_signed(request, now=now, lives=lives).key)


def advance_orders(*, now: datetime, limit: int = 200) -> int:
    """Ask the wallets of orders whose fresh licensee has become known; return how many moved. Safe twice."""
    moved = 0
    for order in Order.objects.filter(state=Order.State.SIGNING, licensee="").order_by("created")[:limit]:
        if order.changed + WALLET_SIGNS_WITHIN <= now:
            moved += fail_order(order=order.pk, cause="The licensee's address was not made in time.", now=now)
            continue
        address = market_calls.want_address(market_calls.licensee_path(order.pk), now=now)
        if address is None:
            continue
        with transaction.atomic():
            known = Order.objects.filter(pk=order.pk, state=Order.State.SIGNING, licensee="").update(licensee=address)
            if known:
                order.licensee = address
                _ask_payer(order, now)
            moved += known
    return moved


def _begun(payer: str) -> Order.State:
    return Order.State.SIGNING if payer else Order.State.PLACED


def _place(by: Actor, wish: _Wish, now: datetime) -> Order:
    quote, row = (None, _public_offer(wish.offer, now)) if wish.quote is None else _take_quote(by, wish.quote, now)
    if by.spend_limit is not None and row.price > by.spend_limit:
        raise OrderRefusal(
            "order.over_limit", "The price is over your limit.", limit=by.spend_limit, actual=row.price,
            todo="Ask an owner of the account to buy it or to raise your limit.",
        )  # fmt: skip
    licensee = "" if not wish.payer else _licensee_of(by, wish, row)
    order = Order(
        id=uuid4() if quote is None else quote.pk,
        account=by.account,
        offer=row,
        quote=quote,
        dataset=row.dataset,
        recipient=wish.recipient,
        licensee=licensee,
        payer=wish.payer,
        idempotency_key=wish.key,
        total=row.price,
        fee=fee_part(row.price, row.fee_bps),
        placed_by=by.membership,
        state=Order.State.APPROVAL if by.needs_approval else _begun(wish.payer),
        created=now,
        changed=now,
    )
    order.save(force_insert=True)
    if not by.needs_approval:
        count_sale(row)
        _pay(order, now)
    return order


def _licensee_of(by: Actor, wish: _Wish, offer: OfferRow) -> str:
    holder = signing_of(wish.payer)
    if holder is None or holder[0].pk != by.account.pk or holder[1].key_path is not None:
        raise OrderRefusal(
            "order.payer", "This wallet is not connected to the account.", actual=wish.payer[:80],
            todo="Connect it first: POST /wallets, `cadastre wallet connect`, or Settings.",
        )  # fmt: skip
    if not wish.fresh_licensee and offer_value(offer).licensee is not None:
        raise OrderRefusal(
            "order.licensee", "This offer was made to a fresh address of yours, not to the wallet.",
            todo="Order it with a fresh licensee; the wallet can still pay.",
        )  # fmt: skip
    return "" if wish.fresh_licensee else wish.payer


def _ask_payer(order: Order, now: datetime) -> None:
    expires = now + WALLET_SIGNS_WITHIN
    ask_wallet(
        account=order.account, wallet=order.payer, act=WalletRequest.Act.PURCHASE, key=f"purchase:{order.pk}",
        subject=str(order.pk), dataset=order.dataset, kind="wallet.purchase", expires=expires, now=now,
        # Whoever signs in the last second still has time to be mined.
        call={
            "order": str(order.pk),
            "valid_before": str(int((expires + market_calls.PURCHASE_LIVES).timestamp())),
        },
    )  # fmt: skip


def _pay(order: Order, now: datetime) -> None:
    if order.payer:
        if order.licensee:
            _ask_payer(order, now)
        else:
            market_calls.want_address(market_calls.licensee_path(order.pk), now=now)
            ring(ADVANCE)
        return
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


def _take_quote(by: Actor, quote_id: UUID, now: datetime) -> tuple[Quote, OfferRow]:
    quote = own_quote(by.account, quote_id)
    if quote.offer is None:
        raise OrderRefusal(
            "order.quote_wanted", "The owner has not signed this offer yet.", todo="Try again in a few seconds."
        )
    taken = Quote.objects.filter(pk=quote.pk, state=Quote.State.READY, expires__gt=now).update(
        state=Quote.State.ORDERED
    )
    if taken != 1:
        raise OrderRefusal(
            "order.quote", "This quote cannot be ordered.", limit=str(Quote.State.READY),
            actual="expired" if quote.expires <= now else str(quote.state), todo="Ask for a new quote.",
        )  # fmt: skip
    return quote, quote.offer


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
