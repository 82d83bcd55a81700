"""Keys for programs: made, shown once, revoked."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from marketplace.actions.accounts import AccountRefusal
from marketplace.actions.letters import tell_owners
from marketplace.models import ApiKey
from marketplace.queries.actors import (
    ACTS_OF_ROLE,
    KEY_PREFIX,
    SCOPES,
    AccessRefusal,
    Act,
    Actor,
    key_digest,
    key_prefix,
)

DAYS_LIMIT = 366
KEYS_LIMIT = 100
# Seconds between two writes of `last_used`: a busy key must not turn every read into a write.
_USE_GRAIN = timedelta(seconds=60)


@transaction.atomic
def create_api_key(
    *,
    by: Actor,
    name: str,
    scopes: Collection[str],
    days: int,
    now: datetime,
    spend_limit: int | None = None,
) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret, which is shown once and stored nowhere.

    Scopes are among those that the maker's own role allows; limits of the maker hold for the key as well. The account's
    owners hear of it: a key outlives the session, and the password, of whoever made it.
    Raises AccessRefusal, AccountRefusal.
    """
    by.require_person()
    allowed = SCOPES & ACTS_OF_ROLE[by.membership.role]
    wanted = _checked_scopes(scopes, allowed)
    if not 1 <= days <= DAYS_LIMIT:
        raise AccountRefusal("api_key.days", "A key lives 1 to 366 days.", limit=DAYS_LIMIT, actual=days)
    if not 1 <= len(name.strip()) <= 100:
        raise AccountRefusal(
            "api_key.name", "A key's name has 1 to 100 characters.", limit=100, actual=len(name.strip())
        )
    if spend_limit is not None and spend_limit < 0:
        raise AccountRefusal("api_key.limit", "A spending limit is not negative.", limit=0, actual=spend_limit)
    count = by.account.api_keys.filter(revoked=None, expires__gt=now).count()
    if count >= KEYS_LIMIT:
        raise AccountRefusal(
            "api_key.too_many", "The account has too many keys.", limit=KEYS_LIMIT, actual=count, todo="Revoke one."
        )
    token = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        account=by.account,
        name=name.strip(),
        prefix=key_prefix(token),
        digest=key_digest(token),
        scopes=sorted(scope.value for scope in wanted),
        role=by.membership.role,
        spend_limit=spend_limit,
        needs_approval=by.needs_approval,
        maker=by.membership,
        created=now,
        expires=now + timedelta(days=days),
    )
    tell_owners(
        by.account,
        "A new API key at Cadastre",
        f"{by.membership.user.email} made the API key {key.name} for {by.account.display_name}.\n"
        f"It may {', '.join(key.scopes)}, until {key.expires:%Y-%m-%d %H:%M} UTC.\n"
        f"If this was not you, revoke it under {settings.CADASTRE_PUBLIC_URL}/settings/keys\n"
        "and change your password.\n",
    )
    return key, token


def revoke_api_key(*, by: Actor, key: ApiKey, now: datetime) -> None:
    """Revoke one's own key or, as an owner, any key of the account. Raises AccessRefusal."""
    keys = ApiKey.objects.filter(pk=key.pk, account=by.account, revoked=None)
    if not by.may(Act.MANAGE):
        keys = keys.filter(maker=by.membership)
    if keys.update(revoked=now) != 1:
        raise AccessRefusal("api_key.not_found", "There is no such key.")


def note_use(*, key: ApiKey, now: datetime) -> None:
    """Remember that a key was used, to the minute."""
    if key.last_used is None or key.last_used < now - _USE_GRAIN:
        ApiKey.objects.filter(pk=key.pk).update(last_used=now)


def _checked_scopes(scopes: Collection[str], allowed: frozenset[Act]) -> frozenset[Act]:
    if not scopes:
        raise AccountRefusal("api_key.scopes", "A key without scopes can do nothing.", limit=1, actual=0)
    unknown = sorted(set(scopes) - {scope.value for scope in allowed})
    if unknown:
        raise AccountRefusal(
            "api_key.scopes", "The key asks for scopes that you cannot give.",
            limit=", ".join(sorted(scope.value for scope in allowed)), actual=", ".join(unknown)[:80],
        )  # fmt: skip
    return frozenset(Act(scope) for scope in scopes)
