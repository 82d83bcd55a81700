"""`/wallets`: wallets of the account's own, which sign where they are named."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.actions.custody import LINK_SECONDS, connect_wallet, wallet_link
from marketplace.api.reading import Body, Query
from marketplace.api.resource import Resource
from marketplace.api.schema import IDEMPOTENT, operation
from marketplace.models import AccountAddress
from marketplace.queries.actors import Act
from marketplace.queries.addresses import wallets_of

Address = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{40}$", description="An address on the chain")]
Signature = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{130}$", description="r ‖ s ‖ v with low s, as 0x text")]


class LinkQuery(Query):
    """The wallet that will sign."""

    address: Address


class Link(msgspec.Struct):
    """What the wallet signs (`eth_signTypedData_v4`) to show that it is this account's, and until when that counts."""

    address: str
    deadline: int
    typed_data: dict[str, Any]


class WalletGiven(Body):
    """The wallet, the deadline of the link that it signed, and its signature."""

    address: Address
    deadline: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    signature: Signature


class Wallet(msgspec.Struct):
    """A connected wallet. `owns`: what the account publishes belongs to it without saying so."""

    address: str
    owns: bool
    created: datetime


class Wallets(msgspec.Struct):
    """All of them, oldest first."""

    results: list[Wallet]


class WalletsResource(Resource):
    acts = {"GET": Act.READ, "POST": Act.READ}

    @operation("The account's own wallets", answer=Wallets)
    def get(self, request: Request) -> HttpResponse:
        return self.answer(Wallets([_shown(row) for row in wallets_of(self.actor.account)]))

    @operation(
        "Connect a wallet, which signs where it is named", answer=Wallet, status=201, body=WalletGiven,
        parameters=(IDEMPOTENT,),
    )  # fmt: skip
    def post(self, request: Request) -> HttpResponse:
        wish = self.body(WalletGiven)

        def effect() -> tuple[int, Wallet]:
            row = connect_wallet(
                by=self.actor, address=wish.address, deadline=wish.deadline, signature=wish.signature, owns=False,
                now=self.now,
            )  # fmt: skip
            return 201, _shown(row)

        return self.once(effect, request=wish)


class LinkResource(Resource):
    acts = {"GET": Act.READ}

    @operation("What a wallet signs to be connected", answer=Link, query=LinkQuery, refuses=(422,))
    def get(self, request: Request) -> HttpResponse:
        address = self.query(LinkQuery).address.lower()
        deadline = int(self.now.timestamp()) + LINK_SECONDS
        typed = wallet_link(by=self.actor, address=address, deadline=deadline)
        return self.answer(Link(address, deadline, typed.to_json()))


def _shown(row: AccountAddress) -> Wallet:
    return Wallet(row.address or "", row.purpose == AccountAddress.Purpose.OWNER, row.created)
