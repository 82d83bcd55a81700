"""Letters to the people behind an account."""

from __future__ import annotations

from datetime import datetime

from django.core.mail import send_mail
from django.db import transaction

from marketplace import limits
from marketplace.models import Account, Membership
from marketplace.queries.actors import Actor

LETTERS_PER_DAY = 200


def count_letter(*, by: Actor, now: datetime) -> None:
    """Count a letter to somebody who may never have heard of this register, before anything is done about it.

    Raises LimitRefusal: nobody's letter box is filled from here by inviting, taking back and inviting again.
    """
    limits.take(f"letters:{by.account.pk}", limit=LETTERS_PER_DAY, seconds=86_400, now=now)


def tell_owners(account: Account, subject: str, text: str) -> None:
    """Write to the owners of an account after the commit: whoever is being robbed must hear of it in time."""
    owners = Membership.objects.filter(account=account, role=Membership.Role.OWNER).select_related("user")
    addresses = [owner.user.email for owner in owners]

    def send() -> None:
        for address in addresses:
            send_mail(subject, text, None, [address])

    # What was done stands, whether the letter leaves or not.
    transaction.on_commit(send, robust=True)
