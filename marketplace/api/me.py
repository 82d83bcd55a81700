"""`GET /me`: the account behind a key, what it may do, what it has."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace import journal
from marketplace.api.money import Money, money
from marketplace.api.resource import Resource
from marketplace.api.schema import operation
from marketplace.models import Account
from marketplace.queries.actors import SCOPES, Act, Actor
from marketplace.queries.addresses import AddressRefusal, owner_signing
from marketplace.queries.deployments import payment_token


class AccountName(msgspec.Struct):
    """An account by the name in its addresses, and the name that people read."""

    slug: str
    display_name: str


class OwnAccount(AccountName):
    """One's own account. `address` owns what it publishes; null until the signer has made it."""

    kind: str
    address: str | None


class Balance(msgspec.Struct):
    """What may be spent, and what open orders, withdrawals and vouchers hold."""

    available: Money
    held: Money


class KeyInUse(msgspec.Struct):
    """The API key that asked."""

    id: UUID
    name: str
    prefix: str
    expires: datetime


class Faucet(msgspec.Struct):
    """Play money: the most that one draw gives."""

    amount: Money


class Me(msgspec.Struct):
    """Who asks. `key` is null for a session, `faucet` on a live network."""

    account: OwnAccount
    role: str
    scopes: list[str]
    balance: Balance
    key: KeyInUse | None
    faucet: Faucet | None


class MeResource(Resource):
    acts = {"GET": Act.READ}

    @operation("Account, scopes and balance", answer=Me)
    def get(self, request: Request) -> HttpResponse:
        return self.answer(shown_actor(self.actor))


def shown_actor(actor: Actor) -> Me:
    """Return an actor as the API shows it. Raises DeploymentRefusal while there is no token."""
    token = payment_token().caip
    balance = journal.balance_of(actor.account.pk, token)
    key = actor.key
    return Me(
        account=OwnAccount(
            actor.account.slug, actor.account.display_name, str(actor.account.kind), _address(actor.account)
        ),
        role=str(actor.membership.role),
        scopes=sorted(act.value for act in actor.acts & SCOPES),
        balance=Balance(money(balance.available, token), money(balance.held, token)),
        key=None if key is None else KeyInUse(key.pk, key.name, key.prefix, key.expires),
        faucet=None if settings.LIVE else Faucet(money(settings.CADASTRE_FAUCET_AMOUNT, token)),
    )


def _address(account: Account) -> str | None:
    try:
        return owner_signing(account).address
    except AddressRefusal:
        return None
