"""What the follower has read from the chain, and projections that can be dropped and folded again."""

from __future__ import annotations

from django.db import models


class Deployment(models.Model):
    """One set of contracts on one chain. The follower reads all of them for ever; new ones stand beside old ones.

    Addresses are lower-case `0x` texts. `finalized` is the highest block that this register treats as final; it only
    rises. A non-empty `halted` says why following, settling and final facts stopped until an operator confirms.
    """

    chain_id = models.BigIntegerField()
    registry = models.CharField(max_length=42)
    market = models.CharField(max_length=42)
    anchor = models.CharField(max_length=42)
    tokens = models.JSONField(default=list)
    first_block = models.BigIntegerField()
    abi_version = models.CharField(max_length=32, default="1")
    finalized = models.BigIntegerField(default=-1)
    halted = models.TextField(default="", blank=True)
    followed_at = models.DateTimeField(null=True, blank=True, help_text="When the node last answered the follower")
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("chain_id", "registry"), name="deployment_by_registry"),)

    def __str__(self) -> str:
        return f"eip155:{self.chain_id}/{self.registry}"

    @property
    def contracts(self) -> tuple[str, ...]:
        """The addresses whose logs are followed."""
        return (self.registry, self.market, self.anchor)

    def dataset_caip(self, token: int) -> str:
        """CAIP-19 id of a dataset of this deployment."""
        return f"eip155:{self.chain_id}/erc721:{self.registry}/{token}"

    def license_caip(self, license_id: int) -> str:
        """CAIP-19 id of a license of this deployment."""
        return f"eip155:{self.chain_id}/erc1155:{self.market}/{license_id}"

    def account_caip(self, address: str) -> str:
        """CAIP-10 id of an address on this deployment's chain."""
        return f"eip155:{self.chain_id}:{address.lower()}"

    def token_caip(self, address: str) -> str:
        """CAIP-19 id of an ERC-20 token on this deployment's chain."""
        return f"eip155:{self.chain_id}/erc20:{address.lower()}"


class Block(models.Model):
    """One followed header. Orphaned ones are deleted together with their events."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE)
    number = models.BigIntegerField()
    hash = models.CharField(max_length=66)
    parent = models.CharField(max_length=66)
    timestamp = models.BigIntegerField(help_text="Seconds since 1970, UTC, as the chain says")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("deployment", "number"), name="block_by_number"),)

    def __str__(self) -> str:
        return f"{self.number} {self.hash}"


class ChainEvent(models.Model):
    """One decoded log. `args` holds integers as decimal strings and bytes as `0x` texts."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE)
    block_number = models.BigIntegerField()
    block_hash = models.CharField(max_length=66)
    block_time = models.BigIntegerField(help_text="Seconds since 1970, UTC")
    tx = models.CharField(max_length=66)
    log_index = models.IntegerField()
    contract = models.CharField(max_length=42)
    name = models.CharField(max_length=64)
    subject = models.CharField(max_length=160)
    args = models.JSONField()
    final = models.BooleanField(default=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("deployment", "block_hash", "log_index"),
                name="event_by_position",
            ),
        )
        indexes = (
            # The folds of projections.
            models.Index(
                fields=("deployment", "subject", "block_number", "log_index"),
                name="event_by_subject",
            ),
            # The follower, for what has become final; and settling, for an epoch's revenue.
            models.Index(fields=("deployment", "final", "block_number"), name="event_by_finality"),
            models.Index(fields=("deployment", "name", "block_number"), name="event_by_name"),
            # Receipts and pages that start from a transaction.
            models.Index(fields=("tx",), name="event_by_tx"),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.subject} in {self.tx}:{self.log_index}"

    @property
    def fact(self) -> str:
        """The fact key of the statement about this event."""
        return f"chain:{self.deployment.chain_id}:{self.tx}:{self.log_index}"

    @property
    def coordinates(self) -> dict[str, int | str]:
        """The `chain` member of a statement about this event."""
        return {
            "id": self.deployment.chain_id,
            "contract": self.contract,
            "block": self.block_number,
            "block_hash": self.block_hash,
            "tx": self.tx,
            "log": self.log_index,
        }

    def number(self, name: str) -> int:
        """Return an argument that the ABI declares as an integer."""
        return int(self.args[name])

    def digest(self, name: str) -> str:
        """Return an argument that the ABI declares as bytes32 as 64 hex digits; zero, which stands for none, as ""."""
        text = str(self.args[name]).removeprefix("0x")
        return text if int(text, 16) else ""


class DatasetRecord(models.Model):
    """A registered dataset as the registry holds it: the fold over its events."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE)
    token = models.BigIntegerField()
    owner = models.CharField(max_length=42)
    creator = models.CharField(
        max_length=42,
        help_text="The owner at registration; bound into the first manifest",
    )
    derive_bps = models.IntegerField(help_text="Share that datasets derived from now on owe")
    open_derive = models.BooleanField(default=False, help_text="Whether deriving needs no license")
    splits = models.CharField(
        max_length=64,
        default="",
        help_text="SHA-256 of the splits document; empty: none",
    )
    stack_bps = models.IntegerField(default=0)
    ancestors = models.IntegerField(default=0)
    versions = models.IntegerField(default=0)
    manifest = models.CharField(max_length=64, help_text="SHA-256 of the latest version's manifest")
    tx = models.CharField(max_length=66)
    block_number = models.BigIntegerField()
    block_hash = models.CharField(max_length=66)
    registered_at = models.DateTimeField()
    final = models.BooleanField(default=False)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("deployment", "token"), name="dataset_by_token"),)
        indexes = (
            models.Index(fields=("owner",), name="dataset_by_owner"),  # an account's own datasets
            models.Index(fields=("manifest",), name="dataset_by_manifest"),  # /sha256/{digest}, gate
        )

    def __str__(self) -> str:
        return self.caip

    @property
    def caip(self) -> str:
        """CAIP-19 id."""
        return self.deployment.dataset_caip(self.token)

    @property
    def slug(self) -> str:
        """The id in addresses: `{chain}-{registry}-{token}`."""
        return f"{self.deployment.chain_id}-{self.deployment.registry[2:]}-{self.token}"


class VersionRecord(models.Model):
    """A published version of a dataset."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE)
    dataset = models.ForeignKey(DatasetRecord, on_delete=models.CASCADE, related_name="version_records")
    token = models.BigIntegerField()
    version = models.IntegerField()
    manifest = models.CharField(max_length=64)
    tx = models.CharField(max_length=66)
    block_number = models.BigIntegerField()
    block_hash = models.CharField(max_length=66)
    published_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("deployment", "token", "version"), name="version_by_number"),)
        indexes = (models.Index(fields=("manifest",), name="version_by_manifest"),)  # /sha256/{digest}

    def __str__(self) -> str:
        return f"{self.deployment.dataset_caip(self.token)} v{self.version}"


class PackageRecord(models.Model):
    """A package of a version: how its bytes are stored."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE)
    dataset = models.ForeignKey(DatasetRecord, on_delete=models.CASCADE, related_name="package_records")
    token = models.BigIntegerField()
    version = models.IntegerField()
    package = models.IntegerField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the package document")
    kind = models.CharField(max_length=6, help_text="open or sealed")
    tx = models.CharField(max_length=66)
    block_number = models.BigIntegerField()
    block_hash = models.CharField(max_length=66)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("deployment", "token", "version", "package"),
                name="package_by_number",
            ),
        )
        indexes = (models.Index(fields=("digest",), name="package_by_digest"),)  # grants, /sha256/{digest}

    def __str__(self) -> str:
        return f"{self.deployment.dataset_caip(self.token)} v{self.version} package {self.package}"


class ParentEdge(models.Model):
    """One edge of the lineage, fixed at registration: what `child` owes `parent`, in basis points."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE)
    dataset = models.ForeignKey(DatasetRecord, on_delete=models.CASCADE, related_name="parent_edges")
    child = models.BigIntegerField()
    parent = models.BigIntegerField()
    bps = models.IntegerField()
    license_source = models.IntegerField(default=0, help_text="Index of the market in the registry")
    license = models.BigIntegerField(default=0, help_text="License that permits the derivation; 0: none was needed")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("deployment", "child", "parent"), name="edge_by_ends"),)
        indexes = (models.Index(fields=("deployment", "parent"), name="edge_by_parent"),)  # lineage downwards

    def __str__(self) -> str:
        return f"{self.child} from {self.parent} at {self.bps} bp"
