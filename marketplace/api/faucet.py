"""`POST /faucet`: play money on development chains."""

from __future__ import annotations

from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.actions.money import draw_faucet
from marketplace.api.money import Money, Units, money
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import IDEMPOTENT, WAITS, operation
from marketplace.core.money import read_units
from marketplace.models import TopUp
from marketplace.queries.actors import Act


class FaucetDraw(Body):
    """`amount` in base units; without it the most that one draw gives."""

    amount: Units | None = None


class TopUpShown(msgspec.Struct):
    """Money on its way into the balance: `sending`, then `final`, or `failed` with a cause."""

    id: UUID
    amount: Money
    state: str
    cause: str | None


class FaucetResource(Resource):
    acts = {"POST": Act.FINANCE}

    @operation(
        "Draw play money", answer=TopUpShown, status=202, also={201: TopUpShown}, body=FaucetDraw,
        parameters=(IDEMPOTENT, WAITS), headers=("Location",),
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        wish = self.body(FaucetDraw)
        amount = None if wish.amount is None else read_units(wish.amount)
        drawn = self.once(
            lambda: (202, _shown(draw_faucet(by=self.actor, amount=amount, now=self.now))),
            request=wish, location=lambda _: "/api/v1/me",
        )  # fmt: skip
        return self.settled(drawn, self._look, lambda seen: seen.state != TopUp.State.SENDING)

    def _look(self, drawn: dict[str, object]) -> TopUpShown:
        return _shown(TopUp.objects.get(pk=str(drawn["id"]), account=self.actor.account))


def _shown(row: TopUp) -> TopUpShown:
    return TopUpShown(row.pk, money(row.amount, row.token), str(row.state), row.cause or None)
