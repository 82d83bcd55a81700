"""`/keys`: API keys, made and revoked by people. The secret is in the answer to POST and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.actions.api_keys import DAYS_LIMIT, create_api_key, revoke_api_key
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import operation
from marketplace.models import ApiKey
from marketplace.queries.actors import AccessRefusal, Act


class NewKey(Body):
    """A key to be made. `spend_limit`: base units per order, at most the maker's own."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    scopes: list[str]
    days: Annotated[int, msgspec.Meta(ge=1, le=DAYS_LIMIT)] = 90
    spend_limit: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | None = None


class Key(msgspec.Struct):
    """A key without its secret; `prefix` is how it is recognized."""

    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    spend_limit: int | None
    created: datetime
    expires: datetime
    last_used: datetime | None
    revoked: datetime | None


class KeyWithSecret(Key):
    """A key as it is shown once."""

    secret: str


class KeysResource(Resource):
    acts = {"GET": None, "POST": None}
    persons = frozenset({"GET", "POST"})

    @operation("The account's API keys", answer=Page[Key], query=PageQuery)
    def get(self, request: Request) -> HttpResponse:
        keys = self.actor.account.api_keys.all()
        if not self.actor.may(Act.MANAGE):
            keys = keys.filter(maker=self.actor.membership)
        order = ("-created", "id")
        page = page_of(
            keys,
            order=order,
            query=self.query(PageQuery),
            request=self.http,
            show=lambda rows: [_shown(row) for row in rows],
        )
        return self.answer(page)

    @operation(
        "Make a key; its secret is shown once", answer=KeyWithSecret, status=201, body=NewKey, headers=("Location",)
    )
    def post(self, request: Request) -> HttpResponse:
        wish = self.body(NewKey)
        key, secret = create_api_key(
            by=self.actor,
            name=wish.name,
            scopes=wish.scopes,
            days=wish.days,
            spend_limit=wish.spend_limit,
            now=self.now,
        )
        # Not by `once`: a record of the answer would keep the secret.
        made = KeyWithSecret(**msgspec.structs.asdict(_shown(key)), secret=secret)
        headers = {"Location": f"/api/v1/keys/{key.pk}"}
        response = self.answer(made, 201, headers=headers)
        response["Cache-Control"] = "no-store"
        return response


class KeyResource(Resource):
    acts = {"DELETE": None}
    persons = frozenset({"DELETE"})

    @operation("Revoke a key", status=204)
    def delete(self, request: Request, key: UUID) -> HttpResponse:
        found = ApiKey.objects.filter(pk=key, account=self.actor.account).first()
        if found is None:
            raise AccessRefusal("api_key.not_found", "There is no such key.", actual=str(key))
        revoke_api_key(by=self.actor, key=found, now=self.now)
        return HttpResponse(status=204)


def _all(rows: Iterable[ApiKey]) -> list[Key]:
    return [_shown(row) for row in rows]


def _shown(row: ApiKey) -> Key:
    return Key(
        id=row.pk,
        name=row.name,
        prefix=row.prefix,
        scopes=list(row.scopes),
        spend_limit=row.spend_limit,
        created=row.created,
        expires=row.expires,
        last_used=row.last_used,
        revoked=row.revoked,
    )
