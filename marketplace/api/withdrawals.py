"""`/withdrawals`: money out of the balance, to an address of one's own. For persons with a second factor."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.actions.money import add_withdrawal_address, withdraw
from marketplace.api.money import Money, Units, money
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import IDEMPOTENT_ALWAYS, operation
from marketplace.models import Withdrawal as WithdrawalRow
from marketplace.queries.actors import Act


class WithdrawalWish(Body):
    """Base units to an address. A new address can be used after a delay, in which its owner can object."""

    address: Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{40}$")]
    amount: Units


class Withdrawal(msgspec.Struct):
    """`waiting` until `due`, then `sending`, then `final`; or `failed` with a cause, or `cancelled`."""

    id: UUID
    address: str
    amount: Money
    state: str
    due: datetime
    cause: str | None
    created: datetime


class WithdrawalsResource(Resource):
    acts = {"GET": Act.FINANCE, "POST": Act.FINANCE}
    persons = frozenset({"GET", "POST"})

    @operation("Withdrawals, newest first", answer=Page[Withdrawal], query=PageQuery)
    def get(self, request: Request) -> HttpResponse:
        rows = self.actor.account.withdrawals.select_related("destination")
        page = page_of(rows, order=("-created", "id"), query=self.query(PageQuery), request=self.http, show=_shown)
        return self.answer(page)

    @operation("Withdraw", answer=Withdrawal, status=202, body=WithdrawalWish, parameters=(IDEMPOTENT_ALWAYS,))
    def post(self, request: Request) -> HttpResponse:
        wish = self.body(WithdrawalWish)

        def effect() -> tuple[int, Withdrawal]:
            target = add_withdrawal_address(by=self.actor, address=wish.address, now=self.now)
            row = withdraw(by=self.actor, destination=target.pk, amount=int(wish.amount), now=self.now)
            return 202, _shown([row])[0]

        return self.once(effect, request=wish, key_needed=True)


def _shown(rows: Iterable[WithdrawalRow]) -> list[Withdrawal]:
    return [
        Withdrawal(
            row.pk, row.destination.address or "", money(row.amount, row.token), str(row.state), row.due,
            row.cause or None, row.created,
        )
        for row in rows
    ]  # fmt: skip
