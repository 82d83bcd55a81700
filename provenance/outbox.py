"""What shall happen on chain, written down in the transaction of whoever wants it.

`enqueue` only inserts a row: it does not fail because a node is down, and it vanishes with a transaction that is rolled
back. The signer's lanes carry the rows out (`provenance.lanes`). A kind is registered once, with the function that
turns a payload into a call; trade registers its own kinds at start.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from provenance.core.canonical import Json, canonical_bytes
from provenance.core.refusal import Refusal
from provenance.models import Deployment, Intent, IntentState, RelayBudget
from provenance.ports import Call, Chain, KeyRing
from provenance.queries import active_deployment

RELAYER = "relayer/0"
GLOBAL_SCOPE = "global"

Builder = Callable[[Mapping[str, object], KeyRing, Chain], Call]
"""Turns a payload into the call to send; signs with custodial keys where the call needs it. Raises Refusal."""


class OutboxRefusal(Refusal):
    """An effect on chain is not taken on: unknown kind, a key used for something else, a budget that is used up."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How intents of one kind are carried out.

    A contract's refusal ends an intent; one whose error is named in `retry_on` (`PayoutsWindowOpen`) only postpones it
    until its time is over. `lane` is the sending key, as a path below `lane/`, or `treasury`, `guardian`, `deployer`.
    """

    name: str
    builder: Builder
    lane: str = RELAYER
    retry_on: frozenset[str] = frozenset()


_kinds: dict[str, Kind] = {}


def register(
    kind: str, builder: Builder, *, lane: str = RELAYER, retry_on: frozenset[str] | set[str] = frozenset()
) -> None:
    """Make a kind of intent known. Registering it again replaces it: servers reload their modules."""
    _kinds[kind] = Kind(kind, builder, lane, frozenset(retry_on))


def kind_of(name: str) -> Kind:
    """Return a registered kind. Raises OutboxRefusal."""
    try:
        return _kinds[name]
    except KeyError:
        raise OutboxRefusal(
            "outbox.kind", "No such kind of transaction is registered.", actual=name,
            todo="Start the signer with the applications that wrote the intent.",
        ) from None  # fmt: skip


def enqueue(
    *,
    key: str,
    kind: str,
    payload: Mapping[str, Json],
    valid_until: dt.datetime,
    lane: str | None = None,
    party: UUID | None = None,
    deployment: Deployment | None = None,
    now: dt.datetime | None = None,
) -> Intent:
    """Want an effect on chain, once per `key`; call it inside the transaction of the rows that want it.

    `party` is the account on whose relay budget it counts; None for what the register does on its own behalf. The
    same key with the same payload returns the intent that is there. Raises OutboxRefusal.
    """
    asked = kind_of(kind)
    canonical_bytes(dict(payload))
    existing = Intent.objects.filter(key=key).first()
    if existing is not None:
        return _same(existing, kind, payload)
    now = now or timezone.now()
    target = deployment or active_deployment()
    try:
        # The reservation and the row come or go together: a lost race gives its reservation back.
        with transaction.atomic():
            if party is not None:
                reserve(chain_id=target.chain_id, party=party, day=now.date())
            return Intent.objects.create(
                key=key,
                deployment=target,
                chain_id=target.chain_id,
                lane_name=lane or asked.lane,
                kind=kind,
                payload=dict(payload),
                party=party,
                valid_until=valid_until,
                budget_day=now.date() if party is not None else None,
                created_at=now,
                updated_at=now,
            )
    except IntegrityError:
        return _same(Intent.objects.get(key=key), kind, payload)


def reserve(*, chain_id: int, party: UUID, day: dt.date) -> None:
    """Take one relayed transaction from the budgets of the account and of the register, exactly.

    Raises OutboxRefusal when either is used up; then nothing was taken.
    """
    with transaction.atomic():
        for scope, limit, code, words in (
            (_scope(party), settings.CADASTRE_RELAY_ACCOUNT_DAILY, "relay.account_budget", "This account's"),
            (GLOBAL_SCOPE, settings.CADASTRE_RELAY_GLOBAL_DAILY, "relay.global_budget", "The register's"),
        ):
            RelayBudget.objects.get_or_create(chain_id=chain_id, scope=scope, day=day)
            row = RelayBudget.objects.filter(chain_id=chain_id, scope=scope, day=day)
            if row.filter(used__lt=limit).update(used=F("used") + 1) != 1:
                raise OutboxRefusal(
                    code, f"{words} relayed transactions of today are used up.", limit=limit, actual=limit,
                    todo="Wait until midnight UTC, or send the transaction from your own wallet.",
                )  # fmt: skip


def release(intent: Intent) -> None:
    """Give back what an intent reserved that never became a transaction. Call it where its state changes, once."""
    if intent.party is None or intent.budget_day is None:
        return
    for scope in (_scope(intent.party), GLOBAL_SCOPE):
        RelayBudget.objects.filter(chain_id=intent.chain_id, scope=scope, day=intent.budget_day, used__gt=0).update(
            used=F("used") - 1
        )


def retry(intent: Intent, *, valid_until: dt.datetime, now: dt.datetime) -> None:
    """Want a failed or expired intent again that never took a nonce. Raises OutboxRefusal.

    One that holds a nonce is over: what became of its transaction is a fact.
    """
    with transaction.atomic():
        if intent.party is not None:
            reserve(chain_id=intent.chain_id, party=intent.party, day=now.date())
        changed = Intent.objects.filter(
            pk=intent.pk, state__in=(IntentState.FAILED, IntentState.EXPIRED), nonce__isnull=True
        ).update(
            state=IntentState.WANTED, valid_until=valid_until, attempts=0, code="", cause="", not_before=None,
            budget_day=now.date() if intent.party is not None else None, updated_at=now,
        )  # fmt: skip
        if changed != 1:
            raise OutboxRefusal(
                "outbox.not_over", "The transaction cannot be wanted again.", actual=intent.state,
                todo="Want it under a new key.",
            )  # fmt: skip


def _same(intent: Intent, kind: str, payload: Mapping[str, Json]) -> Intent:
    if intent.kind != kind or intent.payload != dict(payload):
        raise OutboxRefusal(
            "outbox.key_reused", "The key of this transaction belongs to another one.", actual=intent.key,
            todo="Use a new key for a new effect.",
        )  # fmt: skip
    return intent


def _scope(party: UUID) -> str:
    return f"party:{party}"
