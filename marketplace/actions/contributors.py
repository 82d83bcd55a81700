"""Sharing a dataset's income with people who helped to make it.

An invited contributor needs no account and no wallet: the signer holds an address for the invitation, the share stands
in the splits document under it, and on chain it waits until the person has accepted.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet, Sum

from marketplace import market_calls
from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.money import BPS, check_bps
from marketplace.core.splits import ROLE_LIMIT, SHARES_LIMIT
from marketplace.models import Account, AccountAddress, Contributor, Draft, Membership, PayeeRow, User
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.deployments import deployment_of
from marketplace.queries.drafts import DraftRefusal, own_draft


@transaction.atomic
def invite_contributor(
    *, by: Actor, draft: UUID, role: str, bps: int, now: datetime, email: str = "", account: str = ""
) -> tuple[Contributor, str]:
    """Promise `bps` of the owner's income to a person; return the invitation and the token of its link.

    The person is named by e-mail address, or by account (slug): then their address is for the letter only, and is not
    shown. Raises AccessRefusal, DraftRefusal, MoneyRefusal.
    """
    by.require(Act.PUBLISH)
    # The draft's row is locked, so that two invitations at once cannot promise more than everything.
    Draft.objects.select_for_update().filter(pk=draft, account=by.account).first()
    found = _open_draft(by, draft)
    named = _owner(account) if account else None
    return create_invitation(
        draft=found, others=found.contributors.exclude(state=Contributor.State.DECLINED), role=role, bps=bps,
        email=email if named is None else named.user.email, account=None if named is None else named.account, now=now,
        todo="Remove it first.",
    )  # fmt: skip


def create_invitation(
    *, draft: Draft, others: QuerySet[Contributor], role: str, bps: int, email: str, now: datetime, todo: str,
    account: Account | None = None,
) -> tuple[Contributor, str]:  # fmt: skip
    """Create an invitation beside the shares of `others`; return it and the token of its link.

    `todo` says what helps a person who has a share already. Call it with the row locked that `others` belong to.
    Raises DraftRefusal, MoneyRefusal.
    """
    check_room(others, bps)
    role = role.strip()
    if not 1 <= len(role) <= min(ROLE_LIMIT, 60):
        raise DraftRefusal("splits.role", "A role has 1 to 60 characters.", limit=60, actual=len(role))
    token = secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            contributor = Contributor.objects.create(
                draft=draft, email=User.objects.normalize_email(email).lower(), account=account, role=role, bps=bps,
                token_digest=_digest(token), created=now,
            )  # fmt: skip
    except IntegrityError as error:
        raise DraftRefusal("splits.twice", "This person has a share already.", todo=todo) from error
    return contributor, token


def check_room(others: QuerySet[Contributor], bps: int) -> None:
    """Check that `bps` fit beside the shares of `others`. Raises DraftRefusal, MoneyRefusal."""
    if check_bps(bps) == 0:
        raise DraftRefusal("splits.zero", "A share of 0 % is not a share.", limit=1, actual=0)
    promised = others.aggregate(total=Sum("bps"))["total"] or 0
    if promised + bps > BPS:
        raise DraftRefusal(
            "splits.over_100_percent", "The shares add up to more than 100 %.", limit=BPS, actual=promised + bps,
            todo="Lower some of them; you keep what is left.",
        )  # fmt: skip
    if others.count() >= SHARES_LIMIT:
        raise DraftRefusal(
            "splits.too_many", "Too many people share the income.", limit=SHARES_LIMIT, actual=others.count() + 1
        )


@transaction.atomic
def remove_contributor(*, by: Actor, draft: UUID, contributor: UUID) -> None:
    """Take a share back before publication. Raises AccessRefusal, DraftRefusal."""
    by.require(Act.PUBLISH)
    found = _open_draft(by, draft)
    if found.contributors.filter(pk=contributor).delete()[0] == 0:
        raise _unknown()


@transaction.atomic
def accept_contribution(*, by: Actor, token: str, now: datetime) -> Contributor:
    """Accept a share for one's account: its address becomes one of the account's. Raises DraftRefusal.

    Before the address exists there is nothing to receive yet; the sweep attaches it when the signer has made it.
    """
    by.require(Act.MANAGE)
    contributor = _invited(token)
    if contributor.email != by.membership.user.email:
        raise DraftRefusal(
            "splits.other_person", "This share is for another e-mail address.", actual=by.membership.user.email,
            todo="Sign in with the address that was invited.",
        )  # fmt: skip
    changed = Contributor.objects.filter(pk=contributor.pk, state=Contributor.State.INVITED).update(
        state=Contributor.State.ACCEPTED, account=by.account
    )
    if changed != 1:
        raise _unknown()
    AccountAddress.objects.get_or_create(
        key_path=f"contributor/{contributor.pk}",
        purpose=AccountAddress.Purpose.PAYEE,
        defaults={
            "account": by.account,
            "address": contributor.address,
            "state": AccountAddress.State.READY if contributor.address else AccountAddress.State.WANTED,
            "created": now,
            "usable_from": now,
        },
    )
    contributor.refresh_from_db()
    return contributor


def decline_contribution(*, token: str) -> Contributor:
    """Decline a share before publication; afterwards it stays where it is, waiting. Raises DraftRefusal."""
    contributor = _invited(token)
    changed = Contributor.objects.filter(
        pk=contributor.pk, state=Contributor.State.INVITED, draft__state=Draft.State.OPEN
    ).update(state=Contributor.State.DECLINED)
    if changed != 1:
        raise DraftRefusal(
            "splits.published", "The dataset is published with this share; it waits until you accept it.",
            todo="Do nothing to leave it where it is.",
        )  # fmt: skip
    contributor.refresh_from_db()
    return contributor


def advance_contributors(*, now: datetime, limit: int = 200) -> int:
    """Accept on chain the shares that people have accepted here; return how many were wanted. Safe twice."""
    waiting = PayeeRow.objects.filter(accepted=False).values_list("address", flat=True)
    wanted = 0
    accepted = Contributor.objects.filter(state=Contributor.State.ACCEPTED, address__in=waiting)
    for contributor in accepted.select_related("draft")[:limit]:
        assert contributor.address is not None
        deployment = deployment_of(AssetName.parse(contributor.draft.dataset, AssetKind.DATASET))
        market_calls.want(
            kind="market.accept_payee",
            key=f"accept-payee:{deployment.market}:{contributor.address}",
            payload={
                "account": contributor.address,
                "key_path": market_calls.contributor_path(contributor.pk),
            },
            deployment=deployment,
            now=now,
        )
        wanted += 1
    return wanted


def _open_draft(by: Actor, draft: UUID) -> Draft:
    found = own_draft(by.account, draft)
    if found.state != Draft.State.OPEN:
        raise DraftRefusal(
            "draft.state", "The shares of a published dataset are changed on its page.",
            limit=str(Draft.State.OPEN), actual=str(found.state),
        )  # fmt: skip
    return found


def _owner(account: str) -> Membership:
    owners = Membership.objects.select_related("account", "user").filter(
        account__slug=account, role=Membership.Role.OWNER
    )
    found = owners.order_by("pk").first()
    if found is None:
        raise AccessRefusal("account.not_found", "There is no such account.", actual=account[:80])
    return found


def _invited(token: str) -> Contributor:
    found = (
        Contributor.objects.select_related("draft")
        .filter(token_digest=_digest(token), state=Contributor.State.INVITED)
        .first()
    )
    if found is None:
        raise _unknown()
    return found


def _unknown() -> DraftRefusal:
    return DraftRefusal("splits.not_found", "There is no such share, or it was answered before.")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
