"""The signer's hands: carries out what `provenance.core.lane` plans, one lane at a time.

1. Read the lane's rows, then the chain: nonces first, receipts last.
2. Let the core plan.
3. Carry out each step in a transaction of its own, each a compare-and-set: two signers at once repeat each other's
   work, they never add to it.
4. Slow I/O stands between transactions, never inside one. Bytes are stored before they are sent, so that a crash at
   any point leaves either nothing or bytes that will be sent again as they are.

Intents are told to trade (`hooks.tell_intent`) in the transaction that changes them.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from typing import assert_never
from uuid import UUID

from django.db import DatabaseError, transaction
from django.db.models import Max, Q

from provenance import bootstrap, hooks, outbox
from provenance.core import lane as core
from provenance.core.refusal import Refusal
from provenance.models import Deployment, Intent, IntentState, IntentTransaction, Lane
from provenance.ports import Call, CallRefused, Chain, ChainDown, ChainRefusal, KeyRing

log = logging.getLogger(__name__)

ROUNDS = 64
"""Rounds of one call at most: a lane that is never done must not starve the others."""

GAS_MARGIN_PERCENT = 125
LOW_FUNDS_GAS = 2_000_000
"""A lane that could not pay for this much gas at today's price stops before it runs dry in mid-flight."""

_RETRY = (dt.timedelta(seconds=2), dt.timedelta(seconds=10), dt.timedelta(minutes=1), dt.timedelta(minutes=10))
_FUNDS, _FOREIGN = "lane.funds", "lane.foreign_nonce"
_OWN_PATHS = frozenset({"treasury", "guardian", "deployer"})
_AT_REST = (IntentState.FINAL, IntentState.EXPIRED, IntentState.FAILED)
_OPEN = (IntentState.WANTED, IntentState.SIGNED, IntentState.BROADCAST, IntentState.MINED)


def key_path(lane_name: str) -> str:
    """Return the key path of a lane."""
    return lane_name if lane_name in _OWN_PATHS else f"lane/{lane_name}"


def open_lane(name: str, *, ring: KeyRing, chain: Chain, now: dt.datetime) -> Lane:
    """Return the lane's row, made at its first use with the nonce that the chain says comes next."""
    row = Lane.objects.filter(chain_id=chain.chain_id, name=name).first()
    if row is not None:
        return row
    address = ring.address(key_path(name))
    row, _ = Lane.objects.get_or_create(
        chain_id=chain.chain_id,
        name=name,
        defaults={"address": address, "next_nonce": chain.nonce(address), "updated_at": now},
    )
    return row


def lanes_due(chain_id: int) -> list[str]:
    """Return the names of lanes that have something open, or had when the chain last came back behind us."""
    open_ones = Intent.objects.filter(chain_id=chain_id, state__in=_OPEN).values_list("lane_name", flat=True)
    known = Lane.objects.filter(chain_id=chain_id).values_list("name", flat=True)
    return sorted(set(open_ones) | set(known))


def work_lane(lane: Lane, ring: KeyRing, chain: Chain, now: dt.datetime, *, rounds: int = ROUNDS) -> int:
    """Carry out what is due in a lane; return how many steps were taken. Safe twice and twice at once.

    `rounds` bounds how long others wait who need the same process. A node that does not answer ends the call with what
    was done so far: the next one goes on.
    """
    done = 0
    try:
        for _ in range(rounds):
            steps = _Round(lane, ring, chain, now).run()
            done += steps
            if not steps:
                break
    except ChainDown as refusal:
        log.warning("lane %s: %s", lane, refusal)
    return done


def adopt_chain_nonce(lane: Lane, chain: Chain, *, now: dt.datetime) -> None:
    """Go on with the nonce that the chain has, after an operator has seen why the key was used elsewhere.

    Trade first reads back what the unknown transactions did (`hooks.on_resume`). Raises LaneRefusal while they are not
    final.
    """
    nonce, final = chain.nonce(lane.address), chain.nonce(lane.address, at=chain.header("finalized").number)
    if final < nonce:
        raise core.LaneRefusal(
            "lane.not_final", "Transactions of this key that nobody here knows are not final yet.", limit=nonce,
            actual=final, todo="Run it again when they are.",
        )  # fmt: skip
    known = Intent.objects.filter(chain_id=lane.chain_id, lane_name=lane.name).aggregate(last=Max("block_number"))
    for deployment in Deployment.objects.filter(chain_id=lane.chain_id).order_by("pk"):
        hooks.tell_resume(deployment, known["last"] or 0, now)
    Lane.objects.filter(pk=lane.pk, next_nonce__lt=nonce).update(next_nonce=nonce, paused="", updated_at=now)


class _Round:
    """One look at the rows and the chain, and the steps that follow from it."""

    def __init__(self, lane: Lane, ring: KeyRing, chain: Chain, now: dt.datetime) -> None:
        self._ring, self._chain, self._now = ring, chain, now
        self._lane = Lane.objects.get(pk=lane.pk)
        self._path = key_path(self._lane.name)
        self._gas_used: dict[str, int] = {}

    def run(self) -> int:
        nonce = self._chain.nonce(self._lane.address)
        rows = list(
            Intent.objects.filter(chain_id=self._lane.chain_id, lane_name=self._lane.name)
            .filter(Q(state__in=_OPEN) | Q(nonce__gte=nonce))
            .select_related("deployment")
            .prefetch_related("transactions")
        )
        if not rows:
            return 0
        self._rows: Mapping[UUID, Intent] = {row.pk: row for row in rows}
        state = self._chain_state(nonce, rows)
        self._look_at_funds(state.market)
        lane = core.Lane(next_nonce=self._lane.next_nonce, paused=bool(self._lane.paused))
        steps = core.plan_lane(lane, [_as_core(row) for row in rows], state, now=self._now)
        return sum(self._carry_out(step) for step in steps)

    def _chain_state(self, nonce: int, rows: list[Intent]) -> core.ChainState:
        finalized = self._chain.header("finalized").number
        final_nonce = self._chain.nonce(self._lane.address, at=finalized)
        fees = self._chain.fees()
        market = core.Fee(2 * fees.base_fee + fees.priority_fee, fees.priority_fee)
        receipts: dict[str, core.Mined] = {}
        known: set[str] = set()
        for row in rows:
            for stored in row.transactions.all():
                receipt = self._chain.receipt(stored.hash)
                if receipt is not None:
                    receipts[stored.hash] = core.Mined(receipt.block_number, receipt.block_hash, receipt.succeeded)
                    self._gas_used[stored.hash] = receipt.gas_used
                    known.add(stored.hash)
                elif self._chain.known(stored.hash):
                    known.add(stored.hash)
        return core.ChainState(nonce, final_nonce, finalized, receipts, known, market)

    def _look_at_funds(self, market: core.Fee) -> None:
        # Fault 23: pause with an explanation before nonces are held that nobody can pay for, and go on by itself.
        balance, wanted = self._chain.balance(self._lane.address), LOW_FUNDS_GAS * market.max_fee
        if balance < wanted and not self._lane.paused:
            self._pause(f"{_FUNDS}: {self._lane.address} holds {balance} wei and needs {wanted}.")
        elif balance >= wanted and self._lane.paused.startswith(_FUNDS):
            self._pause("")
        if balance != self._lane.balance:
            price = market.max_fee // 2  # the base fee doubled is what is offered, not what is paid
            Lane.objects.filter(pk=self._lane.pk).update(balance=balance, gas_price=price, updated_at=self._now)

    def _pause(self, cause: str) -> None:
        Lane.objects.filter(pk=self._lane.pk).update(paused=cause, updated_at=self._now)
        self._lane.paused = cause
        if cause:
            log.error("lane %s paused: %s", self._lane, cause)

    def _carry_out(self, step: core.Step) -> int:  # noqa: C901  # one case for each kind of step
        match step:
            case core.MarkMined():
                return self._mark(step.intent, _OPEN, IntentState.MINED, tx=step.tx, mined=step.mined)
            case core.MarkUnmined():
                return self._mark(step.intent, (IntentState.MINED,), IntentState.BROADCAST, tx="")
            case core.MarkSettled():
                cause = self._why(step)
                return self._mark(
                    step.intent, _OPEN, IntentState(step.state), tx=step.tx, mined=step.mined, code=step.code,
                    cause=cause,
                )  # fmt: skip
            case core.MarkFailed():
                return self._mark(
                    step.intent, _OPEN, IntentState.FAILED, code=step.code,
                    cause="Another transaction used the nonce: the key is in use elsewhere.",
                )  # fmt: skip
            case core.Expire():
                return self._expire(self._rows[step.intent])
            case core.Fill():
                return self._sign(self._rows[step.intent], step.nonce, step.fee, filler=True)
            case core.Replace():
                return self._sign(self._rows[step.intent], step.nonce, step.fee, filler=step.filler)
            case core.Broadcast():
                return self._broadcast(self._rows[step.intent], step.tx)
            case core.Take():
                return self._take(self._rows[step.intent], step.nonce, step.fee)
            case core.Pause():
                if not self._lane.paused:
                    self._pause(
                        f"{step.code}: the chain counts {step.chain_nonce} transactions, this register knows of "
                        f"{step.lane_nonce}."
                    )
                return 0
            case other:
                assert_never(other)

    def _mark(
        self,
        intent_id: UUID,
        before: tuple[IntentState, ...],
        after: IntentState,
        *,
        tx: str | None = None,
        mined: core.Mined | None = None,
        code: str = "",
        cause: str = "",
    ) -> int:
        fields: dict[str, object] = {"state": after, "code": code, "cause": cause, "updated_at": self._now}
        if tx is not None:
            fields |= {"tx": tx, "block_number": None, "block_hash": ""}
        if mined is not None:
            fields |= {
                "block_number": mined.block_number, "block_hash": mined.block_hash,
                "gas_used": self._gas_used.get(str(tx)),
            }  # fmt: skip
        with transaction.atomic():
            changed = Intent.objects.filter(pk=intent_id, state__in=before).update(**fields)
            if changed:
                hooks.tell_intent(Intent.objects.get(pk=intent_id))
        return changed

    def _why(self, step: core.MarkSettled) -> str:
        match step.state:
            case core.State.EXPIRED:
                return "Its time was over before it was mined; its nonce was used by an empty transfer."
            case core.State.FAILED:
                return self._revert_reason(self._rows[step.intent], step.mined)
            case _:
                return ""

    def _revert_reason(self, intent: Intent, mined: core.Mined) -> str:
        """Ask what the same call would say now: the receipt of a reverted transaction gives no reason."""
        try:
            self._chain.simulate(_call(intent), sender=self._lane.address)
        except CallRefused as refusal:
            return str(refusal)
        except ChainRefusal:
            pass
        return f"The transaction was mined in block {mined.block_number} and reverted."

    def _expire(self, intent: Intent) -> int:
        # The cause of the last postponement says more than "too late".
        cause = intent.cause or "Its time was over before it could be sent."
        return self._end(intent, IntentState.EXPIRED, intent.code or "lane.expired", cause)

    def _end(self, intent: Intent, state: IntentState, code: str, cause: str) -> int:
        with transaction.atomic():
            changed = Intent.objects.filter(pk=intent.pk, state=IntentState.WANTED).update(
                state=state, code=code, cause=cause, updated_at=self._now
            )
            if changed:
                outbox.release(intent)
                hooks.tell_intent(Intent.objects.get(pk=intent.pk))
        return changed

    def _take(self, intent: Intent, nonce: int, fee: core.Fee) -> int:
        if self._lane.paused or nonce != self._lane.next_nonce:
            return 0  # one before it ran out of funds, or was refused and took no nonce; the next round plans anew
        try:
            kind = outbox.kind_of(intent.kind)
        except Refusal as refusal:
            return self._postpone(intent, refusal)
        try:
            call = kind.builder(intent.payload, self._ring, self._chain_of(intent.deployment))
            needed = self._chain.simulate(call, sender=self._lane.address)
        except ChainDown:
            raise
        except Refusal as refusal:
            return self._refused(intent, refusal, kind)
        gas = max(call.gas or 0, needed * GAS_MARGIN_PERCENT // 100)
        signed_call = Call(call.to, call.data, call.value, gas)
        raw = self._signed(signed_call, nonce, fee)
        try:
            with transaction.atomic():
                assigned = Lane.objects.filter(pk=self._lane.pk, next_nonce=nonce).update(
                    next_nonce=nonce + 1, updated_at=self._now
                )
                taken = Intent.objects.filter(pk=intent.pk, state=IntentState.WANTED).update(
                    state=IntentState.SIGNED, nonce=nonce, call=_call_json(signed_call), code="", cause="",
                    updated_at=self._now,
                )  # fmt: skip
                if assigned + taken != 2:  # one lane, one intent
                    raise _LostRaceError
                self._store(intent, nonce, fee, raw, gas, filler=False)
        except (_LostRaceError, DatabaseError):
            log.info("lane %s: another signer took nonce %d or intent %s", self._lane, nonce, intent.pk)
            return 0
        self._lane.next_nonce = nonce + 1
        return 1

    def _refused(self, intent: Intent, refusal: Refusal, kind: outbox.Kind) -> int:
        passing = refusal.code.removeprefix("chain.") in kind.retry_on
        by_node = isinstance(refusal, ChainRefusal) and not isinstance(refusal, CallRefused)
        if passing or by_node or (isinstance(refusal, CallRefused) and self._waits_for_others()):
            return self._postpone(intent, refusal)
        return self._end(intent, IntentState.FAILED, refusal.code, str(refusal))

    def _waits_for_others(self) -> bool:
        """Say whether something of this lane waits to be mined: it may be what a refused intent needs."""
        return Intent.objects.filter(
            chain_id=self._lane.chain_id,
            lane_name=self._lane.name,
            state__in=(IntentState.SIGNED, IntentState.BROADCAST),
        ).exists()

    def _postpone(self, intent: Intent, refusal: Refusal) -> int:
        wait = _RETRY[min(intent.attempts, len(_RETRY) - 1)]
        return Intent.objects.filter(pk=intent.pk, state=IntentState.WANTED).update(
            not_before=self._now + wait, attempts=intent.attempts + 1, code=refusal.code, cause=str(refusal),
            updated_at=self._now,
        )  # fmt: skip

    def _sign(self, intent: Intent, nonce: int, fee: core.Fee, *, filler: bool) -> int:
        call = Call(self._lane.address, b"", 0, core.FILLER_GAS) if filler else _call(intent)
        raw = self._signed(call, nonce, fee)
        with transaction.atomic():
            still = Intent.objects.filter(pk=intent.pk, nonce=nonce, filling=intent.filling, state=intent.state).update(
                filling=filler, updated_at=self._now
            )
            if not still:
                return 0
            self._store(intent, nonce, fee, raw, call.gas or 0, filler=filler)
        return 1

    def _broadcast(self, intent: Intent, tx: str) -> int:
        stored = next(each for each in intent.transactions.all() if each.hash == tx)
        try:
            self._chain.send_raw(bytes(stored.raw))
        except ChainDown as refusal:
            self._note(intent, refusal)
            raise
        except ChainRefusal as refusal:
            # The bytes stay as they are: the next round sees from the chain what became of their nonce.
            self._note(intent, refusal)
            if refusal.code == "chain.funds" and not self._lane.paused:
                self._pause(f"{_FUNDS}: {refusal}")
            return 0
        IntentTransaction.objects.filter(pk=stored.pk).update(broadcast_at=self._now)
        with transaction.atomic():
            changed = Intent.objects.filter(pk=intent.pk, state=IntentState.SIGNED).update(
                state=IntentState.BROADCAST, code="", cause="", updated_at=self._now
            )
            if changed:
                hooks.tell_intent(Intent.objects.get(pk=intent.pk))
        return 1

    def _note(self, intent: Intent, refusal: Refusal) -> None:
        Intent.objects.filter(pk=intent.pk).exclude(state__in=_AT_REST).update(
            code=refusal.code, cause=str(refusal), updated_at=self._now
        )

    def _signed(self, call: Call, nonce: int, fee: core.Fee) -> tuple[str, bytes]:
        transaction_fields: dict[str, object] = {
            "chainId": self._lane.chain_id, "nonce": nonce, "value": call.value, "data": call.data, "gas": call.gas,
            "maxFeePerGas": fee.max_fee, "maxPriorityFeePerGas": fee.priority_fee,
        }  # fmt: skip
        if call.to is not None:
            transaction_fields["to"] = bytes.fromhex(call.to.removeprefix("0x"))
        signed = self._ring.sign_transaction(self._path, transaction_fields)
        return signed.hash, signed.raw

    def _store(
        self, intent: Intent, nonce: int, fee: core.Fee, signed: tuple[str, bytes], gas: int, *, filler: bool
    ) -> None:
        IntentTransaction.objects.get_or_create(
            hash=signed[0],
            defaults={
                "intent": intent, "chain_id": self._lane.chain_id, "lane_name": self._lane.name, "nonce": nonce,
                "raw": signed[1], "filler": filler, "max_fee": fee.max_fee, "priority_fee": fee.priority_fee,
                "gas_limit": gas, "signed_at": self._now,
            },
        )  # fmt: skip

    def _chain_of(self, deployment: Deployment) -> Chain:
        ours = self._chain.addresses.get("DatasetRegistry") == deployment.registry
        return self._chain if ours else bootstrap.chain(deployment)


class _LostRaceError(Exception):
    """Another signer was faster; its transaction stands."""


def _as_core(row: Intent) -> core.Intent:
    transactions = tuple(
        core.Transaction(
            hash=each.hash,
            fee=core.Fee(int(each.max_fee), int(each.priority_fee)),
            signed_at=each.signed_at,
            broadcast_at=each.broadcast_at,
            filler=each.filler,
        )
        for each in sorted(row.transactions.all(), key=lambda each: each.pk)
    )
    return core.Intent(
        id=row.pk,
        state=core.State(row.state),
        wanted_at=row.created_at,
        valid_until=row.valid_until,
        nonce=row.nonce,
        transactions=transactions,
        tx=row.tx or None,
        not_before=row.not_before,
    )


def _call(intent: Intent) -> Call:
    stored = intent.call
    if not isinstance(stored, Mapping):
        raise core.LaneRefusal("lane.call", "A signed intent does not say what was signed.", actual=str(intent.pk))
    return Call(
        to=stored["to"],
        data=bytes.fromhex(stored["data"].removeprefix("0x")),
        value=int(stored["value"]),
        gas=stored["gas"],
    )


def _call_json(call: Call) -> dict[str, object]:
    return {"to": call.to, "data": "0x" + call.data.hex(), "value": str(call.value), "gas": call.gas}
