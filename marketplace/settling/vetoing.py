"""A guardian strikes a proposed root down; the next epoch takes up everything that it would have paid."""

from __future__ import annotations

from datetime import datetime

from marketplace import market_calls
from marketplace.core.caip import AssetKind, AssetName
from marketplace.models import SettlementRow
from marketplace.queries.deployments import deployment_of
from marketplace.queries.settlements import SettlingRefusal
from provenance.models import Intent


def veto_settlement(*, by: str, token: str, epoch: int, reason: str, now: datetime) -> Intent:
    """Want the pending root of an epoch vetoed. `by` names the operator who decided; `reason` stands hashed on chain.

    Raises SettlingRefusal when no root is pending, as far as this register knows.
    """
    deployment = deployment_of(AssetName.parse(token, AssetKind.TOKEN))
    row = SettlementRow.objects.filter(token=token, epoch=epoch).first()
    if row is not None and row.state != SettlementRow.State.PROPOSED:
        raise SettlingRefusal(
            "settling.not_pending", "This root is not pending.", limit=str(SettlementRow.State.PROPOSED),
            actual=str(row.state),
        )  # fmt: skip
    return market_calls.want(
        kind="market.veto",
        key=f"veto:{token}:{epoch}",
        payload={
            "token": AssetName.parse(token, AssetKind.TOKEN).contract,
            "epoch": epoch,
            "reason": f"{by}: {reason}",
        },
        deployment=deployment,
        now=now,
    )
