"""What a wallet's signature sets in motion, and what becomes of those that never come."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never
from uuid import UUID

from django.db import transaction

from marketplace.actions.custody import finish_handover
from marketplace.actions.offers import refuse_offer, sign_offer
from marketplace.actions.orders import fail_order, pay_by_wallet
from marketplace.actions.vouchers import drop_voucher, sign_voucher
from marketplace.actions.wallet_requests import (
    WAITING,
    WalletRefusal,
    make_requests,
    own_request,
    send_signed,
)
from marketplace.models import WalletRequest
from marketplace.queries.actors import AccessRefusal, Act, Actor
from provenance.core.typed_data import TypedData

_UNSIGNED = "The wallet did not sign in time."


def give_signature(*, by: Actor, request: UUID, signature: str, now: datetime) -> WalletRequest:
    """Take a wallet's signature (0x and 130 hex digits) and do what waited for it; the same one twice is one.

    Raises AccessRefusal, WalletRefusal, TypedDataRefusal `signature.…` when it is not the wallet's over this data, and
    what the act itself refuses.
    """
    row = own_request(by.account, request)
    _require(by, row)
    given = signature.lower()
    if row.state == WalletRequest.State.SIGNED and row.signature == given:
        return row
    if row.state != WalletRequest.State.WANTED or row.typed_data is None:
        raise WalletRefusal(
            "signature.state", "This does not wait for a signature.", limit=str(WalletRequest.State.WANTED),
            actual=str(row.state), todo=row.cause or "Look at it again.",
        )  # fmt: skip
    if row.expires <= now:
        raise WalletRefusal(
            "signature.expired", "It is too late to sign this.", limit=f"{row.expires:%Y-%m-%dT%H:%M:%SZ}",
            actual=f"{now:%Y-%m-%dT%H:%M:%SZ}", todo="Begin again.",
        )  # fmt: skip
    TypedData.from_json(row.typed_data).check_signer(_raw(given), row.wallet)
    with transaction.atomic():
        moved = WalletRequest.objects.filter(pk=row.pk, state=WalletRequest.State.WANTED).update(
            state=WalletRequest.State.SIGNED, signature=given, changed=now
        )
        row.refresh_from_db()
        if moved != 1:
            raise WalletRefusal("signature.state", "This does not wait for a signature.", actual=str(row.state))
        _follow(by, row, now)
    return row


def advance_requests(*, now: datetime, limit: int = 200) -> int:
    """Complete requests, and end those that are too late or cannot be made; return how many ended. Safe twice."""
    ended = 0
    for row, refusal in make_requests(now=now, limit=limit):
        ended += _end(row, str(refusal), now)
    for row in WalletRequest.objects.filter(state__in=WAITING, expires__lte=now)[:limit]:
        ended += _end(row, _UNSIGNED, now)
    return ended


def _require(by: Actor, row: WalletRequest) -> None:
    match WalletRequest.Act(row.act):
        case (
            WalletRequest.Act.OFFER
            | WalletRequest.Act.CANCEL_OFFER
            | WalletRequest.Act.SPLITS
            | WalletRequest.Act.DERIVE_TERMS
        ):
            by.require(Act.PUBLISH)
        case WalletRequest.Act.PURCHASE:
            by.require(Act.BUY)
        case WalletRequest.Act.VOUCHER | WalletRequest.Act.DEPOSIT:
            by.require(Act.USE)
        case WalletRequest.Act.HAND_OVER:
            by.require(Act.MANAGE)
            by.require_person()
            if not by.second_factor:
                raise AccessRefusal("access.second_factor", "Handing a dataset over needs a second factor.")
        case _ as never:
            assert_never(never)


def _follow(by: Actor, row: WalletRequest, now: datetime) -> None:
    match WalletRequest.Act(row.act):
        case WalletRequest.Act.OFFER:
            sign_offer(by=by, offer=row.subject, signature=row.signature, now=now)
        case WalletRequest.Act.VOUCHER:
            sequence = int(row.call["sequence"])
            sign_voucher(by=by, license_id=row.subject, sequence=sequence, signature=row.signature, now=now)
        case WalletRequest.Act.PURCHASE:
            pay_by_wallet(row, now=now)
        case WalletRequest.Act.DEPOSIT:
            # It is sent when the voucher is signed, too: a deposit for nothing would lie with the market.
            return
        case (
            WalletRequest.Act.CANCEL_OFFER
            | WalletRequest.Act.SPLITS
            | WalletRequest.Act.DERIVE_TERMS
            | WalletRequest.Act.HAND_OVER
        ):
            send_signed(row, now=now)
        case _ as never:
            assert_never(never)


@transaction.atomic
def _end(row: WalletRequest, cause: str, now: datetime) -> int:
    ended = WalletRequest.objects.filter(pk=row.pk, state__in=WAITING).update(
        state=WalletRequest.State.DROPPED, cause=cause[:500], changed=now
    )
    if ended != 1:
        return 0
    match WalletRequest.Act(row.act):
        case WalletRequest.Act.OFFER:
            refuse_offer(offer=row.subject, cause=cause, now=now)
        case WalletRequest.Act.PURCHASE:
            fail_order(order=UUID(row.subject), cause=cause, now=now)
        case WalletRequest.Act.VOUCHER | WalletRequest.Act.DEPOSIT:
            drop_voucher(license_id=row.subject, sequence=int(row.call["sequence"]), cause=cause, now=now)
        case WalletRequest.Act.HAND_OVER:
            finish_handover(intent_key=row.key, failed=cause)
        case WalletRequest.Act.CANCEL_OFFER | WalletRequest.Act.SPLITS | WalletRequest.Act.DERIVE_TERMS:
            pass
        case _ as never:
            assert_never(never)
    return 1


def _raw(signature: str) -> bytes:
    try:
        return bytes.fromhex(signature.removeprefix("0x"))
    except ValueError as error:
        raise WalletRefusal("signature.hex", "A signature is 0x and 130 hex digits.", actual=signature[:40]) from error
