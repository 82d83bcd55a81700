"""Who asks: an account, and what the asker may do for it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import Q

from marketplace.models import Account, ApiKey, Membership, User
from provenance.core.refusal import Refusal

KEY_PREFIX = "cad_"
_PREFIX_LENGTH = 12


class AccessRefusal(Refusal):
    """The asker may not do this (`access.…`, HTTP 401 or 403), or it is not theirs (`….not_found`, HTTP 404)."""


class Act(StrEnum):
    """Kinds of things that can be done for an account; also the scopes of API keys."""

    READ = "read"
    PUBLISH = "publish"
    BUY = "buy"
    USE = "use"
    APPROVE = "approve"
    FINANCE = "finance"
    MANAGE = "manage"


Role = Membership.Role

ACTS_OF_ROLE: dict[str, frozenset[Act]] = {
    Role.OWNER: frozenset(Act),
    Role.PUBLISHER: frozenset({Act.READ, Act.PUBLISH}),
    Role.BUYER: frozenset({Act.READ, Act.BUY, Act.USE}),
    Role.FINANCE: frozenset({Act.READ, Act.APPROVE, Act.FINANCE}),
    Role.VIEWER: frozenset({Act.READ}),
}
# What a program may do. Approving, managing people, and moving money out of the register need a person.
SCOPES = frozenset({Act.READ, Act.PUBLISH, Act.BUY, Act.USE, Act.FINANCE})


@dataclass(frozen=True, slots=True)
class Actor:
    """An account with a person, or a program, that acts for it.

    `spend_limit`: base units per order, None for no limit. `key`: the API key; None for a person at a browser.
    `second_factor`: the person proved one in this session, shortly before; only the web layer can say so.
    """

    account: Account
    membership: Membership
    acts: frozenset[Act]
    spend_limit: int | None
    needs_approval: bool
    key: ApiKey | None = None
    second_factor: bool = False

    def may(self, act: Act) -> bool:
        """Return whether the asker may do `act` for the account."""
        return act in self.acts

    def require_person(self) -> None:
        """Refuse programs: some things need a person at a browser. Raises AccessRefusal `access.person` (HTTP 403)."""
        if self.key is not None:
            raise AccessRefusal("access.person", "An API key cannot do this.", todo="Sign in with a browser.")

    def require(self, act: Act) -> None:
        """Refuse unless the asker may do `act`. Raises AccessRefusal `access.role` or `access.scope` (HTTP 403)."""
        if act in self.acts:
            return
        if self.key is not None:
            raise AccessRefusal(
                "access.scope", f"This API key may not {act.value} for {self.account.slug}.",
                limit=", ".join(sorted(self.acts)), actual=act.value,
                todo="Make a key with this scope, or ask an owner to.",
            )  # fmt: skip
        roles = [role for role, acts in ACTS_OF_ROLE.items() if act in acts]
        raise AccessRefusal(
            "access.role", f"Your role in {self.account.slug} does not allow this.",
            limit=" or ".join(roles), actual=str(self.membership.role),
            todo="Ask an owner of the account to do it or to change your role.",
        )  # fmt: skip


def actor_of_user(user: User, slug: str | None = None, *, second_factor: bool = False) -> Actor:
    """Return the actor for `user` in the account `slug`, or in their personal account when it is None.

    An account of which the user is no member does not exist for them. Raises AccessRefusal `account.not_found`.
    """
    memberships = Membership.objects.select_related("account").filter(user=user)
    if slug is None:
        memberships = memberships.filter(account__kind=Account.Kind.PERSON, role=Role.OWNER)
    else:
        # A session goes on when an owner gives the organization another name meanwhile.
        memberships = memberships.filter(Q(account__slug=slug) | Q(account__former_slugs=slug))
    membership = memberships.order_by("pk").first()
    if membership is None:
        raise AccessRefusal("account.not_found", "There is no such account.", actual=slug or "personal account")
    return Actor(
        account=membership.account,
        membership=membership,
        acts=ACTS_OF_ROLE[membership.role],
        spend_limit=membership.spend_limit,
        needs_approval=membership.needs_approval,
        second_factor=second_factor,
    )


def actor_of_key(token: str, *, now: datetime) -> Actor:
    """Return the actor for an API key as it was sent. Raises AccessRefusal `access.key` (HTTP 401).

    A wrong key, a revoked one and an expired one are told apart only by their holder's page, not by a stranger.
    """
    prefix = token[: len(KEY_PREFIX) + _PREFIX_LENGTH]
    key = ApiKey.objects.select_related("account", "maker").filter(prefix=prefix).first()
    known = hmac.compare_digest(key.digest if key else "0" * 64, key_digest(token))
    if key is None or not known or key.revoked is not None or key.expires <= now:
        raise AccessRefusal(
            "access.key", "This API key is unknown, revoked or expired.", todo="Make a new key on the API keys page."
        )
    limits = [limit for limit in (key.spend_limit, key.maker.spend_limit) if limit is not None]
    return Actor(
        account=key.account,
        membership=key.maker,
        # The maker's role as it is today: whoever loses a role loses it for their keys, too.
        acts=frozenset(Act(scope) for scope in key.scopes) & ACTS_OF_ROLE[key.maker.role],
        spend_limit=min(limits) if limits else None,
        needs_approval=key.needs_approval or key.maker.needs_approval,
        key=key,
    )


def key_digest(token: str) -> str:
    """Return what is stored of an API key: its SHA-256. Its 32 random bytes need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def key_prefix(token: str) -> str:
    """Return the public part of an API key, by which it is found and recognized."""
    return token[: len(KEY_PREFIX) + _PREFIX_LENGTH]
