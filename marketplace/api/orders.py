"""`/orders`: buying. One key, one order, one license, whatever is lost, doubled or late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.http import HttpResponse
from msgspec import UNSET, UnsetType
from rest_framework.request import Request

from marketplace.actions.orders import approve_order, decline_order, place_order
from marketplace.api.money import Money, money
from marketplace.api.names import Id, Sha256Hex, dataset_caip, id_of
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import IDEMPOTENT, IDEMPOTENT_ALWAYS, WAITS, operation
from marketplace.api.signatures import SignatureWanted, shown_request
from marketplace.api.wallets import Address
from marketplace.models import Order as OrderRow
from marketplace.models import WalletRequest
from marketplace.queries.actors import Act
from marketplace.queries.orders import orders_of, own_order, visible_of
from provenance.models import Intent

SETTLED = frozenset(
    {
        OrderRow.State.APPROVAL, OrderRow.State.FINAL, OrderRow.State.FAILED, OrderRow.State.DECLINED,
        OrderRow.State.REFUNDED,
    }
)  # fmt: skip
Recipient = Annotated[str, msgspec.Meta(pattern="^age1[02-9ac-hj-np-z]{58}$", description="An age public key")]


class OrderWish(Body):
    """Either a quote or the digest of a public offer, and whom the data is to be opened for.

    `payer`: a connected wallet that pays instead of the balance. It also holds the license, unless `licensee` is
    `fresh`: then an address of its own does, which the account's balance always uses.
    """

    recipient: Recipient
    quote: UUID | None = None
    offer: Sha256Hex | None = None
    payer: Address | None = None
    licensee: Literal["wallet", "fresh"] | None = None


OrderState = Literal[
    "approval", "signing", "placed", "paying", "mined", "final", "failed", "declined", "refunded"
]  # fmt: skip


class OrderQuery(PageQuery):
    """Which ones: in this state, of this dataset."""

    state: OrderState | UnsetType = UNSET
    dataset: Id | UnsetType = UNSET


class Order(msgspec.Struct):
    """A purchase on its way. `license` and `tx` once mined; `cause` says why it failed or was declined.

    `payer` is null when the balance pays. `signing`: `signature` is what the wallet is asked for (`/signatures`), and
    `visible` says what everybody will see of it on the chain.
    """

    id: UUID
    state: OrderState
    dataset: str
    offer: str
    recipient: str
    license: str | None
    tx: str | None
    total: Money
    fee: Money
    payer: str | None
    licensee: str | None
    signature: SignatureWanted | None
    visible: str | None
    cause: str | None
    created: datetime
    changed: datetime


class OrdersResource(Resource):
    acts = {"GET": Act.BUY, "POST": Act.BUY}

    @operation("The account's orders, newest first", answer=Page[Order], query=OrderQuery)
    def get(self, request: Request) -> HttpResponse:
        query = self.query(OrderQuery)
        rows = orders_of(self.actor.account)
        if query.state is not UNSET:
            rows = rows.filter(state=query.state)
        if query.dataset is not UNSET:
            rows = rows.filter(dataset=dataset_caip(query.dataset))
        page = page_of(rows, order=("-created", "id"), query=query, request=self.http, show=_shown_all)
        return self.answer(page)

    @operation(
        "Order a license", answer=Order, status=202, also={201: Order}, body=OrderWish,
        parameters=(IDEMPOTENT_ALWAYS, WAITS), headers=("Location",),
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        wish = self.body(OrderWish)

        def effect() -> tuple[int, Order]:
            row = place_order(
                by=self.actor, key=self.inner_key(), recipient=wish.recipient, offer=wish.offer or "",
                quote=wish.quote, payer=wish.payer or "", now=self.now,
                fresh_licensee=wish.payer is not None and wish.licensee == "fresh",
            )  # fmt: skip
            return 202, shown_order(row)

        begun = self.once(
            effect, request=wish, location=lambda made: f"/api/v1/orders/{made['id']}", key_needed=True
        )  # fmt: skip
        return self.settled(begun, lambda made: self._look(UUID(made["id"])), _is_settled)

    def _look(self, order: UUID) -> Order:
        return shown_order(own_order(self.actor.account, order))


class OrderResource(Resource):
    acts = {"GET": Act.BUY}

    @operation("An order", answer=Order, parameters=(WAITS,))
    def get(self, request: Request, order: UUID) -> HttpResponse:
        account = self.actor.account
        seen = self.waited(lambda: shown_order(own_order(account, order)), _is_settled)
        return self.answer(seen, headers=self.applied())


class ApproveResource(Resource):
    acts = {"POST": Act.APPROVE}
    persons = frozenset({"POST"})

    @operation("Approve another member's order", answer=Order, status=202, parameters=(IDEMPOTENT,))
    def post(self, request: Request, order: UUID) -> HttpResponse:
        return self.once(
            lambda: (202, shown_order(approve_order(by=self.actor, order=order, now=self.now))), request=None
        )


class Declining(Body):
    """Why, in words for whoever placed it."""

    cause: Annotated[str, msgspec.Meta(max_length=500)] = ""


class DeclineResource(Resource):
    acts = {"POST": Act.READ}

    @operation("Decline an order that waits for approval", answer=Order, body=Declining, parameters=(IDEMPOTENT,))
    def post(self, request: Request, order: UUID) -> HttpResponse:
        wish = self.body(Declining)
        return self.once(
            lambda: (200, shown_order(decline_order(by=self.actor, order=order, cause=wish.cause, now=self.now))),
            request=wish,
        )


def _is_settled(seen: Order) -> bool:
    # A wallet that is asked can do something; until then there is nothing to do but wait.
    return seen.state in SETTLED or (seen.signature is not None and seen.signature.state == "wanted")


def shown_order(row: OrderRow, tx: str | None = None) -> Order:
    """Return an order as the API shows it; `tx` where it is known already."""
    if tx is None and row.intent_key:
        tx = Intent.objects.filter(key=row.intent_key).values_list("tx", flat=True).first()
    return Order(
        id=row.pk,
        state=str(row.state),  # type: ignore[arg-type]  # the model's own choices
        dataset=id_of(row.dataset),
        offer=row.offer_id,
        recipient=row.recipient,
        license=id_of(row.license) if row.license else None,
        tx=tx or None,
        total=money(row.total, row.offer.token),
        fee=money(row.fee, row.offer.token),
        payer=row.payer or None,
        licensee=row.licensee or None,
        signature=_asked(row),
        visible=visible_of(row),
        cause=row.cause or None,
        created=row.created,
        changed=row.changed,
    )


def _asked(row: OrderRow) -> SignatureWanted | None:
    if row.state != OrderRow.State.SIGNING:
        return None
    asked = WalletRequest.objects.filter(key=f"purchase:{row.pk}").first()
    return None if asked is None else shown_request(asked)


def _shown_all(rows: Iterable[OrderRow]) -> list[Order]:
    orders = list(rows)
    keys = [row.intent_key for row in orders if row.intent_key]
    transactions: dict[str, Any] = dict(Intent.objects.filter(key__in=keys).values_list("key", "tx"))
    return [shown_order(row, transactions.get(row.intent_key, "")) for row in orders]
