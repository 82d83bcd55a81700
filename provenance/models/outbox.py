"""What this register wants done by the keys: transactions, each once, and signatures."""

from __future__ import annotations

import uuid

from django.db import models


class Lane(models.Model):
    """One sending key on one chain, and the next nonce that it will use."""

    chain_id = models.BigIntegerField()
    name = models.CharField(max_length=100, help_text="Key path under `lane/`: relayer/0, operator, anchor")
    address = models.CharField(max_length=42)
    next_nonce = models.BigIntegerField(default=0)
    paused = models.TextField(
        default="",
        blank=True,
        help_text="Why nothing new is sent: low balance, fee spike",
    )
    balance = models.DecimalField(
        max_digits=40,
        decimal_places=0,
        null=True,
        blank=True,
        help_text="Wei that the address held when last looked at",
    )
    gas_price = models.DecimalField(
        max_digits=30, decimal_places=0, null=True, blank=True, help_text="Wei that gas cost at that moment"
    )
    updated_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("chain_id", "name"), name="lane_by_name"),)

    def __str__(self) -> str:
        return f"{self.chain_id}:{self.name}"


class IntentState(models.TextChoices):
    """Where an intent is. From `signed` on it holds a nonce and ends only as final, failed or expired on chain."""

    WANTED = "wanted"
    SIGNED = "signed"
    BROADCAST = "broadcast"
    MINED = "mined"
    FINAL = "final"
    EXPIRED = "expired"
    FAILED = "failed"


class Intent(models.Model):
    """One effect wanted on chain; `key` is unique, so wanting it twice is wanting it once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=200, unique=True)
    deployment = models.ForeignKey("provenance.Deployment", on_delete=models.PROTECT)
    chain_id = models.BigIntegerField()
    lane_name = models.CharField(max_length=100)
    kind = models.CharField(max_length=64)
    payload = models.JSONField()
    call = models.JSONField(null=True, blank=True, help_text="What was signed: to, data, value, gas")
    party = models.UUIDField(
        null=True,
        blank=True,
        help_text="Whose gas budget it uses; null: the register's own",
    )
    state = models.CharField(max_length=16, choices=IntentState.choices, default=IntentState.WANTED)
    valid_until = models.DateTimeField()
    not_before = models.DateTimeField(null=True, blank=True, help_text="When to try again after a passing refusal")
    attempts = models.IntegerField(default=0)
    code = models.CharField(max_length=100, default="", blank=True, help_text="Stable name of the cause")
    cause = models.TextField(default="", blank=True)
    nonce = models.BigIntegerField(null=True, blank=True)
    filling = models.BooleanField(default=False, help_text="Expired: its nonce is being filled by a self-transfer")
    tx = models.CharField(
        max_length=66,
        default="",
        blank=True,
        help_text="The transaction that was mined",
    )
    block_number = models.BigIntegerField(null=True, blank=True)
    block_hash = models.CharField(max_length=66, default="", blank=True)
    budget_day = models.DateField(null=True, blank=True, help_text="Day whose relay budgets count this intent")
    gas_used = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("chain_id", "lane_name", "nonce"),
                condition=models.Q(nonce__isnull=False),
                name="intent_by_nonce",
            ),
        )
        indexes = (
            # The lane: what is open, oldest first.
            models.Index(
                fields=("chain_id", "lane_name", "state", "created_at"),
                name="intent_due",
            ),
            models.Index(fields=("kind", "state"), name="intent_by_kind"),  # the operator's dashboard
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.key}: {self.state}"


class IntentTransaction(models.Model):
    """One signed transaction of an intent. Stored before it is sent, never changed, sent again as it stands."""

    intent = models.ForeignKey(Intent, on_delete=models.PROTECT, related_name="transactions")
    chain_id = models.BigIntegerField()
    lane_name = models.CharField(max_length=100)
    nonce = models.BigIntegerField()
    hash = models.CharField(max_length=66, unique=True)
    raw = models.BinaryField()
    filler = models.BooleanField(
        default=False,
        help_text="A zero-value transfer to itself that only uses up the nonce",
    )
    max_fee = models.DecimalField(max_digits=30, decimal_places=0, help_text="maxFeePerGas, wei")
    priority_fee = models.DecimalField(max_digits=30, decimal_places=0, help_text="maxPriorityFeePerGas, wei")
    gas_limit = models.BigIntegerField()
    signed_at = models.DateTimeField()
    broadcast_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (models.Index(fields=("chain_id", "lane_name", "nonce"), name="transaction_by_nonce"),)  # re-sending

    def __str__(self) -> str:
        return f"{self.hash} nonce {self.nonce}"


class RelayBudget(models.Model):
    """How many relayed transactions a scope (`global` or `party:<uuid>`) has reserved on a day; counted in the row."""

    chain_id = models.BigIntegerField()
    scope = models.CharField(max_length=64)
    day = models.DateField()
    used = models.BigIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("chain_id", "scope", "day"), name="budget_by_day"),
            models.CheckConstraint(condition=models.Q(used__gte=0), name="budget_not_negative"),
        )

    def __str__(self) -> str:
        return f"{self.scope} on {self.day}: {self.used} transactions"


class SignatureState(models.TextChoices):
    """Where a signature request is."""

    WANTED = "wanted"
    SIGNED = "signed"
    REFUSED = "refused"


class SignatureRequest(models.Model):
    """Typed data (EIP-712) that a custodial key of `party` shall sign; unique by what is to be signed and by whom."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    party = models.UUIDField(null=True, blank=True)
    key_path = models.CharField(max_length=120)
    typed_data = models.JSONField(help_text="types, domain, primaryType, message; integers may be decimal strings")
    digest = models.CharField(max_length=66, help_text="EIP-712 hash, 0x")
    state = models.CharField(max_length=16, choices=SignatureState.choices, default=SignatureState.WANTED)
    signer = models.CharField(max_length=42, default="", blank=True)
    signature = models.CharField(max_length=132, default="", blank=True)
    cause = models.TextField(default="", blank=True)
    created_at = models.DateTimeField()
    signed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("key_path", "digest"), name="signature_by_digest"),)
        indexes = (models.Index(fields=("state", "created_at"), name="signature_due"),)  # the signer

    def __str__(self) -> str:
        return f"{self.key_path} {self.digest}: {self.state}"
