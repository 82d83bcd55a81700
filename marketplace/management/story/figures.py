"""What the register itself knows about the story's end: payouts with their reasons, the log, gas per action."""

from __future__ import annotations

from typing import Any

from django.db.models import Max

from marketplace.models import PayoutRow, SettlementRow
from marketplace.queries.settlements import read_settlement
from provenance.models import Intent, LogState


def payouts(settlement: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every payout of an epoch with the reasons of its allocation lines."""
    row = SettlementRow.objects.get(epoch=settlement["epoch"])
    document = read_settlement(row.digest)
    found = []
    for payout in PayoutRow.objects.filter(settlement=row).order_by("leaf"):
        lines = [line for line in document.allocations if line.payee == payout.payee]
        found.append(
            {
                "payee": payout.payee,
                "account": payout.address,
                "dataset": sorted({line.dataset for line in lines}),
                "reason": sorted({str(line.reason) for line in lines}) or ["fee"],
                "amount": str(payout.amount),
                "cumulative": str(payout.cumulative),
                "state": payout.state,
                "tx": payout.tx,
            }
        )
    return found


def log_head() -> dict[str, str]:
    """Return the log's signed checkpoint and its key."""
    state = LogState.objects.get()
    return {"checkpoint": state.checkpoint, "vkey": state.vkey}


def gas_per_action() -> dict[str, int]:
    """Return the gas that a transaction of each kind used, the largest of them."""
    used = Intent.objects.filter(gas_used__gt=0).values("kind").annotate(most=Max("gas_used")).order_by("kind")
    return {row["kind"]: row["most"] for row in used}
