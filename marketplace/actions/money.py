"""Money in and out of an account's balance: faucet, collected income, withdrawals.

What comes in is booked when it is final on chain. What goes out is held first, sent when due, spent when final. What
did not take place is given back when the chain says so (`transfers`).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from marketplace import journal, limits, market_calls
from marketplace.actions.letters import tell_owners
from marketplace.core.caip import AssetKind, AssetName
from marketplace.models import Account, AccountAddress, TopUp, Withdrawal
from marketplace.queries.actors import AccessRefusal, Act, Actor
from marketplace.queries.addresses import WALLET
from marketplace.queries.deployments import current_deployment, deployment_of, payment_token
from provenance.core.refusal import Refusal

FAUCET_PER_DAY = 5
WITHDRAWAL_LIVES = timedelta(hours=24)

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_PASSED = f"0x{'00' * 20}"


class MoneyRefusal(Refusal):
    """Money is not moved in or out; nothing changed."""


@transaction.atomic
def draw_faucet(*, by: Actor, now: datetime, amount: int | None = None) -> TopUp:
    """Get play money on a development chain, up to the configured amount, five times a day. Raises MoneyRefusal.

    Raises LimitRefusal when today's draws are used up.
    """
    by.require(Act.FINANCE)
    if settings.CADASTRE_NETWORK != "test":
        raise MoneyRefusal("faucet.live", "There is no faucet on a live network.", todo="Deposit money instead.")
    most = settings.CADASTRE_FAUCET_AMOUNT
    wanted = most if amount is None else amount
    if not 0 < wanted <= most:
        raise MoneyRefusal("faucet.amount", "The faucet gives less than that at a time.", limit=most, actual=wanted)
    limits.take(f"faucet:{by.account.pk}", limit=FAUCET_PER_DAY, seconds=86_400, now=now)
    return _top_up(by.account, TopUp.Source.FAUCET, wanted, "token.mint", now)


@transaction.atomic
def collect_income(*, by: Actor, amount: int, now: datetime) -> TopUp:
    """Move what was paid out to the account's custodial address into its balance, to spend it here.

    Raises MoneyRefusal when the account is paid at its own wallet.
    """
    by.require(Act.FINANCE)
    address = (
        AccountAddress.objects.filter(
            account=by.account, purpose=AccountAddress.Purpose.OWNER, state=AccountAddress.State.READY
        )
        .exclude(key_path=WALLET)
        .first()
    )
    if address is None:
        raise MoneyRefusal("income.wallet", "Your income is paid to your own wallet.", todo="Deposit from there.")
    if not 0 < amount <= journal.AMOUNT_LIMIT:
        raise MoneyRefusal("income.amount", "Only a positive amount moves.", limit=journal.AMOUNT_LIMIT, actual=amount)
    return _top_up(by.account, TopUp.Source.COLLECTED, amount, "token.collect", now, key_path=address.key_path)


@transaction.atomic
def add_withdrawal_address(*, by: Actor, address: str, now: datetime) -> AccountAddress:
    """Name an address of one's own to withdraw to; usable after the delay, in which owners, who hear of it, can object.

    Raises AccessRefusal, MoneyRefusal.
    """
    _require_second_factor(by)
    text = address.strip().lower()
    if _ADDRESS.fullmatch(text) is None or text == _PASSED:
        raise MoneyRefusal("withdrawal.address", "This is not an address.", actual=address[:80])
    row, made = AccountAddress.objects.get_or_create(
        account=by.account,
        purpose=AccountAddress.Purpose.WITHDRAWAL,
        address=text,
        defaults={
            "key_path": WALLET,
            "state": AccountAddress.State.READY,
            "created": now,
            "usable_from": now + timedelta(seconds=settings.CADASTRE_WITHDRAWAL_DELAY),
        },
    )
    if made:
        tell_owners(
            by.account,
            "A new withdrawal address at Cadastre",
            f"{by.membership.user.email} named {row.address} as an address to which money of\n"
            f"{by.account.display_name} can be withdrawn, from {row.usable_from:%Y-%m-%d %H:%M} UTC on.\n"
            f"If this was not you, sign in, cancel withdrawals under {settings.CADASTRE_PUBLIC_URL}/balance\n"
            "and change your password.\n",
        )
    return row


@transaction.atomic
def withdraw(*, by: Actor, destination: int, amount: int, now: datetime) -> Withdrawal:
    """Send part of the balance to a withdrawal address; it waits until the address is usable.

    Raises AccessRefusal, MoneyRefusal, JournalRefusal `balance.too_low`.
    """
    _require_second_factor(by)
    if not 0 < amount <= journal.AMOUNT_LIMIT:
        raise MoneyRefusal(
            "withdrawal.amount", "Only a positive amount can be withdrawn.", limit=journal.AMOUNT_LIMIT, actual=amount
        )
    target = AccountAddress.objects.filter(
        pk=destination,
        account=by.account,
        purpose=AccountAddress.Purpose.WITHDRAWAL,
        state=AccountAddress.State.READY,
    ).first()
    if target is None:
        raise AccessRefusal("address.not_found", "There is no such withdrawal address.", actual=destination)
    token = payment_token()
    row = Withdrawal.objects.create(
        account=by.account,
        destination=target,
        token=token.caip,
        amount=amount,
        due=max(now, target.usable_from),
        created=now,
        changed=now,
    )
    journal.move(
        source=journal.available(by.account.pk), target=journal.held(by.account.pk),
        token=token.caip, amount=amount, effect=f"withdrawal:{row.pk}:hold", now=now,
    )  # fmt: skip
    return row


@transaction.atomic
def cancel_withdrawal(*, by: Actor, withdrawal: UUID, now: datetime) -> Withdrawal:
    """Take back a withdrawal that has not been sent. Raises AccessRefusal, MoneyRefusal."""
    by.require(Act.FINANCE)
    by.require_person()
    row = by.account.withdrawals.filter(pk=withdrawal).first()
    if row is None:
        raise AccessRefusal("withdrawal.not_found", "There is no such withdrawal.", actual=str(withdrawal))
    moved = Withdrawal.objects.filter(pk=row.pk, state=Withdrawal.State.WAITING).update(
        state=Withdrawal.State.CANCELLED, changed=now
    )
    if moved != 1:
        raise MoneyRefusal("withdrawal.sent", "The withdrawal has been sent.", actual=str(row.state))
    _release(row, now)
    row.refresh_from_db()
    return row


def advance_withdrawals(*, now: datetime, limit: int = 200) -> int:
    """Send what is due; return how many."""
    sent = 0
    for row in Withdrawal.objects.filter(state=Withdrawal.State.WAITING, due__lte=now).order_by("due")[:limit]:
        with transaction.atomic():
            moved = Withdrawal.objects.filter(pk=row.pk, state=Withdrawal.State.WAITING).update(
                state=Withdrawal.State.SENDING, intent_key=f"withdrawal:{row.pk}", changed=now
            )
            if moved == 1:
                sent += 1
                market_calls.want(
                    kind="token.withdraw",
                    key=f"withdrawal:{row.pk}",
                    payload={
                        "withdrawal": str(row.pk),
                        "valid_before": str(int((now + WITHDRAWAL_LIVES).timestamp())),
                    },
                    deployment=deployment_of(AssetName.parse(row.token, AssetKind.TOKEN)),
                    lives=WITHDRAWAL_LIVES,
                    now=now,
                )
    return sent


@transaction.atomic
def finish_withdrawal(*, withdrawal: UUID, now: datetime) -> bool:
    """The transfer is final: what was held is spent. Safe twice."""
    row = Withdrawal.objects.get(pk=withdrawal)
    moved = Withdrawal.objects.filter(pk=withdrawal, state=Withdrawal.State.SENDING).update(
        state=Withdrawal.State.FINAL, cause="", changed=now
    )
    if moved:
        journal.move(
            source=journal.held(row.account_id), target=journal.OUTSIDE,
            token=row.token, amount=row.amount, effect=f"withdrawal:{row.pk}:spent", now=now,
        )  # fmt: skip
    return bool(moved)


@transaction.atomic
def fail_withdrawal(*, withdrawal: UUID, cause: str, now: datetime) -> bool:
    """The transfer cannot happen any more: what was held is given back. Safe twice."""
    row = Withdrawal.objects.get(pk=withdrawal)
    moved = Withdrawal.objects.filter(pk=withdrawal, state=Withdrawal.State.SENDING).update(
        state=Withdrawal.State.FAILED, cause=cause[:500], changed=now
    )
    if moved:
        _release(row, now)
    return bool(moved)


@transaction.atomic
def finish_top_up(*, top_up: UUID, now: datetime) -> bool:
    """The money is final in the treasury: book it. Safe twice."""
    row = TopUp.objects.get(pk=top_up)
    moved = TopUp.objects.filter(pk=top_up, state=TopUp.State.SENDING).update(
        state=TopUp.State.FINAL, cause="", changed=now
    )
    if moved:
        source = journal.FAUCET if row.source == TopUp.Source.FAUCET else journal.OUTSIDE
        journal.move(
            source=source, target=journal.available(row.account_id),
            token=row.token, amount=row.amount, effect=f"top-up:{row.pk}", now=now,
        )  # fmt: skip
    return bool(moved)


def fail_top_up(*, top_up: UUID, cause: str, now: datetime) -> bool:
    """The money did not come; nothing was booked. Safe twice."""
    sending = TopUp.objects.filter(pk=top_up, state=TopUp.State.SENDING)
    return bool(sending.update(state=TopUp.State.FAILED, cause=cause[:500], changed=now))


def doubt_transfer(kind: type[TopUp | Withdrawal], row: UUID, *, cause: str, now: datetime) -> None:
    """Say why a transfer did not take place as far as is known here; the chain decides (`transfers`). Safe twice."""
    sending = kind.objects.filter(pk=row, state="sending")
    sending.update(cause=f"{cause} Whether it took place all the same is being asked of the chain."[-500:], changed=now)


def _top_up(
    account: Account, source: TopUp.Source, amount: int, kind: str, now: datetime, *, key_path: str = ""
) -> TopUp:
    deployment = current_deployment()
    number = uuid4()
    row = TopUp.objects.create(
        id=number,
        account=account,
        source=source,
        key_path=key_path,
        token=payment_token(deployment).caip,
        amount=amount,
        intent_key=f"top-up:{number}",
        created=now,
        changed=now,
    )
    market_calls.want(
        kind=kind,
        key=row.intent_key,
        payload={
            "top_up": str(number),
            "valid_before": str(int((now + market_calls.CALL_LIVES).timestamp())),
        },
        deployment=deployment,
        party=account.pk,
        now=now,
    )
    return row


def _release(row: Withdrawal, now: datetime) -> None:
    journal.move(
        source=journal.held(row.account_id), target=journal.available(row.account_id),
        token=row.token, amount=row.amount, effect=f"withdrawal:{row.pk}:release", now=now,
    )  # fmt: skip


def _require_second_factor(by: Actor) -> None:
    by.require(Act.FINANCE)
    by.require_person()
    if not by.second_factor:
        raise AccessRefusal(
            "access.second_factor", "Moving money out needs a second factor.",
            todo="Set up an authenticator or a passkey under Security, then confirm with it.",
        )  # fmt: skip
