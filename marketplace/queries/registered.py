"""Datasets as chain, documents and listing know them together, read with few queries and as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from marketplace.models import Listing
from provenance.content_queries import is_published_here
from provenance.core.caip import Asset, AssetKind
from provenance.core.canonical import parse_canonical
from provenance.core.manifest import SCHEMA as MANIFEST_SCHEMA
from provenance.core.package import SCHEMA as PACKAGE_SCHEMA
from provenance.models import DatasetRecord, Document, PackageRecord, ParentEdge, Submission, VersionRecord
from provenance.queries import ancestor_edges, dataset_by_caip

LISTED_FIELDS = (
    "dataset", "slug", "state", "title", "creator", "kind", "visibility", "languages", "uses", "files", "bytes",
    "records", "version", "created", "account__slug", "offer__price", "offer__token",
)  # fmt: skip
DETAIL_FIELDS = (*LISTED_FIELDS, "reason", "description", "changed", "account__display_name", "offer_id")


@dataclass(frozen=True, slots=True)
class Relatives:
    """The lineage around a dataset: every distinct edge above it, and its direct children.

    `titles` of those that are listed and `manifests` (digest of the newest version) are by CAIP-19.
    """

    ancestors: tuple[ParentEdge, ...]
    children: tuple[ParentEdge, ...]
    titles: Mapping[str, str]
    manifests: Mapping[str, str]


def registered(dataset: str) -> DatasetRecord:
    """Return the registry's record of a dataset (CAIP-19). Raises QueryRefusal `dataset.unknown`."""
    return dataset_by_caip(dataset)


def listing_values(dataset: str) -> dict[str, Any] | None:
    """Return `DETAIL_FIELDS` of a dataset's listing, or None: registered on chain is not listed."""
    return Listing.objects.filter(pk=dataset).values(*DETAIL_FIELDS).first()


# Everything that a dataset's answer is made of and that can change, in one question of a tenth of a millisecond.
_VERSION = """
SELECT l.changed, l.state, l.offer_id, a.slug, a.display_name, r.id, r.owner, r.derive_bps, r.open_derive, r.splits,
       r.versions, r.manifest, r.final, r.block_hash,
       (SELECT MAX(p.id) FROM provenance_packagerecord p WHERE p.dataset_id = r.id),
       (SELECT MAX(e.id) FROM provenance_parentedge e WHERE e.dataset_id = r.id),
       (SELECT COUNT(*) FROM provenance_contentact c WHERE c.dataset = l.dataset)
FROM marketplace_listing l
JOIN marketplace_account a ON a.id = l.account_id
JOIN provenance_deployment d ON d.chain_id = %s AND d.registry = %s
JOIN provenance_datasetrecord r ON r.deployment_id = d.id AND r.token = %s
WHERE l.dataset = %s
"""


def listed_version(dataset: str) -> tuple[object, ...] | None:
    """Return values that are equal as long as the answer about a listed dataset is; None for one that is not listed."""
    name = Asset.parse(dataset, AssetKind.DATASET)
    with connection.cursor() as cursor:
        cursor.execute(_VERSION, [name.chain, name.contract, name.number, dataset])
        row: tuple[object, ...] | None = cursor.fetchone()
        return row


def document(digest: str) -> dict[str, Any] | None:
    """Return a public document as a JSON object, or None when it is not known here."""
    row = Document.objects.filter(pk=digest, public=True).first() if digest else None
    value = None if row is None else parse_canonical(row.content)
    return value if isinstance(value, dict) else None


def manifest_of(record: DatasetRecord, digest: str) -> dict[str, Any]:
    """Return a version's manifest as a JSON object; nothing when it is not known here, or somebody else's."""
    return _own(record, document(digest), MANIFEST_SCHEMA)


def package_of(record: DatasetRecord, digest: str) -> dict[str, Any]:
    """Return a package's document as a JSON object; nothing when it is not known here, or somebody else's."""
    return _own(record, document(digest), PACKAGE_SCHEMA)


def is_open_here(record: DatasetRecord, package: PackageRecord) -> bool:
    """Say whether a package's blocks are this dataset's to give to everybody.

    On chain anybody may register the digest of somebody else's package, sealed or withheld, as their own, and even give
    that dataset to its true owner. So its document has to name the creator and the manifest that stand on chain, or
    the package was published here for this very dataset.
    """
    found = document(package.digest) or {}
    version = version_of(record, package.version)
    said = tuple(found.get(name) for name in ("schema", "kind", "owner", "manifest"))
    creator = record.deployment.account_caip(record.creator)
    named = version is not None and said == (PACKAGE_SCHEMA, "open", creator, version.manifest)
    return named or is_published_here(record.caip, package.digest)


def _own(record: DatasetRecord, found: dict[str, Any] | None, schema: str) -> dict[str, Any]:
    """Return a document of a dataset's owner. On chain anybody may name another one: it does not speak for them."""
    if found is None or found.get("schema") != schema:
        return {}
    owners = {record.deployment.account_caip(address) for address in (record.creator, record.owner)}
    # An owner in between has published here, or is not remembered.
    published = Submission.objects.filter(dataset=record.caip, owner=found["owner"])
    return found if found["owner"] in owners or published.exists() else {}


def version_of(record: DatasetRecord, number: int) -> VersionRecord | None:
    """Return a published version of a dataset, or None."""
    return record.version_records.filter(version=number).first()


def packages_of(record: DatasetRecord, version: int) -> list[PackageRecord]:
    """Return the packages of a version, newest first."""
    return list(record.package_records.filter(version=version).order_by("-package"))


def parents_of(record: DatasetRecord) -> list[ParentEdge]:
    """Return the edges to a dataset's direct parents, by number."""
    return list(ParentEdge.objects.filter(deployment_id=record.deployment_id, child=record.token).order_by("parent"))


def relatives_of(record: DatasetRecord, *, children: int) -> Relatives:
    """Return everything above a dataset, and up to `children` datasets built directly from it."""
    above = tuple(ancestor_edges(record))
    below = tuple(
        ParentEdge.objects.filter(deployment_id=record.deployment_id, parent=record.token).order_by("child")[:children]
    )
    numbers = {record.token, *(edge.parent for edge in above), *(edge.child for edge in below)}
    names = {number: record.deployment.dataset_caip(number) for number in numbers}
    rows = DatasetRecord.objects.filter(deployment_id=record.deployment_id, token__in=numbers)
    manifests = {names[token]: manifest for token, manifest in rows.values_list("token", "manifest") if manifest}
    return Relatives(above, below, titles_of(names.values()), manifests)


def titles_of(datasets: Iterable[str]) -> dict[str, str]:
    """Return the titles of the listed ones among some datasets (CAIP-19)."""
    return dict(Listing.objects.filter(pk__in=list(datasets)).values_list("dataset", "title"))


def trail_subjects(record: DatasetRecord) -> list[str]:
    """Return the log's subjects of a dataset: itself, and its versions' content from before their registration."""
    manifests = record.version_records.values_list("manifest", flat=True)
    return [record.caip, *(f"sha256:{manifest}" for manifest in manifests)]
