"""The list of shares of a draft as it should be, and the letters to whom it newly names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.mail import send_mail
from django.urls import reverse

from marketplace.actions.contributors import invite_contributor, remove_contributor
from marketplace.actions.letters import count_letter
from marketplace.api.terms import SplitGiven
from marketplace.core.money import percent
from marketplace.models import Contributor, Draft
from marketplace.queries.actors import Actor
from marketplace.queries.drafts import DraftRefusal


@dataclass(frozen=True, slots=True)
class Letter:
    """An invitation to a share of somebody's income; sent after the commit."""

    to: str
    words: str

    def send(self) -> None:
        """Write to the invited person."""
        send_mail("A share for you at Cadastre", self.words, None, [self.to])


def set_shares(*, by: Actor, draft: Draft, wanted: Sequence[SplitGiven], now: datetime) -> list[Letter]:
    """Make the shares of a draft those that are wanted; who stays as they were is not asked again.

    Raises AccessRefusal, DraftRefusal, MoneyRefusal.
    """
    rows = draft.contributors.select_related("account").exclude(state=Contributor.State.DECLINED)
    kept: dict[int, Contributor] = {}
    for row in rows:
        place = next((place for place, share in enumerate(wanted) if place not in kept and _is(row, share)), None)
        if place is None:
            remove_contributor(by=by, draft=draft.pk, contributor=row.pk)
        else:
            kept[place] = row
    return [_invite(by, draft, share, now) for place, share in enumerate(wanted) if place not in kept]


def _invite(by: Actor, draft: Draft, share: SplitGiven, now: datetime) -> Letter:
    if (share.account is None) == (share.email is None):
        raise DraftRefusal("splits.person", "A share names either an account or an e-mail address.")
    count_letter(by=by, now=now)
    row, token = invite_contributor(
        by=by,
        draft=draft.pk,
        email=share.email or "",
        account=share.account or "",
        role=share.role,
        bps=share.bps,
        now=now,
    )
    link = f"{settings.CADASTRE_PUBLIC_URL}{reverse('contribution', args=[token])}"
    first = f"{by.account.display_name} shares {percent(row.bps)} of a dataset's income with you."
    return Letter(row.email, f"{first}\n\nAccept or decline: {link}\n")


def _is(row: Contributor, share: SplitGiven) -> bool:
    if (row.bps, row.role) != (share.bps, share.role.strip()):
        return False
    if share.account is not None:
        return row.account is not None and row.account.slug == share.account
    return share.email is not None and row.email == share.email.strip().lower()
