"""What the register itself knows about the story's end: payouts with their reasons, the log, gas per action."""

from __future__ import annotations

from typing import Any

from marketplace.models import PayoutRow, SettlementRow
from marketplace.settling.facts import read_settlement
from provenance import bootstrap
from provenance.models import Intent, IntentTransaction, LogState


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
    """Return the gas that one transaction of each kind used, the largest of them."""
    used: dict[str, int] = {}
    for intent in Intent.objects.exclude(lane=None).select_related("lane"):
        sent = IntentTransaction.objects.filter(intent=intent).order_by("-pk").first()
        if sent is None:
            continue
        receipt = bootstrap.chain(intent.deployment).receipt(sent.tx_hash)
        if receipt is not None and receipt.succeeded:
            used[intent.kind] = max(used.get(intent.kind, 0), receipt.gas_used)
    return dict(sorted(used.items()))

