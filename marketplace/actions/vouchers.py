"""From what is owed to what is charged, one voucher of a license at a time.

    unfunded → wanted → signed → depositing → charging → charged
    recorded: nothing to pay · superseded: a later one says it all · failed: with its cause, can be tried again

1. What the newest voucher owes beyond what earlier ones hold is held in the journal.
2. The licensee's key signs: custodial ones in the signer, wallets when they are asked (`wallet_requests`).
3. The treasury deposits what earlier vouchers did not; then the voucher is charged.

For a license that the account's own wallet paid for, nothing is held: the wallet signs the deposit, too. A license that
was bought past this register is charged from what its payer deposited by itself.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet, Sum

from marketplace import journal, market_calls
from marketplace.actions.wallet_requests import ask_wallet, drop, send_signed
from marketplace.core.journal import JournalRefusal
from marketplace.core.terms import Rate
from marketplace.core.voucher import Owed, UsageRefusal, reports_root
from marketplace.models import LicenseRow, Order, VoucherRow, WalletRequest
from marketplace.queries.actors import Act, Actor
from marketplace.queries.lineage import terms_by_digest
from marketplace.queries.metering import (
    deposit_reference,
    last_voucher,
    license_deployment,
    owed_for,
    reported,
    voucher_typed_data,
)
from marketplace.queries.orders import own_license
from provenance.models import SignatureRequest

log = logging.getLogger(__name__)

State = VoucherRow.State
OPEN = (State.UNFUNDED, State.WANTED, State.SIGNED)
UNDER_WAY = (State.DEPOSITING, State.CHARGING)
WALLET_SIGNS_WITHIN = timedelta(days=30)


def make_voucher(row: LicenseRow, owed: Owed, root: str, *, now: datetime) -> VoucherRow:
    """Write the voucher that says what is owed by now; call it with the license's row locked."""
    last = last_voucher(row.pk)
    free = owed.amount == (last.cumulative_amount if last else 0)
    voucher = VoucherRow(
        license=row.pk,
        sequence=1 if last is None else last.sequence + 1,
        cumulative_units=owed.units,
        cumulative_amount=owed.amount,
        reports_root=root,
        state=State.RECORDED if free else State.UNFUNDED,
        created=now,
        changed=now,
    )
    voucher.typed_data = voucher_typed_data(voucher).to_json()
    voucher.save(force_insert=True)
    if not free:
        _fund(voucher, now)
    return voucher


def sign_voucher(*, by: Actor, license_id: str, sequence: int, signature: str, now: datetime) -> VoucherRow:
    """Give the signature of the licensee's own wallet over a voucher. Raises AccessRefusal, UsageRefusal."""
    by.require(Act.USE)
    license_row = own_license(by.account, license_id)
    voucher = VoucherRow.objects.filter(license=license_id, sequence=sequence).first()
    if voucher is None:
        raise UsageRefusal("voucher.not_found", "There is no such voucher.", actual=sequence)
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError as error:
        raise UsageRefusal("signature.hex", "A signature is 0x and 130 hex digits.", actual=signature[:40]) from error
    voucher_typed_data(voucher).check_signer(raw, license_row.licensee)
    moved = VoucherRow.objects.filter(pk=voucher.pk, state=State.WANTED).update(
        state=State.SIGNED, signature=signature.lower(), changed=now
    )
    if moved != 1:
        raise UsageRefusal(
            "voucher.state", "This voucher does not wait for a signature.",
            limit=str(State.WANTED), actual=str(voucher.state),
        )  # fmt: skip
    voucher.refresh_from_db()
    return voucher


def retry_voucher(*, by: Actor, license_id: str, sequence: int, now: datetime) -> VoucherRow:
    """Try a failed deposit or charge again. Raises AccessRefusal, UsageRefusal."""
    by.require(Act.USE)
    row = own_license(by.account, license_id)
    failed = VoucherRow.objects.filter(license=license_id, sequence=sequence, state=State.FAILED)
    again = {"attempt": F("attempt") + 1, "cause": "", "changed": now}
    with transaction.atomic():
        moved = failed.exclude(signature="").update(state=State.SIGNED, **again)
        if not moved and market_calls.licensee_key(row) is None:
            moved = failed.filter(signature="").update(state=State.WANTED, **again)
        if moved != 1:
            raise UsageRefusal(
                "voucher.state", "This voucher has not failed.", limit=str(State.FAILED), actual=sequence
            )
        voucher = VoucherRow.objects.get(license=license_id, sequence=sequence)
        _ask_wallet(voucher, row, now)
    return voucher


def drop_voucher(*, license_id: str, sequence: int, cause: str, now: datetime) -> None:
    """A wallet did not sign in time; the next report, or `retry_voucher`, asks again. Safe twice."""
    waiting = VoucherRow.objects.filter(license=license_id, sequence=sequence, state__in=(State.WANTED, State.SIGNED))
    waiting.update(state=State.FAILED, cause=cause[:500], changed=now)


def advance_vouchers(*, now: datetime, limit: int = 200) -> int:
    """Take every voucher one step further if it is due: fund, take the signature, deposit, charge. Return how many."""
    moved = 0
    for voucher in VoucherRow.objects.filter(state__in=OPEN).order_by("changed", "sequence")[:limit]:
        with transaction.atomic():
            step = _advance(voucher, now)
            if not step:
                # Those that have to wait go to the end of the line: however many, they never hold up the others.
                VoucherRow.objects.filter(pk=voucher.pk).update(changed=now)
            moved += step
    return moved


def _advance(voucher: VoucherRow, now: datetime) -> int:
    match voucher.state:
        case State.UNFUNDED:
            return _fund(voucher, now)
        case State.WANTED:
            return _take_signature(voucher, now)
        case _:
            return _start_charging(voucher, now)


def charge_minimums(*, now: datetime) -> int:
    """Make vouchers for licenses that owe a minimum for an epoch that has closed; return how many. Safe twice."""
    made = 0
    active = LicenseRow.objects.filter(final=True, order__isnull=False, state=LicenseRow.State.ACTIVE)
    for license_row in active.iterator():
        terms = terms_by_digest(license_row.terms)
        if terms is None or terms.rate is None or not terms.rate.minimum:
            continue
        try:
            made += _charge_minimum(license_row, terms.rate, now)
        except UsageRefusal as refusal:
            # Terms of some owner that lead beyond 64 bits: the minimums of others go on.
            log.warning("%s owes no minimum: %s", license_row, refusal)
    return made


@transaction.atomic
def _charge_minimum(row: LicenseRow, rate: Rate, now: datetime) -> int:
    LicenseRow.objects.select_for_update().get(pk=row.pk)
    reports = reported(row.pk)
    owed = owed_for(row, rate, reports, now=now)
    last = last_voucher(row.pk)
    if owed.amount <= (last.cumulative_amount if last else 0):
        return 0
    make_voucher(row, owed, reports_root([report.digest for report in reports]).hex(), now=now)
    return 1


def deposit_mined(voucher: VoucherRow, *, now: datetime) -> None:
    """The deposit of a voucher is mined: want its charge. Safe twice."""
    moved = VoucherRow.objects.filter(pk=voucher.pk, state=State.DEPOSITING).update(state=State.CHARGING, changed=now)
    if moved == 1:
        _want_charge(voucher, now)


def fail_voucher(voucher: VoucherRow, *, deposited: bool, cause: str, now: datetime) -> None:
    """A deposit or charge cannot happen any more; the next report, or `retry_voucher`, tries again. Safe twice."""
    changes: dict[str, object] = {"state": State.FAILED, "cause": cause[:500], "changed": now}
    if not deposited:
        changes["deposit"] = 0
    VoucherRow.objects.filter(pk=voucher.pk, state__in=UNDER_WAY).update(**changes)


def _fund(voucher: VoucherRow, now: datetime) -> int:
    row = LicenseRow.objects.select_for_update().get(pk=voucher.license)
    siblings = VoucherRow.objects.filter(license=voucher.license)
    need = voucher.cumulative_amount - _sum(siblings, "held")
    order = _paid_from_balance(row)
    if order is not None and need > 0:
        try:
            with transaction.atomic():
                journal.move(
                    source=journal.available(order.account_id), target=journal.held(order.account_id),
                    token=row.token, amount=need, effect=f"voucher:{voucher.license}:{voucher.sequence}:hold", now=now,
                )  # fmt: skip
        except JournalRefusal as refusal:
            siblings.filter(pk=voucher.pk, state=State.UNFUNDED).update(cause=str(refusal)[:500])
            return 0
    moved = siblings.filter(pk=voucher.pk, state=State.UNFUNDED).update(
        state=State.WANTED, held=need if order is not None else 0, cause="", changed=now
    )
    # What earlier ones lacked is part of what this one holds.
    siblings.filter(sequence__lt=voucher.sequence, state=State.UNFUNDED).update(state=State.SUPERSEDED, changed=now)
    path = market_calls.licensee_key(row)
    if moved and row.order is not None and path is not None:
        request = market_calls.want_signature(
            party=row.order.account_id, key_path=path, typed_data=voucher_typed_data(voucher), now=now
        )
        siblings.filter(pk=voucher.pk).update(signature_request=str(request.pk))
    if moved:
        _ask_wallet(voucher, row, now)
    return moved


def _paid_from_balance(row: LicenseRow) -> Order | None:
    return None if row.order is None or row.order.payer else row.order


def _ask_wallet(voucher: VoucherRow, row: LicenseRow, now: datetime) -> None:
    """Ask the account's own wallet for what of the voucher and its deposit nobody here can sign."""
    if row.account is None or _paid_from_balance(row) is not None:
        return
    _drop_earlier(voucher, now)
    expires = now + WALLET_SIGNS_WITHIN
    if not voucher.signature and market_calls.licensee_key(row) is None:
        ask_wallet(
            account=row.account, wallet=row.licensee, act=WalletRequest.Act.VOUCHER, key=_key("voucher", voucher),
            subject=row.pk, dataset=row.dataset, typed=voucher_typed_data(voucher),
            call={"sequence": voucher.sequence}, expires=expires, now=now,
        )  # fmt: skip
    missing = voucher.cumulative_amount - _sum(VoucherRow.objects.filter(license=row.pk), "deposit")
    if row.order is not None and missing > 0:
        ask_wallet(
            account=row.account, wallet=row.payer, act=WalletRequest.Act.DEPOSIT, key=_key("deposit", voucher),
            subject=row.pk, dataset=row.dataset, kind="wallet.deposit",
            call={
                "voucher": str(voucher.pk),
                "sequence": voucher.sequence,
                "payer": row.payer,
                "amount": str(missing),
                "reference": "0x" + deposit_reference(voucher).hex(),
                "valid_before": str(int((expires + market_calls.CALL_LIVES).timestamp())),
            },
            expires=expires, now=now,
        )  # fmt: skip


def _drop_earlier(voucher: VoucherRow, now: datetime) -> None:
    # A later voucher says all that an earlier one says: a wallet is asked once, for the sum.
    earlier = VoucherRow.objects.filter(license=voucher.license, sequence__lt=voucher.sequence, signature="")
    earlier.filter(state=State.WANTED, signature_request="").update(state=State.SUPERSEDED, changed=now)
    acts = (WalletRequest.Act.VOUCHER, WalletRequest.Act.DEPOSIT)
    asked = WalletRequest.objects.filter(subject=voucher.license, act__in=acts)
    kept = (_key("voucher", voucher), _key("deposit", voucher))
    drop(asked.exclude(key__in=kept), cause="A later voucher took its place.", now=now)


def _key(what: str, voucher: VoucherRow) -> str:
    return f"{what}:{voucher.license}:{voucher.sequence}:{voucher.attempt}"


def _take_signature(voucher: VoucherRow, now: datetime) -> int:
    if not voucher.signature_request:
        return 0
    request = SignatureRequest.objects.filter(pk=voucher.signature_request).first()
    if request is None or request.state == "wanted":
        return 0
    waiting = VoucherRow.objects.filter(pk=voucher.pk, state=State.WANTED)
    if request.state == "refused":
        return waiting.update(state=State.FAILED, cause=request.cause[:500], changed=now)
    return waiting.update(state=State.SIGNED, signature=request.signature, changed=now)


def _start_charging(voucher: VoucherRow, now: datetime) -> int:
    row = LicenseRow.objects.select_for_update().get(pk=voucher.license)
    siblings = VoucherRow.objects.filter(license=voucher.license)
    if siblings.filter(state__in=UNDER_WAY).exists():
        return 0
    this = siblings.filter(pk=voucher.pk, state=State.SIGNED)
    if siblings.filter(sequence__gt=voucher.sequence, state__in=(State.SIGNED, State.CHARGED)).exists():
        # The newest signed voucher says all that this one says; what this one holds is deposited with it.
        return this.update(state=State.SUPERSEDED, changed=now)
    missing = voucher.cumulative_amount - _sum(siblings, "deposit")
    if row.order is not None and row.order.payer and missing > 0:
        return _deposit_signed(voucher, row, missing, now)
    if row.order is None or missing <= 0:
        moved = this.update(state=State.CHARGING, changed=now)
        if moved:
            _want_charge(voucher, now)
        return moved
    moved = this.update(state=State.DEPOSITING, deposit=missing, changed=now)
    if moved:
        _want_deposit(voucher, missing, now)
    return moved


def _deposit_signed(voucher: VoucherRow, row: LicenseRow, missing: int, now: datetime) -> int:
    """Send the deposit that the wallet has signed; ask again when the one that it signed is too small by now."""
    request = WalletRequest.objects.filter(key=_key("deposit", voucher)).first()
    if request is not None and request.state != WalletRequest.State.SIGNED:
        return 0
    this = VoucherRow.objects.filter(pk=voucher.pk, state=State.SIGNED)
    if request is None or int(request.call["amount"]) < missing:
        moved = this.update(attempt=F("attempt") + 1, changed=now)
        voucher.refresh_from_db()
        _ask_wallet(voucher, row, now)
        return moved
    moved = this.update(state=State.DEPOSITING, deposit=int(request.call["amount"]), changed=now)
    if moved:
        intent = send_signed(request, now=now)
        VoucherRow.objects.filter(pk=voucher.pk).update(intent_key=intent.key)
    return moved


def _want_deposit(voucher: VoucherRow, amount: int, now: datetime) -> None:
    intent = market_calls.want(
        kind="market.deposit",
        key=_key("deposit", voucher),
        payload={
            "voucher": str(voucher.pk),
            "amount": str(amount),
            "reference": "0x" + deposit_reference(voucher).hex(),
            "valid_before": str(int((now + market_calls.CALL_LIVES).timestamp())),
        },
        deployment=license_deployment(voucher.license),
        now=now,
    )
    VoucherRow.objects.filter(pk=voucher.pk).update(intent_key=intent.key)


def _want_charge(voucher: VoucherRow, now: datetime) -> None:
    intent = market_calls.want(
        kind="market.charge",
        key=_key("charge", voucher),
        payload={"voucher": str(voucher.pk)},
        deployment=license_deployment(voucher.license),
        now=now,
    )
    VoucherRow.objects.filter(pk=voucher.pk).update(intent_key=intent.key)


def _sum(rows: QuerySet[VoucherRow], column: str) -> int:
    return rows.aggregate(total=Sum(column))["total"] or 0
