"""What a dataset was built from, and the terms that bind it: from chain events and documents."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from marketplace.core.caip import AssetKind, AssetName
from marketplace.core.compatibility import HeldLicense, Upstream
from marketplace.core.terms import Terms
from marketplace.models import LicenseRow, Listing, TermsRow
from provenance.core.canonical import parse_canonical
from provenance.models import DatasetRecord, Document, ParentEdge


@dataclass(frozen=True, slots=True)
class Owed:
    """What a dataset owes those it is built from, in basis points of what it earns.

    `shares` by parent (CAIP-19); `stack_bps` at most, to all of its ancestors, as the registry adds them up.
    """

    shares: Mapping[str, int]
    stack_bps: int


def owed_by(parents: Iterable[str], *, dataset: str) -> Owed:
    """Return what a dataset owes its `parents` (CAIP-19): what was fixed when it was registered as `dataset`.

    With an empty `dataset` it is new, and owes what its parents ask for now.
    """
    registered = _record(dataset) if dataset else None
    if registered is not None:
        edges = ParentEdge.objects.filter(deployment=registered.deployment, child=registered.token).order_by("parent")
        fixed = {registered.deployment.dataset_caip(edge.parent): edge.bps for edge in edges}
        return Owed(fixed, registered.stack_bps)
    found = {parent: record for parent in parents if (record := _record(parent)) is not None}
    asked = {parent: record.derive_bps for parent, record in found.items()}
    return Owed(asked, sum(record.derive_bps + record.stack_bps for record in found.values()))


def terms_by_digest(digest: str) -> Terms | None:
    """Return the terms with this digest, or None when nobody gave them to this register."""
    row = TermsRow.objects.filter(pk=digest).first()
    if row is not None:
        return Terms.from_document(parse_canonical(bytes(row.document)))
    document = Document.objects.filter(pk=digest).first()
    return None if document is None else Terms.from_document(parse_canonical(document.content))


def upstream_of(
    parents: Iterable[str], licenses: Mapping[str, str], *, now: datetime, owner: str | None = None
) -> tuple[Upstream, ...]:
    """Return every ancestor of a dataset that is built from `parents` (CAIP-19), nearest first, each once.

    `licenses` names the license (CAIP-19) held for a parent. For ancestors further up, the license that its own child
    was registered with governs; an ancestor of the same `owner` (address) binds nobody.
    """
    seen: set[str] = set()
    found: list[Upstream] = []
    waiting = deque((parent, licenses.get(parent)) for parent in parents)
    while waiting:
        dataset, license_id = waiting.popleft()
        if dataset in seen:
            continue
        seen.add(dataset)
        record = _record(dataset)
        if record is None:
            found.append(Upstream(dataset, dataset))
            continue
        if owner is None or record.owner != owner:
            found.append(_upstream(dataset, license_id, now))
        for edge in ParentEdge.objects.filter(deployment=record.deployment, child=record.token).order_by("parent"):
            held = record.deployment.license_caip(edge.license) if edge.license else None
            waiting.append((record.deployment.dataset_caip(edge.parent), held))
    return tuple(found)


def _upstream(dataset: str, license_id: str | None, now: datetime) -> Upstream:
    listing = Listing.objects.select_related("offer").filter(pk=dataset).first()
    title = listing.title if listing is not None else dataset
    open_terms = None
    if listing is not None and listing.visibility == "open" and listing.offer is not None:
        open_terms = terms_by_digest(listing.offer.terms_id)
    return Upstream(dataset, title, open_terms, _held(license_id, dataset, now))


def _held(license_id: str | None, dataset: str, now: datetime) -> HeldLicense | None:
    if license_id is None:
        return None
    row = LicenseRow.objects.filter(pk=license_id, dataset=dataset).first()
    terms = terms_by_digest(row.terms) if row is not None else None
    if row is None or terms is None:
        return None
    ended = row.state != LicenseRow.State.ACTIVE or (row.end is not None and row.end <= now)
    return HeldLicense(license_id, terms, ended=ended)


def _record(dataset: str) -> DatasetRecord | None:
    name = AssetName.parse(dataset, AssetKind.DATASET)
    return (
        DatasetRecord.objects.select_related("deployment")
        .filter(deployment__chain_id=name.chain, deployment__registry=name.contract, token=name.number or 0)
        .first()
    )
