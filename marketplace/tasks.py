"""Doorbells of trade. Every task takes what is due from the database; each is safe twice, and twice at once.

`derive_addresses` runs in the signer, because it needs keys; the others in workers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from celery import shared_task
from django.contrib.sessions.models import Session
from django.utils import timezone

from marketplace import alarms, idempotency, limits
from marketplace.actions import (
    custody,
    licenses,
    money,
    offers,
    orders,
    outcomes,
    quotes,
    vouchers,
    wallet_signatures,
)
from marketplace.actions.contributors import advance_contributors
from marketplace.queries.deployments import tokens_of
from marketplace.settling import closing, paying, reconciling
from provenance import bootstrap
from provenance.core.refusal import Refusal
from provenance.doorbell import ring
from provenance.models import Deployment

log = logging.getLogger(__name__)


@shared_task(name="marketplace.tasks.derive_addresses", ignore_result=True)
def derive_addresses() -> None:
    """In the signer: make wanted addresses known, and encrypt the keys of exports that are due."""
    keys = bootstrap.keyring()
    _guarded("derive addresses", lambda: custody.derive_addresses(ring=keys, now=timezone.now()))
    _guarded("seal key exports", lambda: custody.seal_key_exports(ring=keys, now=timezone.now()))


@shared_task(name="marketplace.tasks.advance", ignore_result=True)
def advance() -> None:
    """Take offers, quotes, orders, vouchers, wallets, contributors and withdrawals one step further."""
    now = timezone.now()
    _guarded("advance quotes", lambda: quotes.advance_quotes(now=now))
    _guarded("advance offers", lambda: offers.advance_offers(now=now))
    _guarded("advance orders", lambda: orders.advance_orders(now=now))
    _guarded("advance wallets", lambda: wallet_signatures.advance_requests(now=now))
    _guarded("advance vouchers", lambda: vouchers.advance_vouchers(now=now))
    _guarded("advance contributors", lambda: advance_contributors(now=now))
    _guarded("advance withdrawals", lambda: money.advance_withdrawals(now=now))
    _guarded("resolve outcomes", lambda: outcomes.resolve_outcomes(now=now))
    _guarded("expire licenses", lambda: licenses.expire_licenses(now=now))


@shared_task(name="marketplace.tasks.settle", ignore_result=True)
def settle() -> None:
    """Close epochs that are over, propose, accept, push. Two rings close one epoch once."""
    now = timezone.now()
    for deployment in Deployment.objects.filter(halted="").order_by("pk"):
        for token in tokens_of(deployment):
            _guarded(f"close {token.caip}", lambda: closing.close_due(token.caip, now=now))  # noqa: B023  # runs at once
    _guarded("advance settlements", lambda: closing.advance_settlements(now=now))
    _guarded("push payouts", lambda: paying.push_due(now=now))


@shared_task(name="marketplace.tasks.reconcile", ignore_result=True)
def reconcile() -> None:
    """Compare the journal with itself and with the chain, and the log with what was published of it."""
    now = timezone.now()
    _guarded("watch the log", lambda: alarms.watch_log(now=now))
    _guarded("check the journal", lambda: reconciling.check_journal(now=now))
    for deployment in Deployment.objects.filter(halted="").order_by("pk"):
        _guarded("reconcile", lambda: reconciling.reconcile(deployment, now=now))  # noqa: B023  # runs at once


@shared_task(name="marketplace.tasks.keep_house", ignore_result=True)
def keep_house() -> None:
    """Once an hour: minimums of closed epochs, and rows that nobody needs any more."""
    now = timezone.now()
    period = f"{now:%Y-%m-%dT%H}"
    if not limits.begin_period("keep-house", period, now=now):
        return
    _guarded("charge minimums", lambda: vouchers.charge_minimums(now=now))
    _guarded("forget old keys", lambda: idempotency.forget_before(now))
    _guarded("forget old windows", lambda: limits.forget_before(now))
    # One row for each visitor who was ever shown a form, for ever.
    _guarded("forget ended sessions", lambda: Session.objects.filter(expire_date__lt=now).delete())
    limits.end_period("keep-house", period, now=timezone.now())


@shared_task(name="marketplace.tasks.sweep", ignore_result=True)
def sweep() -> None:
    """Ring every doorbell of trade."""
    ring("marketplace.tasks.derive_addresses", "marketplace.tasks.advance", "marketplace.tasks.settle")


def _guarded(what: str, work: Callable[[], object]) -> None:
    try:
        work()
    except Refusal as refusal:
        log.warning("%s: %s", what, refusal)
    except Exception:
        # One row that cannot be worked on must not hold up the others: it is logged, and looked at again.
        log.exception("could not %s", what)
