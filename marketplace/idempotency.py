"""One effect per `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): the record is part of the effect.

1. The record is inserted first, in the transaction of the effect. Of many that arrive at once one inserts; the others
   wait for its commit at the unique index (SQLite: at the write lock) and then find the record.
2. The effect runs and its answer is written into the record. A refusal rolls both back: the key stays free.
3. Who finds a record gets its answer if the request was the same, and a refusal if it was another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction

from marketplace.models import IdempotencyRecord
from provenance.core.canonical import Json, document_digest
from provenance.core.refusal import Refusal

KEY_LIMIT = 255
KEPT = timedelta(days=30)


class IdempotencyRefusal(Refusal):
    """A key cannot be used for this request."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a request; `replayed` when it was given before."""

    status: int
    response: dict[str, Json]
    replayed: bool


class _Taken(Exception):
    """Somebody else has inserted the record."""


def once(
    *, account: UUID, key: str, request: Json, effect: Callable[[], tuple[int, dict[str, Json]]], now: datetime
) -> Outcome:
    """Run `effect` once per (account, key) and return its (status, response), now and at every later try.

    `request` is what must be equal for a retry to be a retry: the action's name and everything that was asked.
    Raises IdempotencyRefusal `idempotency.other_body` (HTTP 422), and whatever the effect refuses.
    """
    if not 1 <= len(key) <= KEY_LIMIT or not key.isprintable():
        raise IdempotencyRefusal(
            "idempotency.key", f"An idempotency key has 1 to {KEY_LIMIT} printable characters.",
            limit=KEY_LIMIT, actual=len(key), todo="Send a random UUID.",
        )  # fmt: skip
    digest = document_digest(request).hex
    found = _answer(account, key, digest)
    if found is not None:
        return found
    try:
        with transaction.atomic():
            record = _insert(account, key, digest, now)
            status, response = effect()
            IdempotencyRecord.objects.filter(pk=record.pk).update(status=status, response=response)
            return Outcome(status, response, replayed=False)
    except _Taken:
        found = _answer(account, key, digest)
        if found is None:
            # The winner was refused and rolled back: this try is the first one now.
            return once(account=account, key=key, request=request, effect=effect, now=now)
        return found


def forget_before(now: datetime) -> int:
    """Delete records older than 30 days; return how many."""
    return IdempotencyRecord.objects.filter(created__lt=now - KEPT).delete()[0]


def _insert(account: UUID, key: str, digest: str, now: datetime) -> IdempotencyRecord:
    try:
        with transaction.atomic():
            return IdempotencyRecord.objects.create(
                account_id=account, key=key, request_digest=digest, status=0, response={}, created=now
            )
    except IntegrityError as error:
        raise _Taken from error


def _answer(account: UUID, key: str, digest: str) -> Outcome | None:
    record = IdempotencyRecord.objects.filter(account_id=account, key=key).first()
    if record is None:
        return None
    if record.request_digest != digest:
        raise IdempotencyRefusal(
            "idempotency.other_body", "This idempotency key was used for another request.",
            actual=key, todo="Use a new key for a new request, or send the first request again unchanged.",
        )  # fmt: skip
    return Outcome(record.status, record.response, replayed=True)
