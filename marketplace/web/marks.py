"""Whose parcel mark stands where: a listing shows its newest version's, a license that of the version it covers."""

from __future__ import annotations

from collections.abc import Iterable

from marketplace.models import LicenseRow, Listing
from marketplace.web.ids import slug_of_caip
from provenance.models import DatasetRecord, VersionRecord


def with_manifests(listings: list[Listing]) -> list[Listing]:
    """Give each listing the manifest digest that its parcel mark is drawn from, in one query, and its short id."""
    tokens = {_token(listing.dataset) for listing in listings}
    records = DatasetRecord.objects.select_related("deployment").filter(token__in=tokens)
    manifests = {record.caip: record.manifest for record in records}
    for listing in listings:
        listing.manifest = manifests.get(listing.dataset, "")  # type: ignore[attr-defined]  # for the template
        listing.short_id = slug_of_caip(listing.dataset)  # type: ignore[attr-defined]  # the same
    return listings


def marks_of(licenses: Iterable[LicenseRow]) -> dict[str, str]:
    """Return license → manifest digest of the version that it was bought for, empty where that is not known here."""
    rows = list(licenses)
    versions = VersionRecord.objects.select_related("deployment").filter(
        token__in={_token(row.dataset) for row in rows}
    )
    manifests = {(each.deployment.dataset_caip(each.token), each.version): each.manifest for each in versions}
    return {row.pk: manifests.get((row.dataset, row.version or 0), "") for row in rows}


def _token(dataset: str) -> int:
    return int(dataset.rsplit("/", 1)[1])
