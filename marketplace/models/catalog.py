"""What is for sale: drafts on the way to publication, listings, terms, offers, quotes.

Datasets, licenses and tokens are named by their CAIP-19 ids, never by foreign keys into projections: those may be
dropped and replayed.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from marketplace.models.accounts import Account


class Draft(models.Model):
    """One try at publishing, autosaved step by step; `revision` rises with each save, so two tabs cannot overwrite."""

    class State(models.TextChoices):
        """Confirmed once; afterwards only the machine moves it."""

        OPEN = "open"
        CONFIRMED = "confirmed"
        REGISTERING = "registering"
        PUBLISHED = "published"
        STOPPED = "stopped"
        DISCARDED = "discarded"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="drafts")
    # The submission in evidence that holds files and description; null until files are wanted.
    submission = models.UUIDField(null=True, unique=True)
    # CAIP-19 of the dataset that gets a new version; empty for a new dataset.
    dataset = models.CharField(max_length=160, blank=True)
    slug = models.SlugField(max_length=80, blank=True)
    description = models.JSONField(default=dict)
    terms = models.JSONField(null=True)
    # Base units; null: not for sale.
    price = models.BigIntegerField(null=True)
    derive_bps = models.IntegerField(default=0)
    hold_seconds = models.BigIntegerField(default=0)
    # Licenses that permit the derivation: {CAIP-19 of the parent: CAIP-19 of the license}.
    parent_licenses = models.JSONField(default=dict)
    # Exactly what the creator saw and confirmed, and when.
    confirmed = models.JSONField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    refusal = models.JSONField(null=True)
    intent_key = models.CharField(max_length=200, blank=True)
    revision = models.IntegerField(default=0)
    created = models.DateTimeField(default=timezone.now)
    changed = models.DateTimeField(default=timezone.now)

    class Meta:
        # The list of an account's drafts; the sweep of confirmed ones.
        indexes: ClassVar = [
            models.Index(fields=["account", "-changed"], name="draft_by_account"),
            models.Index(fields=["state"], name="draft_by_state"),
        ]

    def __str__(self) -> str:
        return f"draft {self.id}"


class Contributor(models.Model):
    """A person who shares a draft's income, invited by e-mail; their share waits at an address held for them."""

    class State(models.TextChoices):
        """Invited until the person answers."""

        INVITED = "invited"
        ACCEPTED = "accepted"
        DECLINED = "declined"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="contributors")
    email = models.EmailField(max_length=254)
    role = models.CharField(max_length=60)
    # Basis points of the owner's income.
    bps = models.IntegerField()
    token_digest = models.CharField(max_length=64, unique=True)
    account = models.ForeignKey(Account, null=True, on_delete=models.PROTECT, related_name="contributions")
    # Lower case with 0x; derived by the signer from `contributor/{id}`.
    address = models.CharField(max_length=42, null=True)  # noqa: DJ001  # not known yet
    state = models.CharField(max_length=10, choices=State, default=State.INVITED)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["draft", "email"], name="contributor_once"),
            models.CheckConstraint(condition=Q(bps__gte=1, bps__lte=10_000), name="contributor_share"),
        ]

    def __str__(self) -> str:
        return f"contributor {self.id}"

    @property
    def named(self) -> str:
        """How the person was named: by account, or by e-mail address. That of an account is nobody's to see."""
        return self.email if self.account is None else self.account.slug


class TermsRow(models.Model):
    """A terms document (`cadastre.terms/1`), stored under the digest of its exact bytes."""

    digest = models.CharField(max_length=64, primary_key=True)
    document = models.BinaryField()
    title = models.CharField(max_length=200)
    created = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.digest


class OfferRow(models.Model):
    """An offer document (`cadastre.offer/1`) and its owner's signature."""

    class State(models.TextChoices):
        """Wanted until signed and the registration is final; live until withdrawn, superseded, expired or sold out."""

        WANTED = "wanted"
        LIVE = "live"
        SUPERSEDED = "superseded"
        WITHDRAWN = "withdrawn"
        EXPIRED = "expired"
        REFUSED = "refused"

    digest = models.CharField(max_length=64, primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="offers")
    # CAIP-19.
    dataset = models.CharField(max_length=160)
    version = models.IntegerField()
    terms = models.ForeignKey(TermsRow, on_delete=models.PROTECT, related_name="offers")
    document = models.BinaryField()
    # Base units of `token` (CAIP-19).
    price = models.BigIntegerField()
    token = models.CharField(max_length=160)
    fee_bps = models.IntegerField()
    hold_seconds = models.BigIntegerField()
    expires = models.DateTimeField(null=True)
    count = models.BigIntegerField(null=True)
    sold = models.BigIntegerField(default=0)
    # A uint256 in decimal digits.
    nonce = models.CharField(max_length=78)
    public = models.BooleanField(default=True)
    # EIP-712 typed data, the digest under which its signature was asked for, and the answer.
    typed_data = models.JSONField()
    signature_request = models.CharField(max_length=66, blank=True)
    signature = models.CharField(max_length=132, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.WANTED)
    cause = models.CharField(max_length=500, blank=True)
    created = models.DateTimeField(default=timezone.now)
    live_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "nonce"], name="offer_nonce_once"),
            models.CheckConstraint(condition=Q(price__gte=0), name="offer_price_not_negative"),
            models.CheckConstraint(
                condition=Q(count__isnull=True) | Q(sold__lte=models.F("count")), name="offer_not_oversold"
            ),
        ]
        # The sweep of offers that wait for a signature; a dataset's offers, newest first.
        indexes: ClassVar = [
            models.Index(fields=["state", "created"], name="offer_by_state"),
            models.Index(fields=["dataset", "-created"], name="offer_by_dataset"),
        ]

    def __str__(self) -> str:
        return self.digest


class Listing(models.Model):
    """A dataset of an account as the register shows it."""

    class State(models.TextChoices):
        """Unlisted: registered on chain, not (yet) sold here."""

        UNLISTED = "unlisted"
        LISTED = "listed"
        DELISTED = "delisted"
        WITHHELD = "withheld"

    # CAIP-19.
    dataset = models.CharField(max_length=160, primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="listings")
    slug = models.SlugField(max_length=80)
    draft = models.OneToOneField(Draft, null=True, on_delete=models.SET_NULL, related_name="listing")
    offer = models.ForeignKey(OfferRow, null=True, on_delete=models.PROTECT, related_name="listings")
    state = models.CharField(max_length=10, choices=State, default=State.UNLISTED)
    reason = models.CharField(max_length=40, blank=True)
    title = models.CharField(max_length=200)
    creator = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=10)
    visibility = models.CharField(max_length=8)
    languages = models.JSONField(default=list)
    uses = models.JSONField(default=list)
    # Plaintext totals of the newest version.
    files = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    records = models.BigIntegerField(default=0)
    version = models.IntegerField(default=1)
    # Lower case, words of title, creator, slug and description: what the search box looks into.
    search_text = models.TextField(blank=True)
    # " derive evaluate lang:en ": words between spaces, because filtering inside JSON lists differs by database.
    search_uses = models.TextField(blank=True)
    created = models.DateTimeField(default=timezone.now)
    changed = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "slug"], name="listing_slug_once")]
        # Explore: newest first within a state; filters by kind.
        indexes: ClassVar = [
            models.Index(fields=["state", "-created"], name="listing_newest"),
            models.Index(fields=["state", "kind", "-created"], name="listing_newest_of_kind"),
        ]

    def __str__(self) -> str:
        return self.dataset


class SlugRedirect(models.Model):
    """A name that a dataset had; it leads to the dataset for as long as nobody else takes it."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="slug_redirects")
    slug = models.SlugField(max_length=80)
    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="redirects")
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["account", "slug"], name="slug_redirect_once")]

    def __str__(self) -> str:
        return self.slug


class Quote(models.Model):
    """A price for one buyer, binding until it expires; its id becomes the order's id.

    A private quote waits until the signer has derived the licensee's address and the seller's key has signed an
    offer that names it; a quote of a public offer is ready at once.
    """

    class State(models.TextChoices):
        """Ready quotes can be ordered once."""

        WANTED = "wanted"
        READY = "ready"
        ORDERED = "ordered"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="quotes")
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="quotes")
    offer = models.ForeignKey(OfferRow, null=True, on_delete=models.PROTECT, related_name="quotes")
    # A private quote before its offer exists: price, terms digest, hold.
    wanted = models.JSONField(null=True)
    licensee = models.CharField(max_length=42, blank=True)
    # Base units.
    price = models.BigIntegerField()
    fee = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.READY)
    created = models.DateTimeField(default=timezone.now)
    expires = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["state", "created"], name="quote_by_state")]

    def __str__(self) -> str:
        return f"quote {self.id}"
