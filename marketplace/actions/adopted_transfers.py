"""Transfers of the treasury that a restored database does not know, booked for whom they name.

When a lane goes on after transactions that are not in the database, the treasury's authorizations among them are read
back from the chain before anything new is sent:

1. A withdrawal whose row is there, as not sent yet or as canceled since, had been sent.
2. One whose row was lost is booked for the account that named its address.
3. Collected income whose row was lost is booked for the account from whose custodial address it came.
4. What nobody can be named for, or nobody can bear any more, raises an alarm: the treasury is short by that amount.

Faucet mints name nobody. One that was lost is play money in the treasury that nobody's balance shows.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid5

from django.db import transaction

from marketplace import alarms, journal, market_calls
from marketplace.actions.money import finish_top_up, finish_withdrawal
from marketplace.actions.transfers import moved_with
from marketplace.core.journal import JournalRefusal
from marketplace.core.money import Token
from marketplace.core.transfer import transfer_nonce
from marketplace.models import AccountAddress, TopUp, Withdrawal
from marketplace.queries.addresses import WALLET
from marketplace.queries.deployments import token_contract, tokens_of
from provenance import bootstrap
from provenance.models import Deployment
from provenance.ports import Chain, EventLog

_READ_BACK = UUID("6f0c1f0e-6f5b-4a55-8d0c-0d6a0c1f7a11")
"""Rows that were read back are named by their authorization: reading it back twice is one row."""


def adopt_transfers(deployment: Deployment, since: int, now: datetime) -> int:
    """Book transfers of the treasury from block `since` to finality that no row here explains; return how many.

    Safe twice. Raises ChainRefusal.
    """
    treasury = market_calls.known_address(market_calls.TREASURY)
    if treasury is None:
        return 0
    chain = bootstrap.chain(deployment)
    first, last = max(since, deployment.first_block), chain.header("finalized").number
    # Payments for licenses and deposits come back as events of the market.
    markets = set(Deployment.objects.values_list("market", flat=True))
    adopted = 0
    for token in tokens_of(deployment):
        contract = token_contract(token)
        by_us = chain.events(contract, "AuthorizationUsed", first=first, last=last, where={"authorizer": treasury})
        for used in by_us:
            for moved in moved_with(chain, contract, used, {"from": treasury}):
                if moved.args["to"] not in markets:
                    adopted += _adopt_withdrawal(token, used, moved, now)
        for moved in chain.events(contract, "Transfer", first=first, last=last, where={"to": treasury}):
            adopted += _adopt_collected(chain, token, moved, now)
    return adopted


def _adopt_withdrawal(token: Token, used: EventLog, moved: EventLog, now: datetime) -> bool:
    to, amount, nonce = str(moved.args["to"]), int(str(moved.args["value"])), str(used.args["nonce"])
    named = AccountAddress.objects.filter(purpose=AccountAddress.Purpose.WITHDRAWAL, address=to)
    for row in Withdrawal.objects.filter(destination__in=named, token=token.caip, amount=amount):
        if _nonce(row.pk) == nonce:
            return _sent_already(row, used, now)
    destinations = list(named[:2])
    if len(destinations) != 1:
        return _unexplained(used, f"{len(destinations) or 'no'} accounts here have the address {to}", now)
    return _book_lost(destinations[0], token, amount, used, now)


def _sent_already(row: Withdrawal, used: EventLog, now: datetime) -> bool:
    """Bring a row to what happened: the backup has it as not sent yet, or it was canceled since."""
    if row.state == Withdrawal.State.CANCELLED:
        return _take_again(row, used, now)
    with transaction.atomic():
        Withdrawal.objects.filter(pk=row.pk, state=Withdrawal.State.WAITING).update(
            state=Withdrawal.State.SENDING, changed=now
        )
        return finish_withdrawal(withdrawal=row.pk, now=now)


def _take_again(row: Withdrawal, used: EventLog, now: datetime) -> bool:
    try:
        with transaction.atomic():
            taken = Withdrawal.objects.filter(pk=row.pk, state=Withdrawal.State.CANCELLED).update(
                state=Withdrawal.State.FINAL, cause=f"It had been sent: {used.tx}", changed=now
            )
            if taken:
                _spend(row, now)
    except JournalRefusal as refusal:
        return _unexplained(used, f"{row} had been canceled here, and its account cannot bear it: {refusal}", now)
    return bool(taken)


def _book_lost(destination: AccountAddress, token: Token, amount: int, used: EventLog, now: datetime) -> bool:
    number = uuid5(_READ_BACK, str(used.args["nonce"]))
    try:
        with transaction.atomic():
            row, made = Withdrawal.objects.get_or_create(
                id=number,
                defaults={
                    "account": destination.account, "destination": destination, "token": token.caip, "amount": amount,
                    "state": Withdrawal.State.FINAL, "due": now, "created": now, "changed": now,
                    "cause": f"Read back from the chain: {used.tx}",
                },
            )  # fmt: skip
            if made:
                _spend(row, now)
    except JournalRefusal as refusal:
        return _unexplained(used, f"{destination.account} cannot bear it any more: {refusal}", now)
    return made


def _spend(row: Withdrawal, now: datetime) -> None:
    journal.move(
        source=journal.available(row.account_id), target=journal.OUTSIDE, token=row.token, amount=row.amount,
        effect=f"withdrawal:{row.pk}:spent", now=now,
    )  # fmt: skip


def _adopt_collected(chain: Chain, token: Token, moved: EventLog, now: datetime) -> bool:
    sender, block = moved.args["from"], moved.block_number
    custodial = AccountAddress.objects.filter(purpose=AccountAddress.Purpose.OWNER).exclude(key_path=WALLET)
    owner = custodial.filter(address=sender).first()
    if owner is None:
        return False  # the faucet, the market, or anybody who gives
    used = chain.events(
        token_contract(token), "AuthorizationUsed", first=block, last=block, where={"authorizer": sender}
    )
    nonce = next((str(each.args["nonce"]) for each in used if each.tx == moved.tx), None)
    known = TopUp.objects.filter(account=owner.account_id, source=TopUp.Source.COLLECTED)
    if nonce is None or any(_nonce(row.pk) == nonce for row in known):
        return False  # a row that is there asks the chain itself (`settle_transfers`)
    number = uuid5(_READ_BACK, nonce)
    with transaction.atomic():
        row, made = TopUp.objects.get_or_create(
            id=number,
            defaults={
                "account": owner.account, "source": TopUp.Source.COLLECTED, "key_path": owner.key_path,
                "token": token.caip, "amount": int(str(moved.args["value"])), "intent_key": f"top-up:{number}",
                "created": now, "changed": now,
            },
        )  # fmt: skip
        finish_top_up(top_up=row.pk, now=now)
    return made


def _nonce(row: UUID) -> str:
    return "0x" + transfer_nonce(row).hex()


def _unexplained(used: EventLog, why: str, now: datetime) -> bool:
    alarms.raise_alarm(
        code="transfer.unexplained", subject=used.tx, now=now,
        message=f"The treasury paid in block {used.block_number}, and {why}. Its books are short by that amount.",
    )  # fmt: skip
    return False
