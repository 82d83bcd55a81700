"""What only the signer can do for others: signatures of custodial keys, content keys, and grants.

Rows say what is wanted; `sign_due` takes what is due, safe twice and twice at once. A grant answers one question:
*encrypt the content key of package P to recipient R if license L is active and final*. The chain is asked at its final
block, not a projection: a wrong row must not release a key.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from provenance import bootstrap
from provenance.adapters.typed_data import typed_data_digest
from provenance.core.canonical import document_bytes
from provenance.core.refusal import Refusal
from provenance.core.typed_data import TypedData
from provenance.doorbell import ring as ring_doorbell
from provenance.intake import submit_statement
from provenance.models import (
    ContentAct,
    ContentKey,
    Deployment,
    Document,
    GrantRow,
    GrantState,
    KeyState,
    PackageRecord,
    SignatureRequest,
    SignatureState,
)
from provenance.ports import CallRefused, Chain, ChainDown, KeyRing
from provenance.queries import QueryRefusal, license_deployment

SIGN_TASK = "provenance.tasks.sign"
BATCH = 64
GRANT_SCHEMA = "cadastre.grant/1"
_ACTIVE = 1
_CAUSE = 500


class SigningRefusal(Refusal):
    """The signer refuses: unknown typed data, a license that is not active, a key that is destroyed."""


class NotYet(Exception):
    """What is asked may become possible by itself: the row stays wanted."""


def request_signature(
    *, party: UUID | None, key_path: str, typed_data: TypedData | Mapping[str, object], now: dt.datetime
) -> SignatureRequest:
    """Want the custodial key at `key_path` to sign; the same question twice is one request. Rings after the commit.

    Call it inside the transaction that wants it. Raises KeyRefusal when the typed data is malformed.
    """
    said = typed_data.to_json() if isinstance(typed_data, TypedData) else dict(typed_data)
    row, made = SignatureRequest.objects.get_or_create(
        key_path=key_path,
        digest=typed_data_digest(said),
        defaults={"party": party, "typed_data": said, "created_at": now},
    )
    if made:
        ring_doorbell(SIGN_TASK)
    return row


def sign_due(ring: KeyRing, now: dt.datetime, *, limit: int = BATCH) -> int:
    """Sign, make keys, grant; return how many rows changed."""
    done = 0
    for request in SignatureRequest.objects.filter(state=SignatureState.WANTED).order_by("created_at")[:limit]:
        done += _sign(request, ring, now)
    for key in ContentKey.objects.filter(state=KeyState.WANTED).order_by("created")[:limit]:
        done += _make_key(key, ring, now)
    # Those that have to wait go to the end of the line.
    for grant in GrantRow.objects.filter(state=GrantState.WANTED).order_by("changed")[:limit]:
        done += _decide_grant(grant, ring, now)
    return done


def recipient_commitment(recipient: str, sealed_key: bytes) -> str:
    """Return the digest that the log holds instead of a recipient.

    The salt is the SHA-256 of the sealed key: random bytes that only a holder of the grant knows, so that the grant
    proves whose it is, and nothing else does.
    """
    salt = hashlib.sha256(sealed_key).digest()
    return hashlib.sha256(b"cadastre.recipient/1\0" + salt + b"\0" + recipient.encode()).hexdigest()


def _sign(request: SignatureRequest, ring: KeyRing, now: dt.datetime) -> int:
    wanted = SignatureRequest.objects.filter(pk=request.pk, state=SignatureState.WANTED)
    try:
        signed = ring.sign_typed_data(request.key_path, request.typed_data)
        if signed.digest != request.digest:
            raise SigningRefusal(
                "signing.digest", "The typed data is not what was asked for.", limit=request.digest,
                actual=signed.digest,
            )  # fmt: skip
    except Refusal as refusal:
        return wanted.update(state=SignatureState.REFUSED, cause=str(refusal))
    return wanted.update(
        state=SignatureState.SIGNED, signer=signed.signer, signature=signed.signature, signed_at=now, cause=""
    )


def _make_key(key: ContentKey, ring: KeyRing, now: dt.datetime) -> int:
    made = ring.make_identity()
    return ContentKey.objects.filter(pk=key.pk, state=KeyState.WANTED).update(
        state=KeyState.MADE, recipient=made.recipient, wrapped=made.wrapped, changed=now
    )


def _decide_grant(grant: GrantRow, ring: KeyRing, now: dt.datetime) -> int:
    wanted = GrantRow.objects.filter(pk=grant.pk, state=GrantState.WANTED)
    try:
        dataset = _entitled_dataset(grant)
        _check_not_withheld(dataset)
        sealed = ring.grant_identity(_content_key(grant, dataset), grant.recipient)
    except (NotYet, ChainDown) as waiting:
        wanted.update(cause=str(waiting)[:_CAUSE], changed=now)
        return 0
    except Refusal as refusal:
        return wanted.update(state=GrantState.REFUSED, cause=str(refusal)[:_CAUSE], changed=now)
    return _grant(grant, sealed, now)


def _grant(grant: GrantRow, sealed: bytes, now: dt.datetime) -> int:
    data = document_bytes(
        {
            "schema": GRANT_SCHEMA,
            "license": grant.license,
            "package": grant.package,
            "recipient": grant.recipient,
            "sealed_key": base64.b64encode(sealed).decode(),
        }
    )
    digest = hashlib.sha256(data).hexdigest()
    commitment = recipient_commitment(grant.recipient, sealed)
    with transaction.atomic():
        changed = GrantRow.objects.filter(pk=grant.pk, state=GrantState.WANTED).update(
            state=GrantState.GRANTED, document=digest, cause="", changed=now
        )
        if not changed:
            return 0  # another signer granted it: its document stands
        Document.create_from_bytes(data, schema=GRANT_SCHEMA, public=False)
        submit_statement(
            type="key.granted", subject=grant.license, fact=f"key.granted:{grant.license}:{digest}", time=now,
            body={"package": grant.package, "recipient": commitment, "grant": digest},
        )  # fmt: skip
    return changed


@dataclass(frozen=True, slots=True)
class _Dataset:
    deployment: Deployment
    token: int
    version: int

    @property
    def caip(self) -> str:
        return self.deployment.dataset_caip(self.token)


def _entitled_dataset(grant: GrantRow) -> _Dataset:
    """Return the dataset whose package the license opens, as the chain says at its final block."""
    try:
        deployment, number = license_deployment(grant.license)
    except QueryRefusal as refusal:
        raise SigningRefusal(refusal.code, refusal.message, actual=refusal.actual) from refusal
    licensed = _final_license(bootstrap.chain(deployment), number)
    package = PackageRecord.objects.filter(deployment=deployment, digest=grant.package, token=licensed).first()
    if package is not None:
        return _Dataset(deployment, package.token, package.version)
    if PackageRecord.objects.filter(digest=grant.package).exists():
        raise _other_dataset(grant, licensed)
    raise NotYet("The package is not registered yet.")


def _other_dataset(grant: GrantRow, licensed: int) -> SigningRefusal:
    return SigningRefusal(
        "grant.other_dataset", "The package belongs to another dataset than the license.", limit=f"dataset {licensed}",
        actual=grant.package,
    )  # fmt: skip


def _final_license(chain: Chain, number: int) -> int:
    head = chain.header("finalized")
    try:
        record: Any = chain.read("Market", "license", number, at=head.number)
    except CallRefused as refusal:
        if refusal.code == "chain.LicensesUnknown":
            raise NotYet("The license is not final yet.") from refusal
        raise
    is_over = record["end"] != 0 and head.timestamp >= record["end"]
    if record["status"] != _ACTIVE or is_over:
        raise SigningRefusal(
            "grant.not_active", "The license is not active.", limit="active",
            actual="expired" if is_over else "refunded or revoked",
        )  # fmt: skip
    return int(record["dataset"])


def _check_not_withheld(dataset: _Dataset) -> None:
    act = ContentAct.objects.filter(dataset=dataset.caip, version__in=(0, dataset.version)).first()
    if act is not None:
        raise SigningRefusal(
            "grant.withheld", "The content is no longer delivered.", actual=act.act,
            todo=f"See the trail of {dataset.caip}.",
        )  # fmt: skip


def _content_key(grant: GrantRow, dataset: _Dataset) -> bytes:
    """Return the wrapped key of a package that was sealed here for this very dataset.

    Digests on chain are public: anybody may register somebody else's package as their own, and sell it to themselves.
    """
    keys = ContentKey.objects.filter(package=grant.package)
    key = keys.filter(submission__dataset=dataset.caip).first()
    if key is None and keys.exclude(submission__dataset="").exists():
        raise _other_dataset(grant, dataset.token)
    if key is None:
        raise NotYet("The content key is not known here yet.")
    match key.state:
        case KeyState.MADE:
            return bytes(key.wrapped or b"")
        case KeyState.DESTROYED:
            raise SigningRefusal("grant.destroyed", "The content key was destroyed.", actual=grant.package)
        case _:
            raise NotYet("The content key is not made yet.")
