"""Who belongs to an account, who is invited, and which keys it has."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from marketplace.models import Account, ApiKey, Invitation, KeyExport, Membership, User
from marketplace.queries.actors import AccessRefusal, Act, Actor


def members_of(account: Account) -> QuerySet[Membership]:
    """Return the members of an account, longest first."""
    return Membership.objects.select_related("user", "account").filter(account=account).order_by("created", "pk")


def memberships_of(user: User) -> QuerySet[Membership]:
    """Return the accounts for which a person may act, the person's own first."""
    return Membership.objects.select_related("account").filter(user=user).order_by("-account__kind", "account__slug")


def own_member(account: Account, membership: int) -> Membership:
    """Return a member of the account. Raises AccessRefusal `membership.not_found`."""
    found = members_of(account).filter(pk=membership).first()
    if found is None:
        raise AccessRefusal("membership.not_found", "There is no such member.", actual=membership)
    return found


def open_invitations(account: Account, *, now: datetime) -> QuerySet[Invitation]:
    """Return the invitations that can still be accepted, newest first."""
    return account.invitations.filter(state=Invitation.State.OPEN, expires__gt=now).order_by("-created")


def api_keys_for(actor: Actor) -> QuerySet[ApiKey]:
    """Return the keys that the actor may revoke: all for owners, their own for others; newest first."""
    keys = actor.account.api_keys.select_related("maker__user").order_by("-created")
    return keys if actor.may(Act.MANAGE) else keys.filter(maker=actor.membership)


def key_exports_of(account: Account) -> QuerySet[KeyExport]:
    """Return the account's requests to take over its key, newest first."""
    return account.key_exports.order_by("-created")
