"""Asking a person's own wallet for a signature: one row for each, until it has signed or it is too late.

1. Whoever needs the signature writes the row, in its own transaction.
2. What only the chain knows (a dataset's nonce, a token's domain) is put into the typed data afterwards, by a worker.
3. The wallet signs; `wallet_signatures` sets in motion what waited for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from marketplace import market_calls, wallet_kinds
from marketplace.core.caip import AssetKind, AssetName
from marketplace.models import Account, WalletRequest
from marketplace.queries.actors import AccessRefusal, Actor
from marketplace.queries.addresses import signing_of
from marketplace.queries.deployments import deployment_of
from provenance import bootstrap
from provenance.core.canonical import Json
from provenance.core.refusal import Refusal
from provenance.core.typed_data import TypedData
from provenance.doorbell import ring
from provenance.models import DatasetRecord, Deployment, Intent, IntentState
from provenance.ports import Chain, ChainDown

ADVANCE = "marketplace.tasks.advance"
SIGNED_WITHIN = timedelta(days=7)
WAITING = (WalletRequest.State.MAKING, WalletRequest.State.WANTED)
# These name the dataset's nonce: of two that were made for one nonce only the first would count.
NUMBERED = (WalletRequest.Act.SPLITS, WalletRequest.Act.DERIVE_TERMS, WalletRequest.Act.HAND_OVER)
_UNDER_WAY = (IntentState.WANTED, IntentState.SIGNED, IntentState.BROADCAST)


class WalletRefusal(Refusal):
    """A wallet's signature is not taken, or not asked for."""


def ask_wallet(
    *,
    account: Account,
    wallet: str,
    act: WalletRequest.Act,
    key: str,
    subject: str,
    dataset: str,
    expires: datetime,
    now: datetime,
    kind: str = "",
    call: Mapping[str, Json] | None = None,
    typed: TypedData | None = None,
) -> WalletRequest:
    """Want the wallet at `wallet` to sign, once per `key`: `typed`, or what an intent of `kind` needs for `call`."""
    row, made = WalletRequest.objects.get_or_create(
        key=key,
        defaults={
            "account": account, "wallet": wallet, "act": act, "subject": subject, "dataset": dataset, "kind": kind,
            "call": dict(call or {}), "typed_data": None if typed is None else typed.to_json(), "expires": expires,
            "state": WalletRequest.State.MAKING if typed is None else WalletRequest.State.WANTED, "created": now,
            "changed": now,
        },
    )  # fmt: skip
    if made and typed is None:
        ring(ADVANCE)
    return row


def want_change(
    *,
    by: Actor,
    act: WalletRequest.Act,
    kind: str,
    key: str,
    record: DatasetRecord,
    call: Mapping[str, Json],
    now: datetime,
) -> Intent | WalletRequest:
    """Want a change of the registry that the dataset's owner signs: our key at once, or the wallet when it has signed.

    `call` is the intent's payload without `dataset`, deadline and signature. A newer change of the same dataset takes
    the place of one that no wallet has signed. Raises WalletRefusal when the owner is nobody of this account.
    """
    holder = signing_of(record.owner)
    if holder is None or holder[0].pk != by.account.pk:
        raise WalletRefusal(
            "wallet.owner_elsewhere", "The dataset belongs to an address that is not of this account.",
            actual=record.owner, todo="Connect the wallet that owns it, then try again.",
        )  # fmt: skip
    path = holder[1].key_path
    lives = SIGNED_WITHIN if path is None else market_calls.CALL_LIVES
    whole: dict[str, Json] = {"dataset": record.token, **call, "deadline": int((now + lives).timestamp())}
    if path is not None:
        return market_calls.want(
            kind=kind, key=key, payload={**whole, "signer": path}, deployment=record.deployment, party=by.account.pk,
            now=now,
        )  # fmt: skip
    older = WalletRequest.objects.filter(dataset=record.caip, act__in=NUMBERED, state__in=WAITING).exclude(key=key)
    drop(older, cause="A later change took its place.", now=now)
    return ask_wallet(
        account=by.account, wallet=record.owner, act=act, key=key, subject=record.caip, dataset=record.caip,
        expires=now + lives, kind=kind, call=whole, now=now,
    )  # fmt: skip


def drop(rows: QuerySet[WalletRequest], *, cause: str, now: datetime) -> int:
    """Stop asking for signatures that nobody waits for any more; return how many. Safe twice."""
    return rows.filter(state__in=WAITING).update(state=WalletRequest.State.DROPPED, cause=cause[:500], changed=now)


def own_request(account: Account, request: UUID) -> WalletRequest:
    """Return a request of the account. Raises AccessRefusal `signature.not_found`."""
    found = WalletRequest.objects.select_related("account").filter(pk=request, account=account).first()
    if found is None:
        raise AccessRefusal("signature.not_found", "There is no such request for a signature.", actual=str(request))
    return found


def make_requests(*, now: datetime, limit: int = 200) -> list[tuple[WalletRequest, Refusal]]:
    """Ask the chain for what requests still lack; return those that cannot be made, with the reason. Safe twice."""
    impossible: list[tuple[WalletRequest, Refusal]] = []
    for row in WalletRequest.objects.filter(state=WalletRequest.State.MAKING, expires__gt=now)[:limit]:
        if row.act in NUMBERED and _change_under_way(row):
            continue
        try:
            typed = wallet_kinds.consent(row.kind, row.call, _chain(row))
        except ChainDown:
            continue
        except Refusal as refusal:
            impossible.append((row, refusal))
            continue
        WalletRequest.objects.filter(pk=row.pk, state=WalletRequest.State.MAKING).update(
            state=WalletRequest.State.WANTED, typed_data=typed.to_json(), changed=now
        )
    return impossible


@transaction.atomic
def send_signed(row: WalletRequest, *, now: datetime, lives: timedelta = market_calls.CALL_LIVES) -> Intent:
    """Want the transaction that carries the wallet's signature, once."""
    payload = {**row.call, "signature": row.signature}
    return market_calls.want(
        kind=row.kind, key=row.key, payload=payload, deployment=request_deployment(row), party=row.account_id,
        lives=lives, now=now,
    )  # fmt: skip


def request_deployment(row: WalletRequest) -> Deployment:
    """Return the contracts that a request's signature is for."""
    of_license = row.act in {WalletRequest.Act.VOUCHER, WalletRequest.Act.DEPOSIT}
    name = (row.subject, AssetKind.LICENSE) if of_license else (row.dataset, AssetKind.DATASET)
    return deployment_of(AssetName.parse(*name))


def _change_under_way(row: WalletRequest) -> bool:
    signed = WalletRequest.objects.filter(dataset=row.dataset, act__in=NUMBERED, state=WalletRequest.State.SIGNED)
    return Intent.objects.filter(key__in=signed.values("key"), state__in=_UNDER_WAY).exists()


def _chain(row: WalletRequest) -> Chain:
    return bootstrap.chain(request_deployment(row))
