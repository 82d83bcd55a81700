"""Signing up, and the accounts of persons and organizations."""

from __future__ import annotations

import re
import secrets
import unicodedata
from datetime import datetime

from allauth.account.models import EmailAddress
from django.db import transaction

from marketplace.market_calls import DERIVE
from marketplace.models import Account, AccountAddress, FormerSlug, Membership, User
from marketplace.queries.actors import Act, Actor
from provenance.core.refusal import Refusal
from provenance.doorbell import ring
from provenance.paths import is_unseen

NAME_LIMIT = 100
SLUG_LIMIT = 40
# First segments of addresses that are, or may become, pages.
_RESERVED = """
about account accounts admin api api-docs audit balance blog cadastre certificate checkout cid contribution d
dashboard datasets disclosed docs draft e earnings explore find grants healthz help home invitation jobs l legal
license licenses log login logout look-up lookup market new notice operator orders org organizations payouts preview
pricing privacy problems publish register robots s search security settings settlements sha256 sign-in sign-up static
status support terms test uploads verify webhooks
"""
RESERVED = frozenset(_RESERVED.split())

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


class AccountRefusal(Refusal):
    """A change of an account is refused."""


@transaction.atomic
def complete_sign_up(*, user: User, now: datetime, display_name: str | None = None) -> User:
    """Save a new user together with the personal account, and ask the signer for its address on chain.

    The display name is what others read; until the person chooses one it is the name of the account, never the
    e-mail address.
    """
    user.save()
    slug = _free_slug(display_name or user.email.partition("@")[0])
    create_account(kind=Account.Kind.PERSON, slug=slug, display_name=display_name or slug, owner=user, now=now)
    return user


@transaction.atomic
def sign_up(*, email: str, password: str, display_name: str, now: datetime) -> Actor:
    """Create a person who can sign in at once, as commands and demo do; pages go through django-allauth."""
    address = User.objects.normalize_email(email).lower()
    if User.objects.filter(email=address).exists():
        raise AccountRefusal("account.email_taken", "Somebody has signed up with this e-mail address.", todo="Sign in.")
    user = User(email=address)
    user.set_password(password)
    complete_sign_up(user=user, now=now, display_name=checked_name(display_name))
    EmailAddress.objects.create(user=user, email=address, primary=True, verified=True)
    membership = Membership.objects.select_related("account").get(user=user)
    return Actor(membership.account, membership, frozenset(Act), None, needs_approval=False)


@transaction.atomic
def create_organization(*, by: User, slug: str, display_name: str, now: datetime) -> Account:
    """Create an organization whose first owner is `by`. Raises AccountRefusal."""
    return create_account(kind=Account.Kind.ORGANIZATION, slug=slug, display_name=display_name, owner=by, now=now)


@transaction.atomic
def create_account(*, kind: Account.Kind, slug: str, display_name: str, owner: User, now: datetime) -> Account:
    """Create an account with its first owner and its wanted custodial address. Raises AccountRefusal."""
    account = Account.objects.create(
        kind=kind, slug=_checked_slug(slug), display_name=checked_name(display_name), created=now
    )
    Membership.objects.create(user=owner, account=account, role=Membership.Role.OWNER, created=now)
    AccountAddress.objects.create(
        account=account,
        purpose=AccountAddress.Purpose.OWNER,
        key_path=f"owner/{account.id}",
        created=now,
        usable_from=now,
    )
    # Somebody who has just signed up wants to begin now, not after the next sweep.
    ring(DERIVE)
    return account


@transaction.atomic
def rename_account(*, by: Actor, display_name: str, slug: str | None = None) -> Account:
    """Change the display name and, where wanted, the name in addresses. What is published keeps the name it had.

    The former name in addresses goes on leading here, and only this account can take it again. Raises AccountRefusal,
    AccessRefusal.
    """
    by.require(Act.MANAGE)
    changes = {"display_name": checked_name(display_name)}
    if slug is not None and slug != by.account.slug:
        changes["slug"] = _checked_slug(slug, again=by.account)
        FormerSlug.objects.filter(slug=slug, account=by.account).delete()
        FormerSlug.objects.get_or_create(slug=by.account.slug, defaults={"account": by.account})
    Account.objects.filter(pk=by.account.pk).update(**changes)
    by.account.refresh_from_db()
    return by.account


def _checked_slug(slug: str, *, again: Account | None = None) -> str:
    if _SLUG.fullmatch(slug) is None:
        raise AccountRefusal(
            "account.slug", "The name in addresses has lower-case letters, digits and hyphens.",
            limit=SLUG_LIMIT, actual=slug[:80], todo="For example: ada-lovelace.",
        )  # fmt: skip
    if _is_taken(slug, again=again):
        raise AccountRefusal("account.slug_taken", "This name is taken.", actual=slug, todo="Choose another one.")
    return slug


def _is_taken(slug: str, *, again: Account | None = None) -> bool:
    # Present names first: one that is given up between the two questions is a former one by the second.
    if slug in RESERVED or Account.objects.filter(slug=slug).exists():
        return True
    former = FormerSlug.objects.filter(slug=slug)
    return (former if again is None else former.exclude(account=again)).exists()


def checked_name(name: str) -> str:
    """Return a display name in its NFC form. Raises AccountRefusal."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= NAME_LIMIT or any(map(is_unseen, name)):
        raise AccountRefusal(
            "account.display_name", f"A display name has 1 to {NAME_LIMIT} characters that can be seen.",
            limit=NAME_LIMIT, actual=len(name),
        )  # fmt: skip
    return name


def _free_slug(wish: str) -> str:
    plain = unicodedata.normalize("NFKD", wish.lower()).encode("ascii", "ignore").decode()
    base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:30].strip("-") or "person"
    if not _is_taken(base):
        return base
    return f"{base}-{secrets.token_hex(4)}"
