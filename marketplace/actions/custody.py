"""Keys: who signs for an account, and how a person takes over.

Custodial keys are derived in the signer. A person may connect a wallet (its address then owns what comes next), hand a
dataset over to it, or have the custodial key encrypted to a recipient of their own.
"""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from uuid import UUID

import pyrage
from django.conf import settings
from django.db import IntegrityError, transaction

from marketplace import market_calls
from marketplace.actions.accounts import AccountRefusal
from marketplace.actions.orders import RECIPIENT
from marketplace.actions.wallet_requests import want_change
from marketplace.core.caip import AssetKind, AssetName
from marketplace.models import (
    AccountAddress,
    Contributor,
    DerivedAddress,
    Handover,
    KeyExport,
    LicenseRow,
    WalletRequest,
)
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.addresses import WALLET, signing_of
from marketplace.queries.catalog import own_listing
from marketplace.queries.deployments import current_deployment, deployment_of
from provenance.core.typed_data import Domain, StructType, TypedData
from provenance.models import DatasetRecord
from provenance.ports import KeyRing

LINK_SECONDS = 3600

_LINK = StructType("WalletLink(address wallet,bytes32 account,uint256 deadline)")


def wallet_link(*, by: Actor, address: str, deadline: int) -> TypedData:
    """Return what a wallet signs (EIP-712) to show that it belongs to the account."""
    deployment = current_deployment()
    return TypedData(
        Domain("Cadastre Account", deployment.chain_id, deployment.registry),
        _LINK,
        {"wallet": address.lower(), "account": by.account.pk.bytes.rjust(32, b"\0"), "deadline": deadline},
    )


@transaction.atomic
def connect_wallet(
    *, by: Actor, address: str, deadline: int, signature: str, now: datetime, owns: bool = True
) -> AccountAddress:
    """Make a wallet the owner of what the account publishes from now on; its holder signs, nobody else.

    With `owns` false, which programs may do, it only signs where it is named: as payer of an order, as owner of a
    draft. Licenses that it bought on chain before it was connected become the account's. Raises AccessRefusal,
    AccountRefusal, TypedDataRefusal.
    """
    if owns:
        by.require(Act.MANAGE)
        by.require_person()
    elif not by.may(Act.PUBLISH):
        by.require(Act.BUY)
    if not int(now.timestamp()) <= deadline <= int(now.timestamp()) + LINK_SECONDS:
        raise AccountRefusal(
            "wallet.deadline", "The signature is too old, or lasts too long.", limit=LINK_SECONDS,
            actual=deadline - int(now.timestamp()), todo="Sign again.",
        )  # fmt: skip
    text = address.lower()
    wallet_link(by=by, address=text, deadline=deadline).check_signer(_raw(signature), text)
    holder = signing_of(text)
    if holder is not None and holder[0].pk != by.account.pk:
        raise AccountRefusal("wallet.taken", "This wallet belongs to another account.", actual=text)
    row, _ = AccountAddress.objects.get_or_create(
        account=by.account,
        purpose=AccountAddress.Purpose.OWNER if owns else AccountAddress.Purpose.SIGNER,
        address=text,
        defaults={"key_path": WALLET, "state": AccountAddress.State.READY, "created": now, "usable_from": now},
    )
    LicenseRow.objects.filter(licensee=text, account=None, order=None).update(account=by.account)
    return row


@transaction.atomic
def hand_over_dataset(*, by: Actor, dataset: str, address: str, now: datetime) -> Handover:
    """Move a dataset to a connected wallet of the account; from a wallet, which has to sign, to any address of it.

    Raises AccessRefusal, AccountRefusal, WalletRefusal.
    """
    _require_second_factor(by)
    own_listing(by.account, dataset)
    text = address.lower()
    own = AccountAddress.objects.filter(account=by.account, purpose=AccountAddress.Purpose.OWNER, address=text)
    if not own.exists():
        raise AccountRefusal("wallet.unknown", "Connect this wallet first.", actual=text)
    name = AssetName.parse(dataset, AssetKind.DATASET)
    record = DatasetRecord.objects.get(deployment=deployment_of(name), token=name.number or 0)
    if record.owner == text:
        raise AccountRefusal("handover.there", "The dataset belongs to this address already.", actual=text)
    earlier = Handover.objects.filter(account=by.account, dataset=dataset, to_address=text)
    waiting = earlier.filter(state=Handover.State.WANTED).first()
    if waiting is not None:
        return waiting
    # One that failed, or was handed back since, can be handed over again.
    key = f"hand-over:{dataset}:{text}" + (f":{earlier.count() + 1}" if earlier.exists() else "")
    row = Handover.objects.create(account=by.account, dataset=dataset, to_address=text, created=now, intent_key=key)
    want_change(
        by=by, act=WalletRequest.Act.HAND_OVER, kind="registry.hand_over", key=key, record=record, call={"to": text},
        now=now,
    )  # fmt: skip
    return row


@transaction.atomic
def request_key_export(*, by: Actor, recipient: str, now: datetime) -> KeyExport:
    """Ask for the account's custodial key, encrypted to an age recipient after the delay. Raises AccountRefusal."""
    _require_second_factor(by)
    if RECIPIENT.fullmatch(recipient) is None:
        raise AccountRefusal("key_export.recipient", "The recipient is not an age public key.", actual=recipient[:80])
    try:
        with transaction.atomic():
            return KeyExport.objects.create(
                account=by.account,
                recipient=recipient,
                due=now + timedelta(seconds=settings.CADASTRE_WITHDRAWAL_DELAY),
                created=now,
            )
    except IntegrityError as error:
        raise AccountRefusal(
            "key_export.waiting", "An export is waiting already.", limit=1, actual=2, todo="Cancel it first."
        ) from error


def cancel_key_export(*, by: Actor, export: UUID) -> None:
    """Stop an export before the signer has answered. Raises AccessRefusal."""
    by.require(Act.MANAGE)
    waiting = KeyExport.objects.filter(pk=export, account=by.account, state=KeyExport.State.WAITING)
    if waiting.update(state=KeyExport.State.CANCELLED) != 1:
        raise AccessRefusal("key_export.not_found", "There is no such export waiting.", actual=str(export))


def seal_key_exports(*, ring: KeyRing, now: datetime) -> int:
    """In the signer: encrypt the keys of exports that are due; return how many. Safe twice."""
    sealed = 0
    for row in KeyExport.objects.filter(state=KeyExport.State.WAITING, due__lte=now):
        key = ring.export_key(f"owner/{row.account_id}")
        output = io.BytesIO()
        pyrage.encrypt_io(io.BytesIO(key.encode()), output, [pyrage.x25519.Recipient.from_str(row.recipient)])
        sealed += KeyExport.objects.filter(pk=row.pk, state=KeyExport.State.WAITING).update(
            state=KeyExport.State.READY, sealed_key=output.getvalue()
        )
    return sealed


def derive_addresses(*, ring: KeyRing, now: datetime) -> int:
    """In the signer: make known every address that is wanted; return how many. Safe twice."""
    derived = 0
    for wanted in DerivedAddress.objects.filter(address=None):
        derived += DerivedAddress.objects.filter(pk=wanted.pk, address=None).update(address=ring.address(wanted.path))
    for contributor in Contributor.objects.filter(address=None):
        path = market_calls.contributor_path(contributor.pk)
        derived += Contributor.objects.filter(pk=contributor.pk, address=None).update(address=ring.address(path))
    for row in AccountAddress.objects.filter(state=AccountAddress.State.WANTED):
        derived += AccountAddress.objects.filter(pk=row.pk, state=AccountAddress.State.WANTED).update(
            state=AccountAddress.State.READY, address=ring.address(row.key_path), usable_from=now
        )
    return derived


def finish_handover(*, intent_key: str, failed: str = "") -> None:
    """A hand-over is final, or failed with a cause. Safe twice."""
    state = Handover.State.FAILED if failed else Handover.State.FINAL
    Handover.objects.filter(intent_key=intent_key, state=Handover.State.WANTED).update(state=state, cause=failed[:500])


def _require_second_factor(by: Actor) -> None:
    by.require(Act.MANAGE)
    by.require_person()
    if not by.second_factor:
        raise AccessRefusal(
            "access.second_factor", "Taking over keys needs a second factor.",
            todo="Set up an authenticator or a passkey under Security, then confirm with it.",
        )  # fmt: skip


def _raw(signature: str) -> bytes:
    try:
        return bytes.fromhex(signature.removeprefix("0x"))
    except ValueError as error:
        raise AccountRefusal("signature.hex", "A signature is 0x and 130 hex digits.", actual=signature[:40]) from error
