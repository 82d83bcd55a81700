"""Who may act for an organization: invitations, roles, leaving."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import transaction

from marketplace.actions.accounts import AccountRefusal
from marketplace.models import Account, ApiKey, Invitation, Membership, User
from marketplace.queries.actors import AccessRefusal, Act, Actor

INVITATION_DAYS = 14
OPEN_INVITATIONS = 200


@transaction.atomic
def invite_member(
    *,
    by: Actor,
    email: str,
    role: Membership.Role,
    now: datetime,
    spend_limit: int | None = None,
    needs_approval: bool = False,
) -> tuple[Invitation, str]:
    """Invite a person by e-mail; return the invitation and the token of its link, which is stored nowhere.

    Raises AccessRefusal, AccountRefusal.
    """
    by.require(Act.MANAGE)
    _check_organization(by.account)
    _check_limit(role, spend_limit)
    opened = by.account.invitations.filter(state=Invitation.State.OPEN, expires__gt=now).count()
    if opened >= OPEN_INVITATIONS:
        raise AccountRefusal(
            "invitation.too_many", "Too many invitations are open.", limit=OPEN_INVITATIONS, actual=opened,
            todo="Revoke some, or wait until they expire.",
        )  # fmt: skip
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        account=by.account,
        email=User.objects.normalize_email(email).lower(),
        role=Membership.Role(role),
        spend_limit=spend_limit,
        needs_approval=needs_approval,
        token_digest=_digest(token),
        created=now,
        expires=now + timedelta(days=INVITATION_DAYS),
    )
    return invitation, token


def revoke_invitation(*, by: Actor, invitation: Invitation) -> None:
    """Make an open invitation worthless. Raises AccessRefusal, AccountRefusal."""
    by.require(Act.MANAGE)
    changed = Invitation.objects.filter(pk=invitation.pk, account=by.account, state=Invitation.State.OPEN).update(
        state=Invitation.State.REVOKED
    )
    if changed != 1:
        raise _no_invitation()


@transaction.atomic
def accept_invitation(*, by: User, token: str, now: datetime) -> Membership:
    """Become a member. Only the invited e-mail address can accept. Raises AccountRefusal."""
    invitation = Invitation.objects.filter(token_digest=_digest(token), state=Invitation.State.OPEN).first()
    if invitation is None or invitation.expires <= now:
        raise _no_invitation()
    if invitation.email != by.email:
        raise AccountRefusal(
            "invitation.other_person", "This invitation is for another e-mail address.",
            actual=by.email, todo="Sign in with the address that was invited.",
        )  # fmt: skip
    changed = Invitation.objects.filter(pk=invitation.pk, state=Invitation.State.OPEN).update(
        state=Invitation.State.ACCEPTED
    )
    if changed != 1:
        raise _no_invitation()
    membership, created = Membership.objects.get_or_create(
        user=by,
        account=invitation.account,
        defaults={
            "role": invitation.role,
            "spend_limit": invitation.spend_limit,
            "needs_approval": invitation.needs_approval,
            "created": now,
        },
    )
    if not created:
        raise AccountRefusal("invitation.member", "You are a member already.", actual=str(membership.role))
    return membership


@transaction.atomic
def change_member(
    *,
    by: Actor,
    membership: Membership,
    role: Membership.Role,
    spend_limit: int | None = None,
    needs_approval: bool = False,
) -> Membership:
    """Change role and limits of a member; an account keeps at least one owner. Raises AccessRefusal, AccountRefusal."""
    by.require(Act.MANAGE)
    found = _own_membership(by, membership)
    _check_limit(role, spend_limit)
    if found.role == Membership.Role.OWNER and role != Membership.Role.OWNER:
        _check_other_owner(found)
    Membership.objects.filter(pk=found.pk).update(
        role=Membership.Role(role), spend_limit=spend_limit, needs_approval=needs_approval
    )
    found.refresh_from_db()
    return found


@transaction.atomic
def remove_member(*, by: Actor, membership: Membership, now: datetime) -> None:
    """Take a member out, or leave; the member's API keys are revoked. Raises AccessRefusal, AccountRefusal."""
    if membership.pk != by.membership.pk:
        by.require(Act.MANAGE)
    found = _own_membership(by, membership)
    _check_organization(found.account)
    if found.role == Membership.Role.OWNER:
        _check_other_owner(found)
    ApiKey.objects.filter(maker=found, revoked=None).update(revoked=now)
    found.delete()


def _own_membership(by: Actor, membership: Membership) -> Membership:
    # Locked together with its account, so that two owners cannot demote each other at the same moment.
    Account.objects.select_for_update().get(pk=by.account.pk)
    found = Membership.objects.select_related("account").filter(pk=membership.pk, account=by.account).first()
    if found is None:
        raise AccessRefusal("membership.not_found", "There is no such member.")
    return found


def _check_other_owner(membership: Membership) -> None:
    others = Membership.objects.filter(account=membership.account, role=Membership.Role.OWNER)
    if not others.exclude(pk=membership.pk).exists():
        raise AccountRefusal(
            "membership.last_owner", "An account needs at least one owner.", limit=1, actual=0,
            todo="Make somebody else an owner first.",
        )  # fmt: skip


def _check_organization(account: Account) -> None:
    if account.kind != Account.Kind.ORGANIZATION:
        raise AccountRefusal(
            "account.person", "A personal account has one member.", limit=1, todo="Create an organization for a team."
        )


def _check_limit(role: Membership.Role, spend_limit: int | None) -> None:
    if spend_limit is not None and spend_limit < 0:
        raise AccountRefusal("membership.limit", "A spending limit is not negative.", limit=0, actual=spend_limit)
    if role not in Membership.Role.values:
        raise AccountRefusal(
            "membership.role", "There is no such role.", limit=", ".join(Membership.Role.values), actual=str(role)[:20]
        )


def _no_invitation() -> AccountRefusal:
    return AccountRefusal(
        "invitation.not_found", "This invitation is unknown, used, revoked or expired.",
        todo="Ask an owner of the organization for a new one.",
    )  # fmt: skip


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
