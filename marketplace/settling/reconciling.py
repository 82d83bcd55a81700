"""The journal against the chain, at one final block: treasury and market must hold at least what the journal says.

A shortage that stays is an alarm and stops settling. A surplus is an alarm that stops nothing: anybody can send a base
unit to an address. Both are looked at again until they are gone; alarms are cleared by a person.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from marketplace import alarms, journal, market_calls
from marketplace.core.money import Token
from marketplace.models import Reconciliation
from marketplace.queries.deployments import token_contract, tokens_of
from provenance import bootstrap
from provenance.models import Deployment
from provenance.ports import Chain

# Intents and events become final in two processes; a difference that is only that is gone in seconds.
GRACE = timedelta(minutes=2)


def check_journal(*, now: datetime) -> list[str]:
    """Compare the journal with itself: balances with transfers, sums with zero. Raises an alarm for a difference."""
    found = journal.differences()
    for difference in found:
        alarms.raise_alarm(code="journal.sum", subject=difference.partition(" says")[0], message=difference, now=now)
    return found


def reconcile(deployment: Deployment, *, now: datetime, chain: Chain | None = None) -> list[Reconciliation]:
    """Compare treasury and market with the journal in every token of a deployment; raise alarms that are due.

    The chain is asked at the final block that the follower has told trade about, outside of any transaction.
    """
    source = chain or bootstrap.chain(deployment)
    treasury = market_calls.want_address(market_calls.TREASURY, now=now)
    rows: list[Reconciliation] = []
    for token in tokens_of(deployment):
        sides = [("market", deployment.market, journal.market_total)]
        if treasury is not None:
            sides.append(("treasury", treasury, journal.treasury_total))
        for side, address, total in sides:
            deployment.refresh_from_db(fields=["finalized"])
            block, expected = deployment.finalized, total(token.caip)
            actual = _balance(source, token, address, block)
            deployment.refresh_from_db(fields=["finalized"])
            if deployment.finalized == block:
                # Else the journal moved on while the chain was asked; the next round compares again.
                rows.append(_record(token.caip, side, block, expected, actual, now))
    return rows


@transaction.atomic
def _record(token: str, side: str, block: int, expected: int, actual: int, now: datetime) -> Reconciliation:  # noqa: PLR0917  # one comparison
    before = Reconciliation.objects.select_for_update().filter(token=token, side=side).first()
    same = before is not None and before.differs_since and before.actual - before.expected == actual - expected
    since = None if expected == actual else before.differs_since if same and before is not None else now
    row, _ = Reconciliation.objects.update_or_create(
        token=token,
        side=side,
        defaults={"block": block, "expected": expected, "actual": actual, "differs_since": since, "checked": now},
    )
    if since is not None and now - since >= GRACE:
        code = "journal.shortage" if actual < expected else "surplus"
        alarms.raise_alarm(
            code=code, subject=f"{side} {token}", now=now,
            message=f"At block {block} the {side} holds {actual} base units; the journal says {expected}.",
        )  # fmt: skip
    return row


def _balance(chain: Chain, token: Token, address: str, block: int) -> int:
    answer = chain.read(token_contract(token), "balanceOf", address, at=block)
    assert isinstance(answer, int)
    return answer
