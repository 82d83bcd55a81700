"""The evidence log: what waits to enter, what is in it, and how far it has been signed, published and anchored."""

from __future__ import annotations

from django.db import models


class IntakeStatement(models.Model):
    """An unsigned statement on its way into the log; one per fact key, so that a fact told twice enters once."""

    fact = models.CharField(max_length=250, unique=True)
    type = models.CharField(max_length=40)
    subject = models.CharField(max_length=250)
    statement = models.TextField(help_text="JCS of the statement")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the JCS bytes")
    signatures = models.JSONField(default=list, help_text="Signatures of people, as they go into the entry")
    sequenced = models.BigIntegerField(null=True, blank=True, help_text="Index in the log")
    cause = models.TextField(default="", blank=True, help_text="Why it could not be sequenced")
    created_at = models.DateTimeField()

    class Meta:
        indexes = (
            # The sequencer: what is due, in order of arrival.
            models.Index(
                fields=("id",),
                condition=models.Q(sequenced__isnull=True, cause=""),
                name="intake_due",
            ),
            models.Index(fields=("digest",), name="intake_by_digest"),  # callers that hold the digest only
        )

    def __str__(self) -> str:
        return self.fact


class LogEntry(models.Model):
    """One entry. The database itself refuses UPDATE, DELETE and TRUNCATE (`provenance.append_only`)."""

    index = models.BigIntegerField(primary_key=True)
    subject = models.CharField(max_length=250)
    type = models.CharField(max_length=40)
    fact = models.CharField(max_length=250, unique=True)
    previous = models.BigIntegerField(null=True, blank=True)
    leaf_hash = models.BinaryField(max_length=32)
    envelope = models.BinaryField(help_text="JCS of {statement, signatures, previous}")
    logged_at = models.DateTimeField()

    class Meta:
        indexes = (
            # `previous` links, trails, and completeness commitments: the latest entry of each subject.
            models.Index(fields=("subject", "index"), name="entry_by_subject"),
            models.Index(fields=("type", "index"), name="entry_by_type"),  # the log page's filter
        )

    def __str__(self) -> str:
        return f"{self.index} {self.type} {self.subject}"


class LogTile(models.Model):
    """Hashes of complete tiles below: tile `number` of `level` ≥ 1, appended to as tiles of `level` − 1 fill up.

    Level 0 is the leaf hashes of the entries themselves. With these a proof reads a few hundred hashes at any size.
    """

    level = models.IntegerField()
    number = models.BigIntegerField()
    hashes = models.BinaryField(help_text="Up to 256 hashes of 32 bytes")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("level", "number"), name="tile_by_place"),)

    def __str__(self) -> str:
        return f"{self.level}/{self.number}"


class LogState(models.Model):
    """The one row that the sequencer extends by compare-and-set on `size`."""

    id = models.IntegerField(primary_key=True, default=1)
    origin = models.CharField(max_length=200)
    vkey = models.CharField(max_length=300, default="", help_text="C2SP verifier key of the log")
    service_key = models.CharField(max_length=64, default="", help_text="Ed25519 public key of the service, hex")
    size = models.BigIntegerField(default=0)
    root = models.CharField(max_length=64, help_text="RFC 6962 root, hex")
    compact_range = models.JSONField(default=list, help_text="Roots of the perfect subtrees, left to right, hex")
    checkpoint = models.TextField(default="", help_text="C2SP signed note for `checkpoint_size`")
    checkpoint_size = models.BigIntegerField(default=0)
    published_size = models.BigIntegerField(default=0, help_text="Tree size of the static files under /log/")
    indexed_size = models.BigIntegerField(default=0, help_text="`up_to` of the latest index.committed")
    updated_at = models.DateTimeField()

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(id=1), name="one_log_state"),)

    def __str__(self) -> str:
        return f"{self.origin} at {self.size}"


class AnchorRecord(models.Model):
    """A tree head that stands on chain."""

    deployment = models.ForeignKey("provenance.Deployment", on_delete=models.CASCADE)
    size = models.BigIntegerField()
    root = models.CharField(max_length=64)
    snapshot = models.CharField(max_length=64, help_text="SHA-256 of the snapshot index")
    tx = models.CharField(max_length=66)
    block_number = models.BigIntegerField()
    block_hash = models.CharField(max_length=66)
    final = models.BooleanField(default=False)
    anchored_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("deployment", "size"), name="anchor_by_size"),)

    def __str__(self) -> str:
        return f"{self.size} in {self.tx}"
