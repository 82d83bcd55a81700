"""`GET /drafts/{id}/review`: exactly what becomes public and permanent, and the digest that confirms it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.money import Money, money
from marketplace.api.resource import Resource
from marketplace.api.schema import operation
from marketplace.queries.actors import Act
from marketplace.queries.deployments import payment_token
from marketplace.queries.drafts import own_draft, review_draft


class PublicFacts(msgspec.Struct):
    """The documents of docs/formats.md that will be pinned, and the figures of the first offer.

    `manifest` and `package` are null while they are being made. The owner keeps what `splits` leaves.
    """

    manifest: dict[str, Any] | None
    package: dict[str, Any] | None
    terms: dict[str, Any] | None
    price: Money | None
    derive_bps: int
    hold_seconds: int
    splits: dict[str, Any] | None


class Review(msgspec.Struct):
    """`conflicts` and `missing` must be empty before `digest` can be confirmed."""

    public: PublicFacts
    digest: str
    conflicts: list[str]
    missing: list[str]


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
            hold_seconds=found.hold_seconds,
            splits=found.splits,  # type: ignore[arg-type]  # documents are objects
        )
        conflicts = [conflict.sentence for conflict in found.conflicts]
        return self.answer(Review(public, found.digest, conflicts, list(found.missing)))
