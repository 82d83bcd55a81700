"""Rows about content: a try at publishing, its files, what the copy check found, keys, packages and pins.

`party` is the UUID of an account, which evidence knows nothing else about. Datasets are named by their CAIP-19 id,
never by a foreign key: the projections of the chain may be dropped and replayed without touching these rows.
"""

from __future__ import annotations

import uuid

from django.db import models

CAIP_LENGTH = 160
CID_LENGTH = 80
DIGEST_LENGTH = 64


class Purpose(models.TextChoices):
    """What a submission leads to."""

    VERSION = "version", "a new dataset or a new version of one"
    PACKAGE = "package", "a new package of a version that is registered: same plaintext, new key"


class SubmissionState(models.TextChoices):
    """Where a submission stands; every change is a compare-and-set on this column."""

    UPLOADING = "uploading"
    CHECKING = "checking"
    STOPPED = "stopped"
    HELD = "held"
    PASSED = "passed"
    SEALING = "sealing"
    PACKAGED = "packaged"
    AWAITING_CONFIRM = "awaiting-confirm"
    REGISTERING = "registering"
    REGISTERED = "registered"
    FINAL = "final"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


ENDED = (SubmissionState.FINAL, SubmissionState.EXPIRED, SubmissionState.WITHDRAWN)
BEFORE_THE_GATE = (
    SubmissionState.UPLOADING,
    SubmissionState.CHECKING,
    SubmissionState.STOPPED,
    SubmissionState.HELD,
)


class Submission(models.Model):
    """One try at publishing a version (or a new package of one).

    `languages`: list of BCP 47 tags; `collected`: {"from", "to"} dates or null; `rights`: list of rights statements;
    `parents`: list of {"dataset": CAIP-19, "license": CAIP-19 or null, "derivation": {"signer": key path} or
    {"signature": 0x…} or null}; `wallet`: for an owner who signs with a wallet of their own {"deadline",
    "registration", "attestation"}, the signatures as 0x texts; `stage`: name → {"state",
    "done", "total", "started", "ended", "rate"}; `refusal`: the problem members of the refusal that stopped it;
    `totals`: {"files", "bytes", "records"}. Bytes are plaintext bytes. `repackages`: for a new package, the
    submission that the version came from. `index_version`: what the gate compared with; `indexed`: the place in the
    index, null while it is not in it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    party = models.UUIDField()
    purpose = models.CharField(max_length=8, choices=Purpose, default=Purpose.VERSION)
    owner = models.CharField(max_length=CAIP_LENGTH)
    title = models.CharField(max_length=200, blank=True, default="")
    creator = models.CharField(max_length=100, blank=True, default="")
    description = models.TextField(blank=True, default="")
    kind = models.CharField(max_length=8, blank=True, default="")
    visibility = models.CharField(max_length=6, default="sealed")
    languages = models.JSONField(default=list)
    collected = models.JSONField(default=dict)
    rights = models.JSONField(default=list)
    parents = models.JSONField(default=list)
    dataset = models.CharField(max_length=CAIP_LENGTH, blank=True, default="")
    version = models.PositiveIntegerField(default=1)
    previous = models.CharField(max_length=DIGEST_LENGTH, blank=True, default="")
    repackages = models.ForeignKey("self", on_delete=models.PROTECT, null=True, default=None, related_name="repackaged")
    state = models.CharField(max_length=16, choices=SubmissionState, default=SubmissionState.UPLOADING)
    refusal = models.JSONField(null=True, default=None)
    stage = models.JSONField(default=dict)
    totals = models.JSONField(default=dict)
    index_version = models.BigIntegerField(null=True, default=None)
    indexed = models.BigIntegerField(null=True, default=None)
    gate_result = models.CharField(max_length=8, blank=True, default="")
    gate_compared = models.BigIntegerField(default=0)
    sketch_salt = models.CharField(max_length=DIGEST_LENGTH, blank=True, default="")
    files_root = models.CharField(max_length=DIGEST_LENGTH, blank=True, default="")
    manifest = models.CharField(max_length=DIGEST_LENGTH, blank=True, default="", db_index=True)
    package = models.CharField(max_length=DIGEST_LENGTH, blank=True, default="")
    package_number = models.PositiveIntegerField(default=1)
    package_root = models.CharField(max_length=CID_LENGTH, blank=True, default="")
    preview_public = models.BooleanField(null=True, default=None)
    derive_bps = models.PositiveIntegerField(default=0)
    open_derive = models.BooleanField(default=False)
    splits = models.CharField(max_length=DIGEST_LENGTH, blank=True, default="")
    max_stack_bps = models.PositiveIntegerField(
        default=0, help_text="Most that it may owe to all its ancestors, as the creator confirmed"
    )
    wallet = models.JSONField(null=True, default=None)
    confirmed = models.DateTimeField(null=True, default=None)
    intent_key = models.CharField(max_length=200, blank=True, default="")
    created = models.DateTimeField()
    changed = models.DateTimeField()
    expires = models.DateTimeField(null=True, default=None)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(version__gte=1), name="submission_version_counts_from_one"),
        )
        indexes = (
            models.Index(fields=["party", "created"], name="submission_by_party"),  # the creator's list of drafts
            models.Index(fields=["state", "changed"], name="submission_due"),  # content_tasks.sweep_submissions
            models.Index(fields=["dataset", "version"], name="submission_by_version"),  # dataset pages, repackaging
            models.Index(fields=["indexed"], name="submission_added_since"),  # registered_index.reconciled
        )

    def __str__(self) -> str:
        return f"{self.title or 'untitled'} v{self.version} ({self.state})"

    @property
    def shows_preview(self) -> bool:
        """Whether previews are public once confirmed: open data unless refused, sealed data only when asked for."""
        return self.visibility == "open" if self.preview_public is None else self.preview_public


class FileState(models.TextChoices):
    """Where one file stands."""

    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    INSPECTED = "inspected"
    STORED = "stored"
    QUARANTINED = "quarantined"
    REFUSED = "refused"


class SubmittedFile(models.Model):
    """One file of a submission; its id is the id of its upload.

    `size` is what the client announced, `received` the tus offset, `claimed_sha256` what the client hashed before
    sending (checked, never trusted); `salt` is 32 hex digits; `scratch` is a path under
    the scratch directory, empty once removed; `stage` as in Submission; `lease` keeps a second worker from doing the
    same work at the same time, and runs out by itself.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=1024)
    size = models.BigIntegerField()
    received = models.BigIntegerField(default=0)
    state = models.CharField(max_length=12, choices=FileState, default=FileState.UPLOADING)
    sha256 = models.CharField(max_length=DIGEST_LENGTH, blank=True, default="")
    media_type = models.CharField(max_length=100, blank=True, default="")
    kind = models.CharField(max_length=8, blank=True, default="")
    lines = models.BigIntegerField(default=0)
    records = models.BigIntegerField(default=0)
    salt = models.CharField(max_length=32, blank=True, default="")
    claimed_sha256 = models.CharField(max_length=DIGEST_LENGTH, blank=True, default="")
    stored_name = models.CharField(max_length=1024, blank=True, default="")
    stored_cid = models.CharField(max_length=CID_LENGTH, blank=True, default="")
    stored_size = models.BigIntegerField(null=True, default=None)
    stored_dag_size = models.BigIntegerField(null=True, default=None)
    scratch = models.CharField(max_length=200, blank=True, default="")
    preview = models.JSONField(null=True, default=None)
    stage = models.JSONField(default=dict)
    refusal = models.JSONField(null=True, default=None)
    attempts = models.PositiveIntegerField(default=0)
    lease = models.DateTimeField(null=True, default=None)
    lease_token = models.UUIDField(null=True, default=None)
    created = models.DateTimeField()
    changed = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["submission", "path"], name="one_file_per_path"),
            models.CheckConstraint(
                condition=models.Q(received__gte=0) & models.Q(received__lte=models.F("size")),
                name="file_received_within_size",
            ),
        )
        indexes = (
            models.Index(fields=["state", "lease"], name="file_due"),  # ingest.take_due_files
            models.Index(fields=["sha256"], name="file_by_sha256"),  # /sha256/{digest}, exact look-up
        )

    def __str__(self) -> str:
        return f"{self.path!r} ({self.received} of {self.size} bytes)"


class UploadQuota(models.Model):
    """Bytes of scratch space that a party holds: announced sizes of files, freed when a file's scratch is removed."""

    party = models.UUIDField(primary_key=True)
    held = models.BigIntegerField(default=0)

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(held__gte=0), name="quota_never_negative"),)

    def __str__(self) -> str:
        return f"{self.party}: {self.held} bytes"


class Answer(models.TextChoices):
    """What the uploader says about a match."""

    BUILT_FROM = "built-from", "built from it: it becomes a parent, with its terms"
    SAME_SOURCE = "same-source", "both come from the same public source"
    AUTHOR = "author", "I am the author; goes to review"
    REMOVE = "remove", "remove the records that match"


class Review(models.TextChoices):
    """What became of an answer that a person has to judge."""

    NONE = "", "needs no review"
    WAITING = "waiting"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Match(models.Model):
    """What the copy check found between a submission and one other dataset (or submission in flight).

    `share_bps` is the share of *this* submission's words, images, rows or files (`kind`) that match, `covers_bps` the
    share of the other's own; `exact`, `near` and `total` count these units. `records`: list of {"path", "record",
    "part", "closeness", "distance"} of the uploader's own records, at most 1,000, for the uploader only; `files`: ids
    of all files that hold one of them.
    The matched side is named by dataset and title, never by its files. `evidence`: {"source", "url", "kind", "note"}.
    """

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="matches")
    matched_submission = models.ForeignKey(
        Submission, on_delete=models.SET_NULL, null=True, default=None, related_name="matched_by"
    )
    matched_dataset = models.CharField(max_length=CAIP_LENGTH, blank=True, default="")
    matched_title = models.CharField(max_length=200, blank=True, default="")
    matched_party = models.UUIDField()
    kind = models.CharField(max_length=8)
    exact = models.PositiveIntegerField(default=0)
    near = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    share_bps = models.PositiveIntegerField()
    threshold_bps = models.PositiveIntegerField()
    covers_bps = models.PositiveIntegerField(default=0)
    stops = models.BooleanField()
    records = models.JSONField(default=list)
    files = models.JSONField(default=list)
    answer = models.CharField(max_length=12, choices=Answer, blank=True, default="")
    evidence = models.JSONField(null=True, default=None)
    answered = models.DateTimeField(null=True, default=None)
    review = models.CharField(max_length=8, choices=Review, blank=True, default="")
    reviewer = models.UUIDField(null=True, default=None)
    reviewed = models.DateTimeField(null=True, default=None)
    created = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["submission", "matched_submission", "kind"], name="one_match_per_pair"),
        )
        indexes = (models.Index(fields=["review", "created"], name="match_waiting_review"),)  # the operator's dashboard

    def __str__(self) -> str:
        return f"{self.share_bps} bp of {self.kind} records match {self.matched_dataset or self.matched_title}"


class FingerprintRow(models.Model):
    """Sketches of one file by one algorithm, as the fingerprint registry writes them, in parts of a few megabytes.

    Once the gate has reserved a submission (`Submission.indexed`), every later one is compared with these rows.
    The segments on disk are made of them and can be made again.
    """

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="fingerprints")
    file = models.ForeignKey(SubmittedFile, on_delete=models.CASCADE, related_name="fingerprints")
    party = models.UUIDField()
    dataset = models.CharField(max_length=CAIP_LENGTH, blank=True, default="")
    kind = models.CharField(max_length=8)
    algorithm = models.CharField(max_length=64)
    parameters = models.CharField(max_length=DIGEST_LENGTH)
    part = models.PositiveIntegerField(default=0)
    records = models.BigIntegerField(default=0)
    payload = models.BinaryField()
    created = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["file", "algorithm", "part"], name="one_sketch_per_part"),)
        indexes = (models.Index(fields=["dataset"], name="fingerprint_by_dataset"),)  # erase, registration

    def __str__(self) -> str:
        return f"{self.algorithm} of {self.records} records"


class IndexState(models.Model):
    """Where the fingerprint index stands: one row.

    `version` is raised by compare-and-set with each reservation, `removals` with each one that is taken back.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.BigIntegerField(default=0)
    removals = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"index version {self.version}"


class KeyState(models.TextChoices):
    """A content key is wanted by a worker, made by the signer, destroyed by *erase*."""

    WANTED = "wanted"
    MADE = "made"
    DESTROYED = "destroyed"


class ContentKey(models.Model):
    """The age identity of one package. `wrapped` is AES-256-GCM under the signer's key-encryption key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    submission = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="content_keys")
    package_number = models.PositiveIntegerField(default=1)
    package = models.CharField(max_length=DIGEST_LENGTH, blank=True, default="", db_index=True)
    recipient = models.CharField(max_length=100, blank=True, default="")
    wrapped = models.BinaryField(null=True, default=None)
    state = models.CharField(max_length=9, choices=KeyState, default=KeyState.WANTED, db_index=True)
    created = models.DateTimeField()
    changed = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["submission", "package_number"], name="one_content_key_per_package"),
            models.CheckConstraint(
                condition=models.Q(state="made", wrapped__isnull=False)
                | models.Q(state__in=["wanted", "destroyed"], wrapped__isnull=True),
                name="content_key_is_held_only_when_made",
            ),
        )

    def __str__(self) -> str:
        return f"content key of package {self.package_number} ({self.state})"


class GrantState(models.TextChoices):
    """Whether the signer has encrypted a content key to a licensee's recipient."""

    WANTED = "wanted"
    GRANTED = "granted"
    REFUSED = "refused"


class GrantRow(models.Model):
    """A wish: encrypt the content key of package P to recipient R if license L is active and final."""

    license = models.CharField(max_length=CAIP_LENGTH)
    package = models.CharField(max_length=DIGEST_LENGTH)
    recipient = models.CharField(max_length=100)
    state = models.CharField(max_length=8, choices=GrantState, default=GrantState.WANTED, db_index=True)
    cause = models.CharField(max_length=500, blank=True, default="")
    document = models.CharField(max_length=DIGEST_LENGTH, blank=True, default="")
    created = models.DateTimeField()
    changed = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["license", "package", "recipient"], name="one_grant"),)

    def __str__(self) -> str:
        return f"grant to {self.license} ({self.state})"


class PinState(models.TextChoices):
    """What is known about one copy."""

    WANTED = "wanted"
    PINNED = "pinned"
    BROKEN = "broken"


class PinRow(models.Model):
    """One wanted copy of a DAG in one store. Copies seen = rows `pinned`; copies wanted = all rows of the CID.

    `cause` says in words why a copy is missing; `deadline` is when a pin that never ends is called broken.
    """

    cid = models.CharField(max_length=CID_LENGTH)
    store = models.CharField(max_length=60)
    submission = models.ForeignKey(Submission, on_delete=models.SET_NULL, null=True, default=None, related_name="pins")
    announced = models.BooleanField(default=False)
    state = models.CharField(max_length=7, choices=PinState, default=PinState.WANTED)
    blocks = models.BigIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    cause = models.CharField(max_length=500, blank=True, default="")
    deadline = models.DateTimeField(null=True, default=None)
    audited = models.DateTimeField(null=True, default=None)
    due = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["cid", "store"], name="one_pin_per_store"),)
        indexes = (models.Index(fields=["state", "due"], name="pin_due"),)  # pinning.repair_due, pinning.audit_due

    def __str__(self) -> str:
        return f"{self.cid} in {self.store} ({self.state})"


class Act(models.TextChoices):
    """The two acts that stop delivery; *delist* is an act of trade and leaves content alone."""

    WITHHELD = "withheld", "delivery stops, the record stays"
    ERASED = "erased", "withheld, and keys, salts, fingerprints and previews are destroyed"


class ContentAct(models.Model):
    """That a version (0: every version) of a dataset is withheld or erased. `order`: digest of the order, if any."""

    dataset = models.CharField(max_length=CAIP_LENGTH)
    version = models.PositiveIntegerField(default=0)
    act = models.CharField(max_length=8, choices=Act)
    reason = models.CharField(max_length=40)
    order = models.CharField(max_length=DIGEST_LENGTH, blank=True, default="")
    by = models.UUIDField()
    created = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["dataset", "version", "act"], name="one_act_per_version"),)

    def __str__(self) -> str:
        return f"{self.dataset} v{self.version or '*'} {self.act}"
