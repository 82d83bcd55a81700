"""What trade asks of evidence's machinery: transactions, signatures, addresses of keys, statements for the log.

One door, so that names of keys and lanes, and how long a wish lives, stand in one place. Every function only writes
rows, inside the caller's transaction; the signer and the sequencer take what is due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from marketplace.models import DerivedAddress, LicenseRow
from provenance import bootstrap, outbox, pinning, signing
from provenance.chain_facts import fact_key
from provenance.core.canonical import Json
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.typed_data import TypedData
from provenance.doorbell import ring
from provenance.intake import submit_statement
from provenance.models import ChainEvent, Deployment, Document, Intent, SignatureRequest

TREASURY = "treasury"
SIGN = "provenance.tasks.sign"
PIN = "provenance.content_tasks.tend_copies"
DERIVE = "marketplace.tasks.derive_addresses"
PURCHASE_LIVES = timedelta(minutes=30)
CALL_LIVES = timedelta(hours=24)


def licensee_path(order: UUID) -> str:
    """Return the key path of the fresh address that holds the license of an order."""
    return f"licensee/{order}"


def licensee_key(row: LicenseRow) -> str | None:
    """Return the key path of a license's licensee, or None when a wallet of the holder's own is the licensee."""
    order = row.order
    return None if order is None or row.licensee == order.payer else licensee_path(order.pk)


def contributor_path(contributor: UUID) -> str:
    """Return the key path of the address that holds an invited contributor's share."""
    return f"contributor/{contributor}"


def want(
    *,
    kind: str,
    key: str,
    payload: Mapping[str, Json],
    deployment: Deployment,
    now: datetime,
    party: UUID | None = None,
    lives: timedelta = CALL_LIVES,
) -> Intent:
    """Want one effect on chain; wanting it again under the same key is wanting it once. Rings after the commit.

    `party` is whose relay budget it uses; None for the register's own business. Raises OutboxRefusal when that budget
    is used up.
    """
    intent = outbox.enqueue(
        key=key, kind=kind, payload=payload, deployment=deployment, party=party, valid_until=now + lives, now=now
    )
    ring(SIGN)
    return intent


def want_signature(*, party: UUID, key_path: str, typed_data: TypedData, now: datetime) -> SignatureRequest:
    """Want the custodial key at `key_path` to sign; the same question twice is one request."""
    return signing.request_signature(party=party, key_path=key_path, typed_data=typed_data.to_json(), now=now)


def publish_document(data: bytes, *, schema: str, now: datetime) -> Document:
    """Keep a document here and have it pinned: what a digest on chain or in the log leads to must be found."""
    row = Document.create_from_bytes(data, schema=schema)
    cid = Cid.of_digest(Sha256.from_hex(row.pk))
    pinning.want_pins(cid=cid, stores=list(bootstrap.content_stores()), now=now, announced=True)
    ring(PIN)
    return row


def is_pinned(digest: str) -> bool:
    """Return whether at least one store holds a document, announced or not."""
    return pinning.copies_of(Cid.of_digest(Sha256.from_hex(digest))).seen > 0


def want_address(path: str, *, now: datetime) -> str | None:
    """Return the address of a key, or None after asking the signer for it."""
    row, made = DerivedAddress.objects.get_or_create(path=path, defaults={"created": now})
    if made:
        ring(DERIVE)
    return row.address


def known_address(path: str) -> str | None:
    """Return the address of a key if the signer has made it known."""
    return DerivedAddress.objects.filter(path=path).values_list("address", flat=True).first()


def state_fact(
    *,
    type: str,  # noqa: A002  # the statement's own word
    subject: str,
    unique: str,
    body: Mapping[str, Json],
    now: datetime,
    signatures: Sequence[Mapping[str, Json]] = (),
) -> None:
    """Put a statement that does not live on chain into the intake, once per (type, subject, unique)."""
    submit_statement(
        type=type, subject=subject, fact=f"{type}:{subject}:{unique}", body=body, time=now, signatures=signatures
    )


def state_event(
    *,
    type: str,  # noqa: A002  # the statement's own word
    subject: str,
    event: ChainEvent,
    body: Mapping[str, Json],
    part: str = "",
) -> None:
    """Put a statement about a final event into the intake, once per event, or per `part` of one that makes several."""
    submit_statement(
        type=type, subject=subject, fact=fact_key(event, part), body=body, time=event_time(event),
        chain=dict(event.coordinates),
    )  # fmt: skip


def owner_signature(request: SignatureRequest, deployment: Deployment) -> dict[str, Json]:
    """Return a person's signature as log entries carry it."""
    return {
        "role": "owner",
        "alg": "eip712",
        "signer": deployment.account_caip(request.signer),
        "digest": request.digest,
        "signature": request.signature,
    }


def event_time(event: ChainEvent) -> datetime:
    """Return the time of the event's block."""
    return datetime.fromtimestamp(event.block_time, tz=UTC)
