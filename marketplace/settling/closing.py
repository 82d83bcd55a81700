"""Closing an epoch: from facts at a final block to a settlement whose documents are pinned and whose root is proposed.

    computed → pinned → proposed → accepted → pushed (see `paying`)       vetoed ends a try; the next takes all of it up

1. Nothing is settled while the chain is halted or the journal has an open alarm.
2. Everybody who is owed something needs a payee number; who lacks one is invited, and the epoch closes a little later.
3. The row, the payouts and the documents are written in one transaction, unique by (token, epoch).
4. The root is proposed only when every document can be had.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from itertools import count

from django.conf import settings
from django.db import IntegrityError, transaction

from marketplace import alarms, market_calls
from marketplace.core.allocation import missing_payees
from marketplace.core.caip import AccountName, AssetKind, AssetName
from marketplace.core.facts import Border, Facts, Register
from marketplace.core.revenue import revenue_lines
from marketplace.core.settlement import Settlement, settle
from marketplace.core.settlement_documents import Documents, write_documents
from marketplace.models import PayoutRow, SettlementRow
from marketplace.queries.deployments import deployment_of
from marketplace.queries.settlements import SettlingRefusal, document_digests
from marketplace.settling.facts import accepted_settlements, gather_facts
from provenance import bootstrap
from provenance.core.digest import Sha256
from provenance.models import Block, ChainEvent, Deployment, Intent, IntentState
from provenance.ports import Chain

log = logging.getLogger(__name__)

State = SettlementRow.State
UNDER_WAY = (State.COMPUTED, State.PINNED, State.PROPOSED)
STOPPING = ("journal.", "settlement.")


def close_due(token: str, *, now: datetime) -> SettlementRow | None:
    """Close the next epoch of a token (CAIP-19) if its time is over by the chain's own clock; return its row.

    The epoch ends at the newest final block. Returns None when it is not due, when one is under way, or when nothing
    came in. Raises SettlingRefusal.
    """
    deployment = _deployment(token)
    if SettlementRow.objects.filter(token=token, state__in=UNDER_WAY).exists():
        return None
    chain = bootstrap.chain(deployment)
    end = border_at(chain, deployment.finalized)
    if end.time < _due_time(deployment, token, chain):
        return None
    return close_epoch(token, _next_epoch(deployment, token), deployment.finalized, now, chain=chain)


def close_epoch(
    token: str, epoch: int, to_block: int, now: datetime, *, chain: Chain | None = None
) -> SettlementRow | None:
    """Compute and write the settlement of `epoch` of a token (CAIP-19) up to the final block `to_block`. Safe twice.

    Returns the row that stands for this epoch; None when there is nothing to settle. Raises SettlingRefusal, also
    while another one is under way: both would count the same revenue, and each name the same one before it.
    """
    existing = SettlementRow.objects.filter(token=token, epoch=epoch).first()
    if existing is not None:
        return existing
    deployment = _deployment(token)
    _check_open(deployment, to_block)
    _check_alone(token)
    source = chain or bootstrap.chain(deployment)
    genesis = border_at(source, deployment.first_block - 1)
    facts = gather_facts(deployment, _address(token), epoch=epoch, genesis=genesis, end=border_at(source, to_block))
    register = Register.at(facts.end.block, facts.changes)
    lines = revenue_lines(facts, register)
    if not lines:
        return None
    _enroll_missing(deployment, facts, register, {line.dataset for line in lines}, now)
    settlement = settle(facts)
    root = settlement.payout_tree().root
    return _write(token, settlement, write_documents(settlement, root=root), root, now)


def advance_settlements(*, now: datetime) -> int:
    """Take settlements further: propose what is pinned, accept what has stood its window; return how many moved."""
    moved = 0
    for row in SettlementRow.objects.filter(state=State.COMPUTED):
        if _documents_pinned(row):
            moved += _propose(row, now)
    for row in SettlementRow.objects.filter(state=State.PROPOSED, accept_after__isnull=False):
        deployment = _deployment(row.token)
        if is_stopped(deployment) or row.accept_after is None or _chain_time(deployment) < row.accept_after:
            continue
        # One that did not take place stopped settling by its alarm: whoever cleared that wants another one.
        tries = f"accept:{row.token}:{row.epoch}/"
        over = Intent.objects.filter(key__startswith=tries, state__in=(IntentState.FAILED, IntentState.EXPIRED))
        market_calls.want(
            kind="market.accept",
            key=f"{tries}{over.count() + 1}",
            payload={"settlement": str(row.pk)},
            deployment=deployment,
            lives=market_calls.CALL_LIVES + timedelta(seconds=settings.CADASTRE_SETTLEMENT_WINDOW),
            now=now,
        )
    return moved


def is_stopped(deployment: Deployment) -> bool:
    """Return whether settling stands still: the chain is halted, or an alarm about money is open."""
    deployment.refresh_from_db(fields=["halted"])
    return bool(deployment.halted) or any(alarms.open_alarms(prefix) for prefix in STOPPING)


def border_at(chain: Chain, block: int) -> Border:
    """Return number, hash and time of a block."""
    header = chain.header(block)
    return Border(header.number, header.hash, header.timestamp)


def _check_open(deployment: Deployment, to_block: int) -> None:
    if deployment.halted:
        raise SettlingRefusal("settling.halted", "The chain is halted here.", actual=deployment.halted[:200])
    for prefix in STOPPING:
        for alarm in alarms.open_alarms(prefix):
            raise SettlingRefusal(
                "settling.alarm", "An alarm about money is open.", actual=f"{alarm.code}: {alarm.message}"[:200],
                todo="Find its cause, then clear it on the operator's dashboard.",
            )  # fmt: skip
    if to_block > deployment.finalized:
        raise SettlingRefusal(
            "settling.not_final", "Only final blocks are settled.", limit=deployment.finalized, actual=to_block
        )


def _check_alone(token: str, *, besides: int = 0) -> None:
    for other in SettlementRow.objects.filter(token=token, state__in=UNDER_WAY).exclude(epoch=besides):
        raise SettlingRefusal(
            "settling.under_way", f"Epoch {other.epoch} is being settled.", actual=other.state,
            todo="Wait until it is accepted; what comes in meanwhile is in the next one.",
        )  # fmt: skip


def _enroll_missing(deployment: Deployment, facts: Facts, register: Register, earners: set[int], now: datetime) -> None:
    missing = missing_payees(facts, register, sorted(earners))
    for address in missing:
        market_calls.want(
            kind="market.invite_payee",
            key=f"invite-payee:{deployment.market}:{address}",
            payload={"account": address},
            deployment=deployment,
            now=now,
        )
    if missing:
        raise SettlingRefusal(
            "settling.payees_missing", "Accounts that are owed money have no payee number yet; they are invited now.",
            limit=0, actual=len(missing), todo="The epoch closes at a later block by itself.",
        )  # fmt: skip


def _write(token: str, settlement: Settlement, documents: Documents, root: bytes, now: datetime) -> SettlementRow:
    try:
        with transaction.atomic():
            # One at a time: of two that were computed at the same moment the second sees the first.
            Deployment.objects.select_for_update().get(pk=_deployment(token).pk)
            _check_alone(token, besides=settlement.epoch)
            row = record_settlement(token, settlement, root=root, digest=documents.digest, now=now)
            for shard in documents.shards:
                market_calls.publish_document(shard, schema="cadastre.settlement-shard/1", now=now)
            market_calls.publish_document(documents.index, schema="cadastre.settlement/1", now=now)
    except IntegrityError:
        # Another worker closed the same epoch; equal facts give equal bytes, and its row stands.
        return SettlementRow.objects.get(token=token, epoch=settlement.epoch)
    log.info("settlement %s of %s: %s base units to %d payees", row.epoch, token, row.revenue, row.payees)
    return row


def record_settlement(
    token: str, settlement: Settlement, *, root: bytes, digest: Sha256, now: datetime
) -> SettlementRow:
    """Write the row of a settlement and a payout per leaf; call it in a transaction. Raises IntegrityError when twice.

    `root` is its payout tree's, `digest` that of its index document.
    """
    totals = settlement.totals
    row = SettlementRow.objects.create(
        token=token,
        epoch=settlement.epoch,
        from_block=settlement.start.block,
        to_block=settlement.end.block,
        to_block_hash=settlement.end.hash,
        ended_at=datetime.fromtimestamp(settlement.end.time, tz=UTC),
        root="0x" + root.hex(),
        digest=digest.hex,
        revenue=totals.revenue,
        fees=totals.fees,
        allocated=totals.allocated,
        cumulative=totals.cumulative,
        payees=len(settlement.balances),
        created=now,
        changed=now,
    )
    PayoutRow.objects.bulk_create(
        (
            PayoutRow(
                settlement=row,
                leaf=leaf,
                payee=line.payee,
                address=AccountName.parse(line.account).address,
                amount=line.amount,
                cumulative=line.cumulative,
                changed=now,
            )
            for leaf, line in enumerate(settlement.balances)
        ),
        batch_size=1000,
    )
    return row


def _documents_pinned(row: SettlementRow) -> bool:
    return all(market_calls.is_pinned(digest) for digest in document_digests(row.digest))


@transaction.atomic
def _propose(row: SettlementRow, now: datetime) -> int:
    deployment = _deployment(row.token)
    if is_stopped(deployment):
        return 0
    moved = SettlementRow.objects.filter(pk=row.pk, state=State.COMPUTED).update(state=State.PINNED, changed=now)
    if moved:
        market_calls.want(
            kind="market.propose",
            key=f"propose:{row.token}:{row.epoch}",
            payload={"settlement": str(row.pk)},
            deployment=deployment,
            now=now,
        )
    return moved


def _due_time(deployment: Deployment, token: str, chain: Chain) -> int:
    accepted = accepted_settlements(deployment, _address(token))
    begin = accepted[-1].settlement.end.time if accepted else border_at(chain, deployment.first_block - 1).time
    return begin + int(settings.CADASTRE_EPOCH_SECONDS)


def _chain_time(deployment: Deployment) -> datetime:
    """Return the time of the newest followed block: a clock of ours that jumps accepts nothing early."""
    seconds = Block.objects.filter(deployment=deployment).order_by("-number").values_list("timestamp", flat=True)
    return datetime.fromtimestamp(seconds[0] if seconds else 0, tz=UTC)


def _next_epoch(deployment: Deployment, token: str) -> int:
    """Return the lowest number after the accepted epoch that no settlement has, here or on chain, struck down or not.

    Not one more than the highest: whoever proposes chooses a number, and the contract takes only the next 1,024.
    """
    proposed = _epochs_on_chain(deployment, token, "RootProposed")
    taken = proposed | set(SettlementRow.objects.filter(token=token).values_list("epoch", flat=True))
    accepted = max(_epochs_on_chain(deployment, token, "RootAccepted"), default=0)
    return next(epoch for epoch in count(accepted + 1) if epoch not in taken)


def _epochs_on_chain(deployment: Deployment, token: str, event: str) -> set[int]:
    events = ChainEvent.objects.filter(deployment=deployment, name=event)
    return {each.number("epoch") for each in events if each.args["token"] == _address(token)}


def _deployment(token: str) -> Deployment:
    return deployment_of(AssetName.parse(token, AssetKind.TOKEN))


def _address(token: str) -> str:
    return AssetName.parse(token, AssetKind.TOKEN).contract
