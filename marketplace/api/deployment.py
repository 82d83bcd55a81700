"""`/deployment`: what a verifier pins before it believes anything."""

from __future__ import annotations

import msgspec
from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.resource import Resource
from marketplace.api.schema import operation
from marketplace.queries.pins import deployment_document


class Contracts(msgspec.Struct):
    """One set of contracts: chain id, lower-case addresses, first block."""

    chain: int
    registry: str
    market: str
    anchor: str
    first_block: int


class TokenShown(msgspec.Struct):
    """A token that the market takes."""

    address: str
    symbol: str
    decimals: int
    name: str


class LogKeys(msgspec.Struct):
    """The log's name, and the key that its checkpoints are signed with (C2SP)."""

    origin: str
    vkey: str


class DeploymentShown(msgspec.Struct):
    """`service_key`: Ed25519, hex, of the service's signatures in entries. `network`: `test` has no legal value."""

    deployment: Contracts
    tokens: list[TokenShown]
    log: LogKeys
    service_key: str
    network: str


class DeploymentResource(Resource):
    acts = {"GET": None}

    @operation("Chain, contracts, log and service key", answer=DeploymentShown)
    def get(self, request: Request) -> HttpResponse:
        found = msgspec.convert({**deployment_document(), "network": settings.CADASTRE_NETWORK}, DeploymentShown)
        return self.answer(found, public=True)
