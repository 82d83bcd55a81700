"""The acts that stop delivery, as a person does them: withhold, erase, each with its reason in the trail.

*Delist* (`actions.listings`) leaves content alone. *Withhold* stops delivery and gives undelivered buyers their money
back while it is held. *Erase* destroys keys, salts, fingerprints and previews as well, and cannot be undone.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from marketplace.actions.licenses import refund_undelivered
from marketplace.actions.listings import withhold_listing
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.catalog import own_listing
from provenance import takedowns
from provenance.models import ContentAct

OWNER_REASONS = ("owner-request", "personal-data", "rights-claim")


@transaction.atomic
def withhold_dataset(
    *, by: Actor, dataset: str, reason: str, now: datetime, version: int | None = None, order: str | None = None
) -> ContentAct:
    """Stop sales and delivery of one version, or of all. Owners for reasons of their own, operators for any.

    `order` is the digest of the order that demands it. Raises AccessRefusal, TakedownRefusal.
    """
    _require(by, dataset, reason)
    act = takedowns.withhold(by=by.account.pk, dataset=dataset, reason=reason, now=now, version=version, order=order)
    _stop_trade(dataset, reason, version, now)
    return act


@transaction.atomic
def erase_dataset(
    *, by: Actor, dataset: str, reason: str, now: datetime, version: int | None = None, order: str | None = None
) -> ContentAct:
    """Withhold, and destroy what could open or recognize the content. Cannot be undone; copies delivered stay.

    Raises AccessRefusal, TakedownRefusal.
    """
    _require(by, dataset, reason)
    act = takedowns.erase(by=by.account.pk, dataset=dataset, reason=reason, now=now, version=version, order=order)
    _stop_trade(dataset, reason, version, now)
    return act


def _stop_trade(dataset: str, reason: str, version: int | None, now: datetime) -> None:
    if version is None:
        withhold_listing(dataset=dataset, reason=reason, now=now)
    refund_undelivered(dataset=dataset, now=now)


def _require(by: Actor, dataset: str, reason: str) -> None:
    by.require_person()
    if by.membership.user.is_staff:
        return
    by.require(Act.PUBLISH)
    own_listing(by.account, dataset)
    if reason not in OWNER_REASONS:
        raise AccessRefusal(
            "access.operator", "Only an operator can give this reason.", limit=", ".join(OWNER_REASONS),
            actual=reason[:40], todo="Give a reason of your own, or report it to the operator.",
        )  # fmt: skip
