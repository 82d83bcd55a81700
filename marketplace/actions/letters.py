"""Letters to the people behind an account."""

from __future__ import annotations

from django.core.mail import send_mail
from django.db import transaction

from marketplace.models import Account, Membership


def tell_owners(account: Account, subject: str, text: str) -> None:
    """Write to the owners of an account after the commit: whoever is being robbed must hear of it in time."""
    owners = Membership.objects.filter(account=account, role=Membership.Role.OWNER).select_related("user")
    addresses = [owner.user.email for owner in owners]

    def send() -> None:
        for address in addresses:
            send_mail(subject, text, None, [address])

    transaction.on_commit(send)
