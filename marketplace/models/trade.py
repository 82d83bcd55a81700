"""Orders, licenses, usage: what was bought and what was done with it."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from marketplace.models.accounts import Account, Membership
from marketplace.models.catalog import OfferRow, Quote


class Order(models.Model):
    """A purchase on its way to a license."""

    class State(models.TextChoices):
        """Mined may fall back to paying in a reorg; final, failed, declined and refunded do not move any more.

        Signing waits for the signature of the wallet that pays. What it signed elsewhere, and a chain accepted, counts.
        """

        APPROVAL = "approval"
        SIGNING = "signing"
        PLACED = "placed"
        PAYING = "paying"
        MINED = "mined"
        FINAL = "final"
        FAILED = "failed"
        DECLINED = "declined"
        REFUNDED = "refunded"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="orders")
    offer = models.ForeignKey(OfferRow, on_delete=models.PROTECT, related_name="orders")
    quote = models.OneToOneField(Quote, null=True, on_delete=models.PROTECT, related_name="order")
    # CAIP-19.
    dataset = models.CharField(max_length=160)
    # The buyer's age recipient, to which the content key is granted.
    recipient = models.CharField(max_length=100)
    # Lower case with 0x: `licensee/{order}`, or the buyer's own wallet; empty until the signer has derived it.
    licensee = models.CharField(max_length=42, blank=True)
    # Lower case with 0x: the account's own wallet that pays; empty when the treasury pays from the account's balance.
    payer = models.CharField(max_length=42, blank=True)
    idempotency_key = models.CharField(max_length=255)
    # Base units: what the buyer pays, and the part of it that is the fee.
    total = models.BigIntegerField()
    fee = models.BigIntegerField()
    placed_by = models.ForeignKey(Membership, null=True, on_delete=models.SET_NULL, related_name="orders_placed")
    approved_by = models.ForeignKey(Membership, null=True, on_delete=models.SET_NULL, related_name="orders_approved")
    state = models.CharField(max_length=10, choices=State, default=State.PLACED)
    cause = models.CharField(max_length=500, blank=True)
    # CAIP-19, once mined.
    license = models.CharField(max_length=160, blank=True)
    intent_key = models.CharField(max_length=200, blank=True)
    refund_wanted = models.DateTimeField(null=True)
    created = models.DateTimeField(default=timezone.now)
    changed = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "idempotency_key"], name="order_key_once"),
            models.CheckConstraint(
                condition=Q(total__gte=0, fee__gte=0, fee__lte=models.F("total")), name="order_sums"
            ),
        ]
        # An account's orders, newest first; the sweep; the fold of a purchase event back to its order.
        indexes: ClassVar = [
            models.Index(fields=["account", "-created"], name="order_by_account"),
            models.Index(fields=["state", "changed"], name="order_by_state"),
            models.Index(fields=["licensee"], name="order_by_licensee"),
        ]

    def __str__(self) -> str:
        return f"order {self.id}"


class LicenseRow(models.Model):
    """A license as the chain has it: a projection, dropped and replayed at will."""

    class State(models.TextChoices):
        """As of the newest followed block."""

        ACTIVE = "active"
        REFUNDED = "refunded"
        REVOKED = "revoked"
        EXPIRED = "expired"

    # CAIP-19.
    id = models.CharField(max_length=160, primary_key=True)
    chain = models.BigIntegerField()
    market = models.CharField(max_length=42)
    number = models.BigIntegerField()
    dataset = models.CharField(max_length=160)
    # Null while the offer's document is not known here: bought elsewhere, not fetched yet.
    version = models.IntegerField(null=True)
    # Digests of the offer document and of the terms.
    offer = models.CharField(max_length=64)
    terms = models.CharField(max_length=64)
    # Base units of `token` (CAIP-19).
    price = models.BigIntegerField()
    fee = models.BigIntegerField()
    token = models.CharField(max_length=160)
    licensee = models.CharField(max_length=42)
    payer = models.CharField(max_length=42)
    # The payer's 32-byte reference, 0x text: with the payer it finds the purchase on chain.
    order_reference = models.CharField(max_length=66)
    uses = models.JSONField(default=list)
    start = models.DateTimeField()
    end = models.DateTimeField(null=True)
    hold_until = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State, default=State.ACTIVE)
    block = models.BigIntegerField()
    block_hash = models.CharField(max_length=66)
    tx = models.CharField(max_length=66)
    log = models.IntegerField()
    final = models.BooleanField(default=False)
    # Set when the licensee's address is ours.
    account = models.ForeignKey(Account, null=True, on_delete=models.PROTECT, related_name="licenses")
    order = models.ForeignKey(Order, null=True, on_delete=models.SET_NULL, related_name="licenses")
    # Base units moved by vouchers so far.
    charged = models.BigIntegerField(default=0)
    # Digest of the certificate; set when the license is final.
    certificate = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["chain", "market", "number"], name="license_number_once"),
        ]
        # An account's licenses; sales of a dataset.
        indexes: ClassVar = [
            models.Index(fields=["account", "-start"], name="license_by_account"),
            models.Index(fields=["dataset", "-start"], name="license_by_dataset"),
        ]

    def __str__(self) -> str:
        return self.id


class Disclosure(models.Model):
    """A license shown to one named reader by a link; the row holds the digest of its token."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="disclosures")
    # CAIP-19.
    license = models.CharField(max_length=160)
    reader = models.CharField(max_length=100)
    token_digest = models.CharField(max_length=64, unique=True)
    created = models.DateTimeField(default=timezone.now)
    expires = models.DateTimeField()
    revoked = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["license"], name="disclosure_by_license")]

    def __str__(self) -> str:
        return f"disclosure {self.id}"


class VoucherRow(models.Model):
    """A cumulative voucher (EIP-712) of a license: it replaces every earlier one."""

    class State(models.TextChoices):
        """Unfunded ones wait for the balance. What adds nothing to pay is recorded and never charged."""

        UNFUNDED = "unfunded"
        WANTED = "wanted"
        SIGNED = "signed"
        DEPOSITING = "depositing"
        CHARGING = "charging"
        CHARGED = "charged"
        RECORDED = "recorded"
        SUPERSEDED = "superseded"
        FAILED = "failed"

    # CAIP-19.
    license = models.CharField(max_length=160)
    sequence = models.IntegerField()
    cumulative_units = models.BigIntegerField()
    # Base units.
    cumulative_amount = models.BigIntegerField()
    reports_root = models.CharField(max_length=64)
    typed_data = models.JSONField()
    signature_request = models.CharField(max_length=66, blank=True)
    signature = models.CharField(max_length=132, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.WANTED)
    # Base units that the journal holds for it, and that were deposited on chain for it, beyond those of earlier ones.
    held = models.BigIntegerField(default=0)
    deposit = models.BigIntegerField(default=0)
    attempt = models.IntegerField(default=1)
    intent_key = models.CharField(max_length=200, blank=True)
    cause = models.CharField(max_length=500, blank=True)
    created = models.DateTimeField(default=timezone.now)
    changed = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["license", "sequence"], name="voucher_sequence_once")]
        indexes: ClassVar = [models.Index(fields=["state", "created"], name="voucher_by_state")]

    def __str__(self) -> str:
        return f"voucher {self.sequence} of {self.license}"


class UsageReport(models.Model):
    """A usage report (`cadastre.usage/1`), private to licensee and owner; the log holds its digest."""

    class State(models.TextChoices):
        """Only what has entered counts; what costs more than its reporter may spend waits for somebody's approval."""

        APPROVAL = "approval"
        ENTERED = "entered"
        DECLINED = "declined"

    digest = models.CharField(max_length=64, primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="usage_reports")
    # CAIP-19.
    license = models.CharField(max_length=160)
    dataset = models.CharField(max_length=160)
    state = models.CharField(max_length=8, choices=State, default=State.ENTERED)
    # Among those that have entered; null for the others.
    sequence = models.IntegerField(null=True)
    document = models.BinaryField()
    version = models.IntegerField()
    period_from = models.DateField()
    period_to = models.DateField()
    use = models.CharField(max_length=20)
    unit = models.CharField(max_length=20, blank=True)
    quantity = models.BigIntegerField()
    corrects = models.CharField(max_length=64, blank=True)
    corrected = models.BooleanField(default=False)
    # Base units that it adds to what is owed; minimums are due without it.
    cost = models.BigIntegerField(default=0)
    reported_by = models.ForeignKey(Membership, null=True, on_delete=models.SET_NULL, related_name="reports")
    approved_by = models.ForeignKey(Membership, null=True, on_delete=models.SET_NULL, related_name="approved_reports")
    cause = models.CharField(max_length=500, blank=True)
    # Base units: what the cumulative amount of the license became with this report.
    cumulative_units = models.BigIntegerField()
    cumulative_amount = models.BigIntegerField()
    reports_root = models.CharField(max_length=64)
    idempotency_key = models.CharField(max_length=255)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["license", "sequence"], name="usage_sequence_once"),
            models.UniqueConstraint(fields=["account", "idempotency_key"], name="usage_key_once"),
            models.UniqueConstraint(
                fields=["corrects"], condition=~Q(corrects="") & ~Q(state="declined"), name="usage_corrected_once"
            ),
            models.CheckConstraint(
                condition=Q(state="entered", sequence__isnull=False) | (~Q(state="entered") & Q(sequence=None)),
                name="usage_numbered_when_entered",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["dataset", "-created"], name="usage_by_dataset"),
            # What waits for somebody of the account.
            models.Index(fields=["account", "created"], condition=Q(state="approval"), name="usage_to_approve"),
        ]

    def __str__(self) -> str:
        return self.digest
