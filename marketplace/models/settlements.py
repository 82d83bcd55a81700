"""Epochs, what they owe to whom, and what was paid."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class SettlementRow(models.Model):
    """The settlement of one epoch of one token; the document itself stands in evidence under `digest`."""

    class State(models.TextChoices):
        """Computed, then pinned before anyone is asked to accept it."""

        COMPUTED = "computed"
        PINNED = "pinned"
        PROPOSED = "proposed"
        ACCEPTED = "accepted"
        VETOED = "vetoed"

    # CAIP-19.
    token = models.CharField(max_length=160)
    epoch = models.BigIntegerField()
    from_block = models.BigIntegerField()
    to_block = models.BigIntegerField()
    to_block_hash = models.CharField(max_length=66)
    ended_at = models.DateTimeField()
    root = models.CharField(max_length=66)
    digest = models.CharField(max_length=64, unique=True)
    # Base units.
    revenue = models.BigIntegerField()
    fees = models.BigIntegerField()
    allocated = models.BigIntegerField()
    cumulative = models.BigIntegerField()
    payees = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.COMPUTED)
    accept_after = models.DateTimeField(null=True)
    proposed_tx = models.CharField(max_length=66, blank=True)
    accepted_tx = models.CharField(max_length=66, blank=True)
    # When the pushes of an accepted root were wanted; set once.
    pushed_at = models.DateTimeField(null=True)
    created = models.DateTimeField(default=timezone.now)
    changed = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["token", "epoch"], name="settlement_once"),
            models.CheckConstraint(
                condition=Q(revenue=models.F("fees") + models.F("allocated")), name="settlement_sums"
            ),
        ]

    def __str__(self) -> str:
        return f"settlement {self.epoch} of {self.token}"


class Reconciliation(models.Model):
    """The last comparison of a side of the journal with the chain, at one final block."""

    # CAIP-19, and `treasury` or `market`.
    token = models.CharField(max_length=160)
    side = models.CharField(max_length=10)
    block = models.BigIntegerField()
    # Base units: what the journal says must be there, and what is.
    expected = models.BigIntegerField()
    actual = models.BigIntegerField()
    # A difference is an alarm only when it stays: intents and events become final a moment apart.
    differs_since = models.DateTimeField(null=True)
    checked = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["token", "side"], name="reconciliation_once")]

    def __str__(self) -> str:
        return f"{self.side} of {self.token}"


class PayeeRow(models.Model):
    """A payee as the chain has it: dense number and address. A projection."""

    # CAIP-10 of the market contract.
    market = models.CharField(max_length=100)
    number = models.BigIntegerField()
    address = models.CharField(max_length=42)
    # False: an invited contributor has not accepted, so nothing is pushed.
    accepted = models.BooleanField(default=True)
    block = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["market", "number"], name="payee_number_once")]
        indexes: ClassVar = [models.Index(fields=["address"], name="payee_by_address")]

    def __str__(self) -> str:
        return f"payee {self.number}"


class PaidTotal(models.Model):
    """What has been paid to a payee in one token, cumulative, as of the newest final block that was told here."""

    # CAIP-19.
    token = models.CharField(max_length=160)
    payee = models.BigIntegerField()
    # Base units.
    paid = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["token", "payee"], name="paid_total_once")]

    def __str__(self) -> str:
        return f"paid to {self.payee}"


class PayoutRow(models.Model):
    """What one settlement owes to one payee, and how much of the cumulative amount has been paid on chain."""

    class State(models.TextChoices):
        """Claimable amounts stay below the threshold of a push."""

        OWED = "owed"
        CLAIMABLE = "claimable"
        PUSHING = "pushing"
        PAID = "paid"
        FAILED = "failed"

    settlement = models.ForeignKey(SettlementRow, on_delete=models.PROTECT, related_name="payouts")
    leaf = models.BigIntegerField()
    payee = models.BigIntegerField()
    address = models.CharField(max_length=42)
    # Base units: of this epoch, and up to and including it.
    amount = models.BigIntegerField()
    cumulative = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.OWED)
    intent_key = models.CharField(max_length=200, blank=True)
    tx = models.CharField(max_length=66, blank=True)
    cause = models.CharField(max_length=500, blank=True)
    changed = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["settlement", "payee"], name="payout_once"),
            models.UniqueConstraint(fields=["settlement", "leaf"], name="payout_leaf_once"),
            models.CheckConstraint(condition=Q(amount__gte=0, cumulative__gte=models.F("amount")), name="payout_sums"),
        ]
        # A person's earnings by address.
        indexes: ClassVar = [models.Index(fields=["address"], name="payout_by_address")]

    def __str__(self) -> str:
        return f"payout to {self.payee}"
