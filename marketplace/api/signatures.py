"""`/signatures`: what the account's own wallets are asked to sign, and where their signatures go."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.http import HttpResponse
from msgspec import UNSET, UnsetType
from rest_framework.request import Request

from marketplace.actions.wallet_requests import own_request
from marketplace.actions.wallet_signatures import give_signature
from marketplace.api.names import Id, dataset_caip, id_of
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.reading import Body
from marketplace.api.resource import Resource
from marketplace.api.schema import WAITS, operation
from marketplace.api.wallets import Signature
from marketplace.models import WalletRequest
from marketplace.queries.actors import Act
from provenance.models import Intent

ActName = Literal[
    "offer", "cancel-offer", "splits", "derive-terms", "hand-over", "purchase", "voucher", "deposit"
]  # fmt: skip
StateName = Literal["making", "wanted", "signed", "dropped"]
OVER = frozenset({"final", "failed", "expired"})


class SignatureQuery(PageQuery):
    """Which ones: in this state, for this act, about this dataset, by this wallet."""

    state: StateName | UnsetType = UNSET
    act: ActName | UnsetType = UNSET
    dataset: Id | UnsetType = UNSET
    wallet: str = ""


class Transaction(msgspec.Struct):
    """The transaction that carries the signature: its state, hash once sent, and why it failed."""

    state: str
    tx: str | None
    cause: str | None


class SignatureWanted(msgspec.Struct):
    """One question to a wallet. `subject`: digest of an offer, or id of an order, a dataset or a license.

    `typed_data` goes to `eth_signTypedData_v4` as it is; null while it is being made. Whoever signs after `expires`
    signs for nothing. `dropped` names its `cause`.
    """

    id: UUID
    act: ActName
    wallet: str
    subject: str
    dataset: str
    state: StateName
    typed_data: dict[str, Any] | None
    expires: datetime
    cause: str | None
    transaction: Transaction | None
    created: datetime


class SignatureGiven(Body):
    """The wallet's signature over `typed_data`."""

    signature: Signature


class SignaturesResource(Resource):
    acts = {"GET": Act.READ}

    @operation(
        "What the account's wallets are asked to sign, newest first", answer=Page[SignatureWanted],
        query=SignatureQuery,
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponse:
        query = self.query(SignatureQuery)
        rows = WalletRequest.objects.filter(account=self.actor.account)
        if query.state is not UNSET:
            rows = rows.filter(state=query.state)
        if query.act is not UNSET:
            rows = rows.filter(act=query.act)
        if query.dataset is not UNSET:
            rows = rows.filter(dataset=dataset_caip(query.dataset))
        if query.wallet:
            rows = rows.filter(wallet=query.wallet.lower())
        page = page_of(rows, order=("-created", "id"), query=query, request=self.http, show=_shown)
        return self.answer(page)


class SignatureResource(Resource):
    acts = {"GET": Act.READ, "POST": Act.READ}

    @operation("One question to a wallet", answer=SignatureWanted, parameters=(WAITS,))
    def get(self, request: Request, signature: UUID) -> HttpResponse:
        account = self.actor.account
        seen = self.waited(lambda: shown_request(own_request(account, signature)), _is_settled)
        return self.answer(seen, headers=self.applied())

    @operation("Give the wallet's signature", answer=SignatureWanted, body=SignatureGiven)
    def post(self, request: Request, signature: UUID) -> HttpResponse:
        wish = self.body(SignatureGiven)
        row = give_signature(by=self.actor, request=signature, signature=wish.signature, now=self.now)
        return self.answer(shown_request(row))


def shown_request(row: WalletRequest) -> SignatureWanted:
    """Return a question to a wallet as the API shows it."""
    return _shown([row])[0]


def _is_settled(seen: SignatureWanted) -> bool:
    if seen.state == "signed":
        return seen.transaction is None or seen.transaction.state in OVER
    return seen.state != "making"


def _shown(rows: Iterable[WalletRequest]) -> list[SignatureWanted]:
    found = list(rows)
    intents = Intent.objects.filter(key__in=[row.key for row in found])
    sent = {each.key: Transaction(str(each.state), each.tx or None, each.cause or None) for each in intents}
    return [
        SignatureWanted(
            id=row.pk,
            act=str(row.act),  # type: ignore[arg-type]  # the model's own choices
            wallet=row.wallet,
            subject=id_of(row.subject) if row.subject.startswith("eip155:") else row.subject,
            dataset=id_of(row.dataset),
            state=str(row.state),  # type: ignore[arg-type]  # the model's own choices
            typed_data=row.typed_data,
            expires=row.expires,
            cause=row.cause or None,
            transaction=sent.get(row.key),
            created=row.created,
        )
        for row in found
    ]
