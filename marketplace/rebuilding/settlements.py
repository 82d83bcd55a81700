"""Settlements and payouts again from their documents, whose digests stand in the proposals on chain.

They are written before the payments that they explain become final, which mark their payouts as paid.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.db import transaction

from marketplace import market_calls
from marketplace.core.settlement import Settlement
from marketplace.models import PayoutRow, SettlementRow
from marketplace.projections.events import fold_settlement
from marketplace.queries.settlements import document_digests, read_settlement
from marketplace.settling.closing import record_settlement
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal
from provenance.models import ChainEvent, Deployment, Document

log = logging.getLogger(__name__)


def settlement_documents(deployment: Deployment) -> Iterator[str]:
    """Name the index of every proposed settlement, and the shards of each index that is here."""
    for event in _proposals(deployment):
        index = event.digest("settlement")
        yield index
        if Document.objects.filter(sha256=index).exists():
            try:
                yield from document_digests(index)
            except Refusal:
                # Somebody proposed a document that is no settlement.
                continue


def put_up_settlements(deployment: Deployment) -> int:
    """Write the row and the payouts of every settlement that has none here; return how many were written."""
    return sum(_put_up(deployment, event) for event in _proposals(deployment))


def note_payments(deployment: Deployment) -> None:
    """Say when a settlement was pushed of which every payout is paid, so that nobody pushes it again for nothing."""
    prefix = deployment.token_caip("")
    for row in SettlementRow.objects.filter(
        state=SettlementRow.State.ACCEPTED, pushed_at=None, token__startswith=prefix
    ):
        subject = f"settlement/{row.token.removeprefix(prefix)}/{row.epoch}"
        pushes = ChainEvent.objects.filter(deployment=deployment, name="Pushed", subject=subject)
        last = pushes.order_by("-block_number", "-log_index").first()
        if last is None or row.payouts.exclude(state=PayoutRow.State.PAID).filter(amount__gt=0).exists():
            continue
        row.pushed_at = market_calls.event_time(last)
        row.save(update_fields=["pushed_at"])


@transaction.atomic
def _put_up(deployment: Deployment, event: ChainEvent) -> bool:
    token, epoch = deployment.token_caip(event.args["token"]), event.number("epoch")
    if SettlementRow.objects.filter(token=token, epoch=epoch).exists():
        return False
    settlement = _read(event, token, epoch)
    if settlement is None:
        return False
    root, digest = settlement.payout_tree().root, Sha256.from_hex(event.digest("settlement"))
    record_settlement(token, settlement, root=root, digest=digest, now=market_calls.event_time(event))
    fold_settlement(deployment, event.args["token"], epoch)
    return True


def _read(event: ChainEvent, token: str, epoch: int) -> Settlement | None:
    try:
        found = read_settlement(event.digest("settlement"))
    except Refusal as refusal:
        log.warning("the proposal in %s is passed over: %s", event.tx, refusal)
        return None
    stated = (str(found.token_name), found.epoch, "0x" + found.payout_tree().root.hex())
    if stated != (token, epoch, event.args["root"]):
        log.warning("the proposal in %s is passed over: its documents are of another settlement", event.tx)
        return None
    return found


def _proposals(deployment: Deployment) -> list[ChainEvent]:
    # Newest first: after a veto, the last proposal of an epoch is the one that counts.
    rows = ChainEvent.objects.select_related("deployment").filter(deployment=deployment, name="RootProposed")
    return list(rows.order_by("-block_number", "-log_index"))
