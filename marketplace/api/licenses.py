"""`/licenses`: what was bought, its key, its money back, further recipients."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec
from django.http import HttpResponse
from msgspec import UNSET, UnsetType
from rest_framework.request import Request

from marketplace.actions.licenses import add_recipient, request_refund
from marketplace.api.money import Money, money
from marketplace.api.names import Id, dataset_caip, id_of
from marketplace.api.orders import Order, Recipient, shown_order
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import IDEMPOTENT, operation
from marketplace.models import LicenseRow
from marketplace.queries.actors import Act
from marketplace.queries.catalog import title_of, titles_of
from marketplace.queries.orders import delivery_of, licenses_of, own_license
from provenance.models import GrantRow

LicenseState = Literal["active", "refunded", "revoked", "expired"]


class LicenseQuery(PageQuery):
    """Which ones: in this state, of this dataset."""

    state: LicenseState | UnsetType = UNSET
    dataset: Id | UnsetType = UNSET


class LicenseRowShown(msgspec.Struct):
    """A license in a list. `final`: the purchase can no longer be taken back by a reorganization of the chain."""

    id: str
    caip: str
    dataset: str
    title: str
    version: int | None
    state: LicenseState
    final: bool
    uses: list[str]
    price: Money
    start: datetime
    end: datetime | None


class License(LicenseRowShown):
    """A license with all that the chain says about it, and whether its key was delivered."""

    offer: str
    terms: str
    fee: Money
    licensee: str
    payer: str
    hold_until: datetime
    tx: str
    block: int
    block_hash: str
    charged: Money
    certificate: str | None
    order: str | None
    delivery: Literal["waiting", "granted", "refused"]
    delivery_cause: str | None


class Grant(msgspec.Struct):
    """The content key of a package for a recipient: `wanted`, then `granted`, or `refused` with a cause."""

    package: str
    recipient: str
    state: Literal["wanted", "granted", "refused"]
    cause: str | None


class Grants(msgspec.Struct):
    """One grant for each package that the license covers."""

    results: list[Grant]


class NewRecipient(Body):
    """Another age recipient of the same licensee."""

    recipient: Recipient


class LicensesResource(Resource):
    acts = {"GET": Act.READ}

    @operation("The account's licenses, newest first", answer=Page[LicenseRowShown], query=LicenseQuery)
    def get(self, request: Request) -> HttpResponse:
        query = self.query(LicenseQuery)
        rows = licenses_of(self.actor.account)
        if query.state is not UNSET:
            rows = rows.filter(state=query.state)
        if query.dataset is not UNSET:
            rows = rows.filter(dataset=dataset_caip(query.dataset))
        page = page_of(rows, order=("-start", "id"), query=query, request=self.http, show=_listed)
        return self.answer(page)


class LicenseResource(Resource):
    acts = {"GET": Act.READ}

    @operation("A license", answer=License)
    def get(self, request: Request, license_id: str) -> HttpResponse:
        return self.answer(_shown(own_license(self.actor.account, license_id)))


class GrantsResource(Resource):
    acts = {"POST": Act.BUY}

    @operation(
        "Open the data for another recipient", answer=Grants, status=202, body=NewRecipient, parameters=(IDEMPOTENT,)
    )
    def post(self, request: Request, license_id: str) -> HttpResponse:
        wish = self.body(NewRecipient)

        def effect() -> tuple[int, Grants]:
            grants = add_recipient(by=self.actor, license_id=license_id, recipient=wish.recipient, now=self.now)
            return 202, Grants([_grant(row) for row in grants])

        return self.once(effect, request=wish)


class RefundResource(Resource):
    acts = {"POST": Act.BUY}

    @operation("Ask for the price back while it is held", answer=Order, status=202, parameters=(IDEMPOTENT,))
    def post(self, request: Request, license_id: str) -> HttpResponse:
        def effect() -> tuple[int, Order]:
            order = request_refund(by=self.actor, license_id=license_id, now=self.now)
            return 202, shown_order(order)

        return self.once(effect, request=None)


def _listed(rows: Iterable[LicenseRow]) -> list[LicenseRowShown]:
    found = list(rows)
    titles = titles_of(row.dataset for row in found)
    return [LicenseRowShown(**_row(row, titles[row.dataset])) for row in found]


def _row(row: LicenseRow, title: str) -> dict[str, Any]:
    return {
        "id": id_of(row.pk),
        "caip": row.pk,
        "dataset": id_of(row.dataset),
        "title": title,
        "version": row.version,
        "state": str(row.state),
        "final": row.final,
        "uses": list(row.uses),
        "price": money(row.price, row.token),
        "start": row.start,
        "end": row.end,
    }


def _shown(row: LicenseRow) -> License:
    delivery = delivery_of(row)
    return License(
        **_row(row, title_of(row.dataset)),
        offer=row.offer,
        terms=row.terms,
        fee=money(row.fee, row.token),
        licensee=row.licensee,
        payer=row.payer,
        hold_until=row.hold_until,
        tx=row.tx,
        block=row.block,
        block_hash=row.block_hash,
        charged=money(row.charged, row.token),
        certificate=row.certificate or None,
        order=None if row.order_id is None else str(row.order_id),
        delivery=delivery.state,  # type: ignore[arg-type]  # its docstring names the three
        delivery_cause=delivery.cause or None,
    )


def _grant(row: GrantRow) -> Grant:
    return Grant(row.package, row.recipient, str(row.state), row.cause or None)  # type: ignore[arg-type]
