"""What a dataset was built from, what was built from it, and who is paid when it earns."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.core.money import BPS
from marketplace.core.splits import Splits
from marketplace.models import Listing
from marketplace.queries.registered import manifest_of
from marketplace.templatetags.cadastre import short
from marketplace.web.ids import slug_of_caip
from provenance.core.canonical import parse_canonical
from provenance.core.refusal import Refusal
from provenance.models import DatasetRecord, Document, ParentEdge


@dataclass(frozen=True, slots=True)
class Relative:
    """A dataset near another one. `bps` is what the lower of the two owes the upper one."""

    id: str
    caip: str
    title: str
    manifest: str
    bps: int


@dataclass(frozen=True, slots=True)
class Family:
    """Direct parents and children. Deeper relatives are one click away."""

    parents: tuple[Relative, ...]
    children: tuple[Relative, ...]


@dataclass(frozen=True, slots=True)
class Payee:
    """Who gets what share of this dataset's income, and why. `dataset` is the ancestor's id, empty for the others."""

    name: str
    why: str
    bps: int
    dataset: str


def family_of(record: DatasetRecord) -> Family:
    """Return parents and children of a dataset."""
    up = ParentEdge.objects.filter(deployment=record.deployment, child=record.token).order_by("parent")
    down = ParentEdge.objects.filter(deployment=record.deployment, parent=record.token).order_by("child")
    return Family(
        parents=tuple(_relative(record, edge.parent, edge.bps) for edge in up),
        children=tuple(_relative(record, edge.child, edge.bps) for edge in down),
    )


def payees_of(record: DatasetRecord, family: Family) -> list[Payee]:
    """Return the income shares: the owner's rest, who shares it, and every ancestor by the distinct edges into it."""
    owed: dict[int, int] = {}
    seen: set[int] = set()
    waiting = [record.token]
    while waiting:
        token = waiting.pop()
        if token in seen:
            continue
        seen.add(token)
        for edge in ParentEdge.objects.filter(deployment=record.deployment, child=token):
            owed[edge.parent] = owed.get(edge.parent, 0) + edge.bps
            waiting.append(edge.parent)
    rows = []
    for token, bps in sorted(owed.items()):
        relative = _relative(record, token, bps)
        rows.append(Payee(_creator(relative.caip), f"ancestor, “{relative.title}”", bps, relative.id))
    own = BPS - sum(owed.values())
    sharing = _sharing(record, own)
    rest = own - sum(payee.bps for payee in sharing)
    return [Payee(_creator(record.caip), "owner", rest, ""), *sharing, *rows]


def _sharing(record: DatasetRecord, own: int) -> list[Payee]:
    """Return who shares the `own` basis points; they are named by address, as the splits document names them."""
    found = Document.objects.filter(pk=record.splits).first() if record.splits else None
    if found is None:
        return []
    try:
        splits = Splits.from_document(parse_canonical(bytes(found.content)))
    except Refusal:
        # On chain anybody may name any document as the splits of a dataset of theirs.
        return []
    return [
        Payee(
            short(share.account.rpartition(":")[2]),
            f"shares the owner’s income: {share.role}",
            own * share.bps // BPS,
            "",
        )
        for share in splits.shares
    ]


def _relative(record: DatasetRecord, token: int, bps: int) -> Relative:
    caip = record.deployment.dataset_caip(token)
    found = DatasetRecord.objects.filter(deployment=record.deployment, token=token).first()
    manifest = found.manifest if found else ""
    title = str(manifest_of(found, manifest).get("title", "")) if found else ""
    return Relative(slug_of_caip(caip), caip, title or f"Dataset {token}", manifest, bps)


def _creator(caip: str) -> str:
    listing = Listing.objects.filter(pk=caip).first()
    return listing.creator if listing else "registered elsewhere"
