"""`GET /drafts/{id}/review`: exactly what becomes public and permanent, and the digest that confirms it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.actions.drafts import WalletConsents, wallet_consents
from marketplace.api.money import Money, money
from marketplace.api.names import id_of
from marketplace.api.resource import Resource
from marketplace.api.schema import operation
from marketplace.queries.actors import Act
from marketplace.queries.deployments import payment_token
from marketplace.queries.drafts import own_draft, review_draft


class ParentAsks(msgspec.Struct):
    """A dataset that this one is built from, and its share of what this one earns, in basis points."""

    dataset: str
    share_bps: int


class PublicFacts(msgspec.Struct):
    """The documents of docs/formats.md that will be pinned, and the figures of the first offer.

    `manifest` and `package` are null while they are being made. The owner keeps what `splits` leaves. `max_stack_bps`:
    the most that goes to the data it is built from and to what that was built from; a new dataset's owner signs it.
    """

    manifest: dict[str, Any] | None
    package: dict[str, Any] | None
    terms: dict[str, Any] | None
    price: Money | None
    derive_bps: int
    parents: list[ParentAsks]
    max_stack_bps: int
    hold_seconds: int
    splits: dict[str, Any] | None


class DerivationWanted(msgspec.Struct):
    """The wallet that holds the license for a parent consents to what is derived from it."""

    parent: str
    wallet: str
    typed_data: dict[str, Any]


class WalletWanted(msgspec.Struct):
    """What wallets sign before the draft is confirmed, with one `deadline` (Unix seconds).

    `owner`, `registration` and `attestation` are null when our key signs for the owner.
    """

    deadline: int
    owner: str | None
    registration: dict[str, Any] | None
    attestation: dict[str, Any] | None
    derivations: list[DerivationWanted]


class Review(msgspec.Struct):
    """`conflicts` and `missing` must be empty before `digest` can be confirmed.

    `wallet` is null when no wallet has to sign.
    """

    public: PublicFacts
    digest: str
    conflicts: list[str]
    missing: list[str]
    wallet: WalletWanted | None


class ReviewResource(Resource):
    acts = {"GET": Act.PUBLISH}

    @operation("What becomes public and permanent", answer=Review)
    def get(self, request: Request, draft: UUID) -> HttpResponse:
        found = review_draft(own_draft(self.actor.account, draft), now=self.now)
        public = PublicFacts(
            manifest=found.manifest,  # type: ignore[arg-type]  # documents are objects
            package=found.package,  # type: ignore[arg-type]  # documents are objects
            terms=found.terms,  # type: ignore[arg-type]  # documents are objects
            price=None if found.price is None else money(found.price, payment_token().caip),
            derive_bps=found.derive_bps,
            parents=[ParentAsks(id_of(parent), bps) for parent, bps in found.owed.shares.items()],
            max_stack_bps=found.owed.stack_bps,
            hold_seconds=found.hold_seconds,
            splits=found.splits,  # type: ignore[arg-type]  # documents are objects
        )
        conflicts = [conflict.sentence for conflict in found.conflicts]
        asked = wallet_consents(by=self.actor, draft=draft, now=self.now)
        wallet = None if asked is None else _wanted(asked)
        return self.answer(Review(public, found.digest, conflicts, list(found.missing), wallet))


def _wanted(asked: WalletConsents) -> WalletWanted:
    derivations = asked.derivations.items()
    return WalletWanted(
        deadline=asked.deadline,
        owner=asked.owner,
        registration=None if asked.registration is None else asked.registration.to_json(),
        attestation=None if asked.attestation is None else asked.attestation.to_json(),
        derivations=[DerivationWanted(id_of(parent), wallet, data.to_json()) for parent, (wallet, data) in derivations],
    )
