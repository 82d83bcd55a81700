"""A guardian strikes a proposed root down; the next epoch takes up everything that it would have paid."""

from __future__ import annotations

from datetime import datetime

from marketplace import market_calls
from marketplace.core.caip import AssetKind, AssetName
from marketplace.queries.deployments import deployment_of
from marketplace.queries.settlements import SettlingRefusal, pending_roots
from provenance.models import Intent


def veto_settlement(*, by: str, token: str, epoch: int, reason: str, now: datetime) -> Intent:
    """Want the pending root of an epoch vetoed, whoever proposed it.

    `by` names the operator who decided; `reason` stands hashed on chain. Raises SettlingRefusal when no root of this
    epoch is pending, as far as this register knows.
    """
    deployment = deployment_of(AssetName.parse(token, AssetKind.TOKEN))
    pending = {root.token: root for root in pending_roots()}.get(token)
    if pending is None or pending.epoch != epoch:
        raise SettlingRefusal(
            "settling.not_pending", "No root of this epoch is pending.", actual=epoch,
            limit="none" if pending is None else pending.epoch,
        )  # fmt: skip
    return market_calls.want(
        kind="market.veto",
        # Of the proposal: what was struck down may be proposed again under its number.
        key=f"veto:{pending.fact}",
        payload={
            "token": AssetName.parse(token, AssetKind.TOKEN).contract,
            "epoch": epoch,
            "reason": f"{by}: {reason}",
        },
        deployment=deployment,
        now=now,
    )
