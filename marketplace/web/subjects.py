"""What log entries are about, for people: the dataset behind a dataset's, a license's or a manifest's entry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from marketplace.models import LicenseRow, Listing
from marketplace.web.ids import slug_of_caip
from provenance.models import VersionRecord


@dataclass(frozen=True, slots=True)
class About:
    """A dataset: its id in addresses, and its title and creator as listed, empty when it is not listed here."""

    id: str
    title: str
    creator: str


def datasets_of(subjects: Iterable[str]) -> dict[str, About]:
    """Return subject → dataset for those subjects of the log that lead to one; three questions at most."""
    wanted = set(subjects)
    found = {subject: subject for subject in wanted if "/erc721:" in subject}
    licenses = [subject for subject in wanted if "/erc1155:" in subject]
    if licenses:
        found |= dict(LicenseRow.objects.filter(pk__in=licenses).values_list("pk", "dataset"))
    manifests = [subject.removeprefix("sha256:") for subject in wanted if subject.startswith("sha256:")]
    if manifests:
        rows = VersionRecord.objects.filter(manifest__in=manifests).select_related("deployment").order_by("-token")
        found |= {f"sha256:{row.manifest}": row.deployment.dataset_caip(row.token) for row in rows}
    listed = {
        dataset: (title, creator)
        for dataset, title, creator in Listing.objects.filter(pk__in=set(found.values())).values_list(
            "dataset", "title", "creator"
        )
    }
    return {subject: About(slug_of_caip(dataset), *listed.get(dataset, ("", ""))) for subject, dataset in found.items()}
