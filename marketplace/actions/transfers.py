"""What became of money that moves by EIP-3009: asked of the chain, never inferred from what this database remembers.

A withdrawal or collected income that ended without success here may have happened all the same: in a transaction that
was sent after the backup from which the database was restored. So

1. What is held is given back only when the chain can no longer carry the transfer out: at a final block its nonce is
   unused and its time is over, or it was canceled. `authorizationState` alone says neither: canceling sets it, too.
2. A nonce that was used, in a transaction that moved exactly this amount to exactly this address, is a transfer that
   took place. It is booked as if this register had seen it.
3. What contradicts the row is left as it is, for a person to look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from marketplace import alarms, market_calls
from marketplace.actions.money import fail_top_up, fail_withdrawal, finish_top_up, finish_withdrawal
from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.transfer import transfer_nonce
from marketplace.models import AccountAddress, TopUp, Withdrawal
from marketplace.queries.deployments import deployment_of, token_by_caip, token_contract
from provenance import bootstrap
from provenance.models import Block, Deployment, Intent, IntentState
from provenance.ports import Chain, EventLog

_OVER = (IntentState.FAILED, IntentState.EXPIRED)
_CONTRADICTED = "transfer.contradicted"


class Fate(StrEnum):
    """What the chain says about a transfer: nothing yet, that it took place, or that it never will."""

    OPEN = "open"
    DONE = "done"
    NEVER = "never"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True, slots=True)
class _Authorized:
    """A transfer as its row wanted it. `over`: Unix seconds from which on the token refuses it."""

    row: UUID
    token: str
    sender: str
    to: str
    amount: int
    since: datetime
    over: int

    @property
    def nonce(self) -> str:
        return "0x" + transfer_nonce(self.row).hex()


def settle_transfers(*, now: datetime, limit: int = 200) -> int:
    """Ask the chain about transfers whose transaction came to nothing here; return how many were decided."""
    decided, told = 0, {alarm.subject for alarm in alarms.open_alarms(_CONTRADICTED)}
    for row, wish in _doubtful(limit):
        if str(row) in told:
            continue
        match _fate(wish):
            case Fate.OPEN:
                continue
            case Fate.DONE:
                decided += _finish(row, now)
            case Fate.NEVER:
                decided += _fail(row, now)
            case Fate.CONTRADICTED:
                alarms.raise_alarm(
                    code=_CONTRADICTED, subject=str(row), now=now,
                    message=f"The authorization {wish.nonce} was used, and not for {wish.amount} base units from "
                    f"{wish.sender} to {wish.to}. Nothing was given back.",
                )  # fmt: skip
            case other:
                assert_never(other)
    return decided


def _doubtful(limit: int) -> Iterator[tuple[Withdrawal | TopUp, _Authorized]]:
    treasury = market_calls.known_address(market_calls.TREASURY)
    if treasury is None:
        return
    sending = Withdrawal.objects.select_related("destination").filter(state=Withdrawal.State.SENDING)
    for withdrawal in sending.order_by("due")[:limit]:
        over = _over(withdrawal.intent_key)
        if over is not None and withdrawal.destination.address is not None:
            yield withdrawal, _Authorized(
                withdrawal.pk, withdrawal.token, treasury, withdrawal.destination.address, withdrawal.amount,
                withdrawal.created, over,
            )  # fmt: skip
    collecting = TopUp.objects.filter(state=TopUp.State.SENDING, source=TopUp.Source.COLLECTED)
    for top_up in collecting.order_by("created")[:limit]:
        over, sender = _over(top_up.intent_key), _custodial(top_up)
        if over is not None and sender is not None:
            yield top_up, _Authorized(top_up.pk, top_up.token, sender, treasury, top_up.amount, top_up.created, over)


def _over(intent_key: str) -> int | None:
    """Return when the authorization of an intent ends that came to nothing; None while the intent is under way."""
    intent = Intent.objects.filter(key=intent_key, state__in=_OVER).first()
    return None if intent is None else int(intent.payload["valid_before"])


def _custodial(row: TopUp) -> str | None:
    owner = AccountAddress.objects.filter(account=row.account_id, key_path=row.key_path)
    return owner.values_list("address", flat=True).first()


def _fate(wish: _Authorized) -> Fate:
    deployment = deployment_of(AssetName.parse(wish.token, AssetKind.TOKEN))
    chain, contract = bootstrap.chain(deployment), token_contract(token_by_caip(wish.token))
    final = chain.header("finalized")
    if not chain.read(contract, "authorizationState", wish.sender, wish.nonce, at=final.number):
        return Fate.NEVER if final.timestamp >= wish.over else Fate.OPEN
    where = {"authorizer": wish.sender, "nonce": wish.nonce}
    blocks = {"first": _block_before(deployment, wish.since), "last": final.number}
    if chain.events(contract, "AuthorizationCanceled", where=where, **blocks):
        return Fate.NEVER
    used = chain.events(contract, "AuthorizationUsed", where=where, **blocks)
    moved = [each for log in used for each in moved_with(chain, contract, log, {"from": wish.sender, "to": wish.to})]
    return Fate.DONE if any(int(str(each.args["value"])) == wish.amount for each in moved) else Fate.CONTRADICTED


def _block_before(deployment: Deployment, moment: datetime) -> int:
    """Return a block that is older than a row: nothing about it stands before."""
    older = Block.objects.filter(deployment=deployment, timestamp__lt=int(moment.timestamp()))
    return older.order_by("-number").values_list("number", flat=True).first() or deployment.first_block


def moved_with(chain: Chain, contract: str, used: EventLog, where: Mapping[str, object]) -> list[EventLog]:
    """Return the transfers in the transaction that used an authorization. Raises ChainRefusal."""
    block = used.block_number
    moved = chain.events(contract, "Transfer", first=block, last=block, where=where)
    return [each for each in moved if each.tx == used.tx]


def _finish(row: Withdrawal | TopUp, now: datetime) -> bool:
    if isinstance(row, Withdrawal):
        return finish_withdrawal(withdrawal=row.pk, now=now)
    return finish_top_up(top_up=row.pk, now=now)


def _fail(row: Withdrawal | TopUp, now: datetime) -> bool:
    cause = Intent.objects.filter(key=row.intent_key).values_list("cause", flat=True).first() or ""
    if isinstance(row, Withdrawal):
        return fail_withdrawal(withdrawal=row.pk, cause=cause, now=now)
    return fail_top_up(top_up=row.pk, cause=cause, now=now)
