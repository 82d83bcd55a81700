"""Who acts: people sign in as users; everything belongs to accounts.

Only `Membership` (and the session) points at a user. What a person owns, they own through their account, so that an
organization and a person are the same thing to every other table.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.utils import timezone


class UserManager(BaseUserManager["User"]):
    """Creates users by e-mail address; there are no user names."""

    def create_user(self, email: str, password: str | None = None, **fields: object) -> User:
        """Create a user with an unusable password when none is given."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> User:
        """Create an operator: a user who sees the operator's dashboard."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who can sign in. `is_staff` marks operators."""

    email = models.EmailField(unique=True, max_length=254)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return f"user {self.pk}"


class Account(models.Model):
    """A person or an organization; `id` is the opaque party that evidence knows."""

    class Kind(models.TextChoices):
        """What stands behind the account."""

        PERSON = "person"
        ORGANIZATION = "organization"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=12, choices=Kind)
    slug = models.SlugField(max_length=40, unique=True)
    display_name = models.CharField(max_length=100)
    created = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.slug


class FormerSlug(models.Model):
    """A name in addresses that an account had: it leads to that account, and nobody else can take it.

    Whoever pays or shares income by name would otherwise reach a stranger who took the name later.
    """

    slug = models.SlugField(max_length=40, primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="former_slugs")

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """What a user may do for an account."""

    class Role(models.TextChoices):
        """Roles, from the widest to the narrowest."""

        OWNER = "owner"
        PUBLISHER = "publisher"
        BUYER = "buyer"
        FINANCE = "finance"
        VIEWER = "viewer"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    # Base units of the payment token per order; null: no limit.
    spend_limit = models.BigIntegerField(null=True)
    needs_approval = models.BooleanField(default=False)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "account"], name="membership_once"),
            models.CheckConstraint(
                condition=Q(spend_limit__isnull=True) | Q(spend_limit__gte=0), name="membership_limit_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} of {self.account_id}"


class Invitation(models.Model):
    """An offer of membership, sent by e-mail; the link holds the token, the row only its digest."""

    class State(models.TextChoices):
        """An invitation is answered once."""

        OPEN = "open"
        ACCEPTED = "accepted"
        REVOKED = "revoked"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(max_length=254)
    role = models.CharField(max_length=10, choices=Membership.Role)
    spend_limit = models.BigIntegerField(null=True)
    needs_approval = models.BooleanField(default=False)
    token_digest = models.CharField(max_length=64, unique=True)
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    created = models.DateTimeField(default=timezone.now)
    expires = models.DateTimeField()

    def __str__(self) -> str:
        return f"invitation {self.id}"


class ApiKey(models.Model):
    """A key for programs. Shown once; stored as prefix and SHA-256 of 32 random bytes, which need no slow hash."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64)
    scopes = models.JSONField(default=list)
    # The maker's own limits go with the key: a key must not buy what its maker may not.
    role = models.CharField(max_length=10, choices=Membership.Role)
    spend_limit = models.BigIntegerField(null=True)
    needs_approval = models.BooleanField(default=False)
    # The key dies with the membership of whoever made it.
    maker = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="api_keys")
    created = models.DateTimeField(default=timezone.now)
    expires = models.DateTimeField()
    last_used = models.DateTimeField(null=True)
    revoked = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.prefix


class AccountAddress(models.Model):
    """An address on chain that belongs to an account; custodial ones are derived by the signer from `key_path`."""

    class Purpose(models.TextChoices):
        """What the address is for."""

        OWNER = "owner"
        # A wallet that signs where it is named, and owns nothing by default.
        SIGNER = "signer"
        PAYEE = "payee"
        WITHDRAWAL = "withdrawal"

    class State(models.TextChoices):
        """Custodial addresses are wanted until the signer has derived them; wallets are ready at once."""

        WANTED = "wanted"
        READY = "ready"
        RETIRED = "retired"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="addresses")
    purpose = models.CharField(max_length=10, choices=Purpose)
    # Lower case with 0x; null until the signer has answered.
    address = models.CharField(max_length=42, null=True)  # noqa: DJ001  # null and empty differ: not known yet
    # `owner/{account}`, `contributor/{id}`, or `wallet`: the holder has the key.
    key_path = models.CharField(max_length=100)
    state = models.CharField(max_length=8, choices=State, default=State.WANTED)
    usable_from = models.DateTimeField(default=timezone.now)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "purpose", "address"], name="account_address_once"),
            models.UniqueConstraint(
                fields=["key_path", "purpose"], condition=~Q(key_path="wallet"), name="account_address_path_once"
            ),
            models.CheckConstraint(
                condition=Q(state="wanted") | Q(address__isnull=False), name="account_address_known_when_ready"
            ),
        ]
        # Payouts and events arrive with an address and look for its account.
        indexes: ClassVar = [models.Index(fields=["address"], name="account_address_by_address")]

    def __str__(self) -> str:
        return self.address or self.key_path


class DerivedAddress(models.Model):
    """The address of a key that only the signer holds, once it has been asked for: other processes read it here."""

    path = models.CharField(max_length=120, primary_key=True)
    # Lower case with 0x; null until the signer has answered.
    address = models.CharField(max_length=42, null=True)  # noqa: DJ001  # null and empty differ: not known yet
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [
            # The signer's sweep; events that come back with an address.
            models.Index(fields=["created"], condition=Q(address__isnull=True), name="derived_address_wanted"),
            models.Index(fields=["address"], name="derived_address_by_address"),
        ]

    def __str__(self) -> str:
        return self.path


class TopUp(models.Model):
    """Money on its way into an account's balance; booked when it is final on chain."""

    class Source(models.TextChoices):
        """The faucet of a development chain, or what arrived at the account's own custodial address."""

        FAUCET = "faucet"
        COLLECTED = "collected"

    class State(models.TextChoices):
        """Follows the transaction."""

        SENDING = "sending"
        FINAL = "final"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="top_ups")
    source = models.CharField(max_length=10, choices=Source)
    # For collected money: the key path whose address it is taken from.
    key_path = models.CharField(max_length=100, blank=True)
    # CAIP-19, and its base units.
    token = models.CharField(max_length=160)
    amount = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.SENDING)
    intent_key = models.CharField(max_length=200, unique=True)
    cause = models.CharField(max_length=500, blank=True)
    created = models.DateTimeField(default=timezone.now)
    changed = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(amount__gt=0), name="top_up_positive")]
        indexes: ClassVar = [models.Index(fields=["account", "-created"], name="top_up_by_account")]

    def __str__(self) -> str:
        return f"top-up {self.id}"


class Withdrawal(models.Model):
    """Money on its way from an account's balance to an address of its own."""

    class State(models.TextChoices):
        """Held in the journal while waiting; spent when mined; given back when it failed or was cancelled."""

        WAITING = "waiting"
        SENDING = "sending"
        FINAL = "final"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="withdrawals")
    destination = models.ForeignKey(AccountAddress, on_delete=models.PROTECT, related_name="withdrawals")
    # CAIP-19, and its base units.
    token = models.CharField(max_length=160)
    amount = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    due = models.DateTimeField()
    intent_key = models.CharField(max_length=200, blank=True)
    cause = models.CharField(max_length=500, blank=True)
    created = models.DateTimeField(default=timezone.now)
    changed = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(amount__gt=0), name="withdrawal_positive")]
        indexes: ClassVar = [models.Index(fields=["state", "due"], name="withdrawal_due")]

    def __str__(self) -> str:
        return f"withdrawal {self.id}"


class KeyExport(models.Model):
    """A request to take over the account's key: the signer encrypts it to `recipient` after the delay."""

    class State(models.TextChoices):
        """Cancellable until the signer has answered."""

        WAITING = "waiting"
        READY = "ready"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="key_exports")
    recipient = models.CharField(max_length=100)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    due = models.DateTimeField()
    # An age file for `recipient`; the plaintext key exists in the signer only.
    sealed_key = models.BinaryField(null=True)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account"], condition=Q(state="waiting"), name="key_export_one_waiting"),
        ]

    def __str__(self) -> str:
        return f"key export {self.id}"


class Handover(models.Model):
    """A dataset on its way from the custodial address to the account's own wallet."""

    class State(models.TextChoices):
        """Follows the intent that moves the token."""

        WANTED = "wanted"
        FINAL = "final"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="handovers")
    # CAIP-19.
    dataset = models.CharField(max_length=160)
    to_address = models.CharField(max_length=42)
    state = models.CharField(max_length=8, choices=State, default=State.WANTED)
    intent_key = models.CharField(max_length=200, unique=True)
    cause = models.CharField(max_length=500, blank=True)
    created = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"hand-over of {self.dataset}"
