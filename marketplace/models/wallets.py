"""What a person's own wallet is asked to sign: no key of ours can, so the row waits for the signature."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone

from marketplace.models.accounts import Account


class WalletRequest(models.Model):
    """Typed data (EIP-712) for a connected wallet, and the transaction that its signature sets in motion."""

    class Act(models.TextChoices):
        """What the signature is for."""

        OFFER = "offer"
        CANCEL_OFFER = "cancel-offer"
        SPLITS = "splits"
        DERIVE_TERMS = "derive-terms"
        HAND_OVER = "hand-over"
        PURCHASE = "purchase"
        VOUCHER = "voucher"
        DEPOSIT = "deposit"

    class State(models.TextChoices):
        """Made while the chain is asked for what only it knows; dropped with a cause: too late, or replaced."""

        MAKING = "making"
        WANTED = "wanted"
        SIGNED = "signed"
        DROPPED = "dropped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Once per effect; also the key of the intent that carries the signature.
    key = models.CharField(max_length=200, unique=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="wallet_requests")
    # Lower case with 0x.
    wallet = models.CharField(max_length=42)
    act = models.CharField(max_length=12, choices=Act)
    # Digest of the offer, id of the order, or CAIP-19 of the dataset or license; and the dataset it is about (CAIP-19).
    subject = models.CharField(max_length=160)
    dataset = models.CharField(max_length=160)
    # Kind and payload of the intent, without the signature; empty where no transaction follows at once.
    kind = models.CharField(max_length=40, blank=True)
    call = models.JSONField(default=dict)
    typed_data = models.JSONField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.WANTED)
    signature = models.CharField(max_length=132, blank=True)
    cause = models.CharField(max_length=500, blank=True)
    # Whoever signs later signs for nothing.
    expires = models.DateTimeField()
    created = models.DateTimeField(default=timezone.now)
    changed = models.DateTimeField(default=timezone.now)

    class Meta:
        # An account's requests, newest first; the sweep; what waits about a dataset, offer, order or license.
        indexes: ClassVar = [
            models.Index(fields=["account", "-created"], name="wallet_request_by_account"),
            models.Index(fields=["state", "expires"], name="wallet_request_due"),
            models.Index(fields=["subject", "act"], name="wallet_request_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.act} of {self.subject}"
