"""`/earnings` and `/payouts`: what an account has earned, and each amount's way to it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.money import Money, money
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.resource import Resource
from marketplace.api.schema import operation
from marketplace.models import PayoutRow
from marketplace.queries.actors import Act
from marketplace.queries.deployments import payment_token
from marketplace.queries.earnings import earnings_of, payouts_of


class Earnings(msgspec.Struct):
    """What is on its way and what has come.

    `held` can still be refunded and `unsettled` is in no settlement yet, both before fee and shares; `pending` is
    settled and being paid; `available` waits for the payee's acceptance, a claim, or for more.
    """

    held: Money
    unsettled: Money
    pending: Money
    available: Money
    paid: Money
    next_payout: datetime | None
    why: str


class Payout(msgspec.Struct):
    """What one settlement owes to one of the account's addresses. `amount` of this epoch, `cumulative` up to it."""

    epoch: int
    settlement: str
    payee: int
    address: str
    amount: Money
    cumulative: Money
    state: str
    tx: str | None
    cause: str | None
    changed: datetime


class EarningsResource(Resource):
    acts = {"GET": Act.FINANCE}

    @operation("Available, pending, paid; when comes what, and why", answer=Earnings)
    def get(self, request: Request) -> HttpResponse:
        token = payment_token().caip
        found = earnings_of(self.actor.account, token, now=self.now)
        return self.answer(
            Earnings(
                held=money(found.held, token),
                unsettled=money(found.unsettled, token),
                pending=money(found.pending, token),
                available=money(found.claimable, token),
                paid=money(found.paid, token),
                next_payout=found.next_payout,
                why=found.why,
            )
        )


class PayoutsResource(Resource):
    acts = {"GET": Act.FINANCE}

    @operation("Payouts, newest first, each with its settlement", answer=Page[Payout], query=PageQuery)
    def get(self, request: Request) -> HttpResponse:
        # The newest rows come last into the table, and the number alone is unique: one column is enough for a cursor.
        page = page_of(
            payouts_of(self.actor.account), order=("-id",), query=self.query(PageQuery), request=self.http, show=_shown
        )
        return self.answer(page)


def _shown(rows: Iterable[PayoutRow]) -> list[Payout]:
    return [
        Payout(
            epoch=row.settlement.epoch,
            settlement=row.settlement.digest,
            payee=row.payee,
            address=row.address,
            amount=money(row.amount, row.settlement.token),
            cumulative=money(row.cumulative, row.settlement.token),
            state=str(row.state),
            tx=row.tx or None,
            cause=row.cause or None,
            changed=row.changed,
        )
        for row in rows
    ]
