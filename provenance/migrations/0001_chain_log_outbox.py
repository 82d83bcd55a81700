"""Tables of the chain, the log and the outbox; the database itself refuses to change a log entry."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from provenance import append_only


def install(apps: object, editor: BaseDatabaseSchemaEditor) -> None:
    append_only.install(editor.connection)


def remove(apps: object, editor: BaseDatabaseSchemaEditor) -> None:
    append_only.remove(editor.connection)


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Document",
            fields=[
                (
                    "sha256",
                    models.CharField(max_length=64, primary_key=True, serialize=False),
                ),
                (
                    "schema",
                    models.CharField(
                        help_text="cadastre.manifest/1, cadastre.offer/1 …",
                        max_length=64,
                    ),
                ),
                ("data", models.BinaryField()),
                (
                    "public",
                    models.BooleanField(
                        default=True,
                        help_text="False: kept here and given to those who may read it",
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name="Deployment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("chain_id", models.BigIntegerField()),
                ("registry", models.CharField(max_length=42)),
                ("market", models.CharField(max_length=42)),
                ("anchor", models.CharField(max_length=42)),
                ("tokens", models.JSONField(default=list)),
                ("first_block", models.BigIntegerField()),
                ("abi_version", models.CharField(default="1", max_length=32)),
                ("finalized", models.BigIntegerField(default=-1)),
                ("halted", models.TextField(blank=True, default="")),
                (
                    "followed_at",
                    models.DateTimeField(blank=True, help_text="When the node last answered the follower", null=True),
                ),
                ("active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("chain_id", "registry"), name="deployment_by_registry")
                ],
            },
        ),
        migrations.CreateModel(
            name="DatasetRecord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("token", models.BigIntegerField()),
                ("owner", models.CharField(max_length=42)),
                (
                    "creator",
                    models.CharField(
                        help_text="The owner at registration; bound into the first manifest",
                        max_length=42,
                    ),
                ),
                ("derive_bps", models.IntegerField(help_text="Share that datasets derived from now on owe")),
                ("open_derive", models.BooleanField(default=False, help_text="Whether deriving needs no license")),
                (
                    "splits",
                    models.CharField(
                        default="",
                        help_text="SHA-256 of the splits document; empty: none",
                        max_length=64,
                    ),
                ),
                ("stack_bps", models.IntegerField(default=0)),
                ("ancestors", models.IntegerField(default=0)),
                ("versions", models.IntegerField(default=0)),
                (
                    "manifest",
                    models.CharField(
                        help_text="SHA-256 of the latest version's manifest",
                        max_length=64,
                    ),
                ),
                ("tx", models.CharField(max_length=66)),
                ("block_number", models.BigIntegerField()),
                ("block_hash", models.CharField(max_length=66)),
                ("registered_at", models.DateTimeField()),
                ("final", models.BooleanField(default=False)),
                (
                    "deployment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to="provenance.deployment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ChainEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("block_number", models.BigIntegerField()),
                ("block_hash", models.CharField(max_length=66)),
                (
                    "block_time",
                    models.BigIntegerField(help_text="Seconds since 1970, UTC"),
                ),
                ("tx", models.CharField(max_length=66)),
                ("log_index", models.IntegerField()),
                ("contract", models.CharField(max_length=42)),
                ("name", models.CharField(max_length=64)),
                ("subject", models.CharField(max_length=160)),
                ("args", models.JSONField()),
                ("final", models.BooleanField(default=False)),
                (
                    "deployment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to="provenance.deployment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Block",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("number", models.BigIntegerField()),
                ("hash", models.CharField(max_length=66)),
                ("parent", models.CharField(max_length=66)),
                (
                    "timestamp",
                    models.BigIntegerField(help_text="Seconds since 1970, UTC, as the chain says"),
                ),
                (
                    "deployment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to="provenance.deployment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AnchorRecord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("size", models.BigIntegerField()),
                ("root", models.CharField(max_length=64)),
                (
                    "snapshot",
                    models.CharField(help_text="SHA-256 of the snapshot index", max_length=64),
                ),
                ("tx", models.CharField(max_length=66)),
                ("block_number", models.BigIntegerField()),
                ("block_hash", models.CharField(max_length=66)),
                ("final", models.BooleanField(default=False)),
                ("anchored_at", models.DateTimeField()),
                (
                    "deployment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to="provenance.deployment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RelayBudget",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("chain_id", models.BigIntegerField()),
                ("scope", models.CharField(max_length=64)),
                ("day", models.DateField()),
                (
                    "used",
                    models.BigIntegerField(default=0),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("chain_id", "scope", "day"), name="budget_by_day"),
                    models.CheckConstraint(condition=models.Q(("used__gte", 0)), name="budget_not_negative"),
                ],
            },
        ),
        migrations.CreateModel(
            name="IntakeStatement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("fact", models.CharField(max_length=250, unique=True)),
                ("type", models.CharField(max_length=40)),
                ("subject", models.CharField(max_length=250)),
                ("statement", models.TextField(help_text="JCS of the statement")),
                (
                    "digest",
                    models.CharField(help_text="SHA-256 of the JCS bytes", max_length=64),
                ),
                (
                    "signatures",
                    models.JSONField(
                        default=list,
                        help_text="Signatures of people, as they go into the entry",
                    ),
                ),
                (
                    "sequenced",
                    models.BigIntegerField(blank=True, help_text="Index in the log", null=True),
                ),
                (
                    "cause",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="Why it could not be sequenced",
                    ),
                ),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("cause", ""), ("sequenced__isnull", True)),
                        fields=["id"],
                        name="intake_due",
                    ),
                    models.Index(fields=["digest"], name="intake_by_digest"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Intent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("key", models.CharField(max_length=200, unique=True)),
                ("chain_id", models.BigIntegerField()),
                ("lane_name", models.CharField(max_length=100)),
                ("kind", models.CharField(max_length=64)),
                ("payload", models.JSONField()),
                ("call", models.JSONField(blank=True, help_text="What was signed: to, data, value, gas", null=True)),
                (
                    "deployment",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="provenance.deployment"),
                ),
                (
                    "party",
                    models.UUIDField(
                        blank=True,
                        help_text="Whose gas budget it uses; null: the register's own",
                        null=True,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("wanted", "Wanted"),
                            ("signed", "Signed"),
                            ("broadcast", "Broadcast"),
                            ("mined", "Mined"),
                            ("final", "Final"),
                            ("expired", "Expired"),
                            ("failed", "Failed"),
                        ],
                        default="wanted",
                        max_length=16,
                    ),
                ),
                ("valid_until", models.DateTimeField()),
                (
                    "not_before",
                    models.DateTimeField(
                        blank=True,
                        help_text="When to try again after a passing refusal",
                        null=True,
                    ),
                ),
                ("attempts", models.IntegerField(default=0)),
                (
                    "code",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Stable name of the cause",
                        max_length=100,
                    ),
                ),
                ("cause", models.TextField(blank=True, default="")),
                ("nonce", models.BigIntegerField(blank=True, null=True)),
                (
                    "filling",
                    models.BooleanField(
                        default=False,
                        help_text="Expired: its nonce is being filled by a self-transfer",
                    ),
                ),
                (
                    "tx",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="The transaction that was mined",
                        max_length=66,
                    ),
                ),
                ("block_number", models.BigIntegerField(blank=True, null=True)),
                ("block_hash", models.CharField(blank=True, default="", max_length=66)),
                (
                    "budget_day",
                    models.DateField(blank=True, help_text="Day whose relay budgets count this intent", null=True),
                ),
                ("gas_used", models.BigIntegerField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["chain_id", "lane_name", "state", "created_at"],
                        name="intent_due",
                    ),
                    models.Index(fields=["kind", "state"], name="intent_by_kind"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("nonce__isnull", False)),
                        fields=("chain_id", "lane_name", "nonce"),
                        name="intent_by_nonce",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="IntentTransaction",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("chain_id", models.BigIntegerField()),
                ("lane_name", models.CharField(max_length=100)),
                ("nonce", models.BigIntegerField()),
                ("hash", models.CharField(max_length=66, unique=True)),
                ("raw", models.BinaryField()),
                (
                    "filler",
                    models.BooleanField(
                        default=False,
                        help_text="A zero-value transfer to itself that only uses up the nonce",
                    ),
                ),
                (
                    "max_fee",
                    models.DecimalField(decimal_places=0, help_text="maxFeePerGas, wei", max_digits=30),
                ),
                (
                    "priority_fee",
                    models.DecimalField(
                        decimal_places=0,
                        help_text="maxPriorityFeePerGas, wei",
                        max_digits=30,
                    ),
                ),
                ("gas_limit", models.BigIntegerField()),
                ("signed_at", models.DateTimeField()),
                ("broadcast_at", models.DateTimeField(blank=True, null=True)),
                (
                    "intent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="transactions",
                        to="provenance.intent",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Lane",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("chain_id", models.BigIntegerField()),
                (
                    "name",
                    models.CharField(
                        help_text="Key path under `lane/`: relayer/0, operator, anchor",
                        max_length=100,
                    ),
                ),
                ("address", models.CharField(max_length=42)),
                ("next_nonce", models.BigIntegerField(default=0)),
                (
                    "paused",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="Why nothing new is sent: low balance, fee spike",
                    ),
                ),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("chain_id", "name"), name="lane_by_name")],
            },
        ),
        migrations.CreateModel(
            name="LogEntry",
            fields=[
                ("index", models.BigIntegerField(primary_key=True, serialize=False)),
                ("subject", models.CharField(max_length=250)),
                ("type", models.CharField(max_length=40)),
                ("fact", models.CharField(max_length=250, unique=True)),
                ("previous", models.BigIntegerField(blank=True, null=True)),
                ("leaf_hash", models.BinaryField(max_length=32)),
                (
                    "envelope",
                    models.BinaryField(help_text="JCS of {statement, signatures, previous}"),
                ),
                ("logged_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["subject", "index"], name="entry_by_subject"),
                    models.Index(fields=["type", "index"], name="entry_by_type"),
                ],
            },
        ),
        migrations.CreateModel(
            name="LogState",
            fields=[
                (
                    "id",
                    models.IntegerField(default=1, primary_key=True, serialize=False),
                ),
                ("origin", models.CharField(max_length=200)),
                ("vkey", models.CharField(default="", help_text="C2SP verifier key of the log", max_length=300)),
                (
                    "service_key",
                    models.CharField(default="", help_text="Ed25519 public key of the service, hex", max_length=64),
                ),
                ("size", models.BigIntegerField(default=0)),
                (
                    "root",
                    models.CharField(help_text="RFC 6962 root, hex", max_length=64),
                ),
                (
                    "compact_range",
                    models.JSONField(
                        default=list,
                        help_text="Roots of the perfect subtrees, left to right, hex",
                    ),
                ),
                (
                    "checkpoint",
                    models.TextField(default="", help_text="C2SP signed note for `checkpoint_size`"),
                ),
                ("checkpoint_size", models.BigIntegerField(default=0)),
                (
                    "published_size",
                    models.BigIntegerField(default=0, help_text="Tree size of the static files under /log/"),
                ),
                (
                    "indexed_size",
                    models.BigIntegerField(default=0, help_text="`up_to` of the latest index.committed"),
                ),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="one_log_state")],
            },
        ),
        migrations.CreateModel(
            name="LogTile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("level", models.IntegerField()),
                ("number", models.BigIntegerField()),
                (
                    "hashes",
                    models.BinaryField(help_text="Up to 256 hashes of 32 bytes"),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("level", "number"), name="tile_by_place")],
            },
        ),
        migrations.CreateModel(
            name="PackageRecord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("token", models.BigIntegerField()),
                ("version", models.IntegerField()),
                ("package", models.IntegerField()),
                (
                    "digest",
                    models.CharField(help_text="SHA-256 of the package document", max_length=64),
                ),
                ("kind", models.CharField(help_text="open or sealed", max_length=6)),
                ("tx", models.CharField(max_length=66)),
                ("block_number", models.BigIntegerField()),
                ("block_hash", models.CharField(max_length=66)),
                (
                    "dataset",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="package_records",
                        to="provenance.datasetrecord",
                    ),
                ),
                (
                    "deployment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to="provenance.deployment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ParentEdge",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("child", models.BigIntegerField()),
                ("parent", models.BigIntegerField()),
                ("bps", models.IntegerField()),
                ("license_source", models.IntegerField(default=0, help_text="Index of the market in the registry")),
                (
                    "license",
                    models.BigIntegerField(
                        default=0,
                        help_text="License that permits the derivation; 0: none was needed",
                    ),
                ),
                (
                    "dataset",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="parent_edges",
                        to="provenance.datasetrecord",
                    ),
                ),
                (
                    "deployment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to="provenance.deployment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SignatureRequest",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("party", models.UUIDField(blank=True, null=True)),
                ("key_path", models.CharField(max_length=120)),
                (
                    "typed_data",
                    models.JSONField(help_text="types, domain, primaryType, message; integers may be decimal strings"),
                ),
                (
                    "digest",
                    models.CharField(help_text="EIP-712 hash, 0x", max_length=66),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("wanted", "Wanted"),
                            ("signed", "Signed"),
                            ("refused", "Refused"),
                        ],
                        default="wanted",
                        max_length=16,
                    ),
                ),
                ("signer", models.CharField(blank=True, default="", max_length=42)),
                ("signature", models.CharField(blank=True, default="", max_length=132)),
                ("cause", models.TextField(blank=True, default="")),
                ("created_at", models.DateTimeField()),
                ("signed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["state", "created_at"], name="signature_due")],
                "constraints": [models.UniqueConstraint(fields=("key_path", "digest"), name="signature_by_digest")],
            },
        ),
        migrations.CreateModel(
            name="VersionRecord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("token", models.BigIntegerField()),
                ("version", models.IntegerField()),
                ("manifest", models.CharField(max_length=64)),
                ("tx", models.CharField(max_length=66)),
                ("block_number", models.BigIntegerField()),
                ("block_hash", models.CharField(max_length=66)),
                ("published_at", models.DateTimeField()),
                (
                    "dataset",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="version_records",
                        to="provenance.datasetrecord",
                    ),
                ),
                (
                    "deployment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to="provenance.deployment",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="datasetrecord",
            index=models.Index(fields=["owner"], name="dataset_by_owner"),
        ),
        migrations.AddIndex(
            model_name="datasetrecord",
            index=models.Index(fields=["manifest"], name="dataset_by_manifest"),
        ),
        migrations.AddConstraint(
            model_name="datasetrecord",
            constraint=models.UniqueConstraint(fields=("deployment", "token"), name="dataset_by_token"),
        ),
        migrations.AddIndex(
            model_name="chainevent",
            index=models.Index(
                fields=["deployment", "subject", "block_number", "log_index"],
                name="event_by_subject",
            ),
        ),
        migrations.AddIndex(
            model_name="chainevent",
            index=models.Index(fields=["deployment", "final", "block_number"], name="event_by_finality"),
        ),
        migrations.AddIndex(
            model_name="chainevent",
            index=models.Index(fields=["deployment", "name", "block_number"], name="event_by_name"),
        ),
        migrations.AddIndex(
            model_name="chainevent",
            index=models.Index(fields=["tx"], name="event_by_tx"),
        ),
        migrations.AddConstraint(
            model_name="chainevent",
            constraint=models.UniqueConstraint(
                fields=("deployment", "block_hash", "log_index"),
                name="event_by_position",
            ),
        ),
        migrations.AddConstraint(
            model_name="block",
            constraint=models.UniqueConstraint(fields=("deployment", "number"), name="block_by_number"),
        ),
        migrations.AddConstraint(
            model_name="anchorrecord",
            constraint=models.UniqueConstraint(fields=("deployment", "size"), name="anchor_by_size"),
        ),
        migrations.AddIndex(
            model_name="intenttransaction",
            index=models.Index(fields=["chain_id", "lane_name", "nonce"], name="transaction_by_nonce"),
        ),
        migrations.AddIndex(
            model_name="packagerecord",
            index=models.Index(fields=["digest"], name="package_by_digest"),
        ),
        migrations.AddConstraint(
            model_name="packagerecord",
            constraint=models.UniqueConstraint(
                fields=("deployment", "token", "version", "package"),
                name="package_by_number",
            ),
        ),
        migrations.AddIndex(
            model_name="parentedge",
            index=models.Index(fields=["deployment", "parent"], name="edge_by_parent"),
        ),
        migrations.AddConstraint(
            model_name="parentedge",
            constraint=models.UniqueConstraint(fields=("deployment", "child", "parent"), name="edge_by_ends"),
        ),
        migrations.AddIndex(
            model_name="versionrecord",
            index=models.Index(fields=["manifest"], name="version_by_manifest"),
        ),
        migrations.AddConstraint(
            model_name="versionrecord",
            constraint=models.UniqueConstraint(fields=("deployment", "token", "version"), name="version_by_number"),
        ),
        migrations.RunPython(install, remove),
    ]
