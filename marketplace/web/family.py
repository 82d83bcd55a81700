"""What a dataset was built from, what was built from it, and who is paid when it earns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from marketplace.core.allocation import AllocationLine, Reason
from marketplace.core.money import BPS, Amount
from marketplace.core.splits import Splits
from marketplace.models import Listing
from marketplace.queries.deployments import token_by_caip
from marketplace.queries.incomes import SharedIncome
from marketplace.queries.registered import manifest_of
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
    """Who gets what share of this dataset's income, and why.

    `via` is the number of the dataset that the share is for: this one, or an ancestor, whose id `dataset` then is.
    Those who share the owner's income have an `address`. `account` names a creator's page, where there is one.
    """

    name: str
    why: str
    bps: int
    via: int
    dataset: str = ""
    address: str = ""
    account: str = ""

    def gets(self, line: AllocationLine) -> bool:
        """Whether a settlement's line is this payee's. Those with whom an ancestor shares are told on its own page."""
        if line.via != self.via:
            return False
        if self.address:
            return line.reason is Reason.SPLIT and line.account.endswith(self.address)
        return line.reason is not Reason.SPLIT


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
    for token, bps in sorted((token, bps) for token, bps in owed.items() if bps):
        relative = _relative(record, token, bps)
        name, account = _creator(relative.caip)
        why = _("it is built from “%(title)s”") % {"title": relative.title}
        rows.append(Payee(name, why, bps, token, dataset=relative.id, account=account))
    own = BPS - sum(owed.values())
    sharing = _sharing(record, own)
    rest = own - sum(payee.bps for payee in sharing)
    name, account = _creator(record.caip)
    return [Payee(name, _("owner"), rest, record.token, account=account), *sharing, *rows]


def paid_so_far(payee: Payee, incomes: Iterable[SharedIncome]) -> list[Amount]:
    """Return what a payee has been paid of the dataset's income, one amount per token."""
    totals: dict[str, int] = {}
    for income in incomes:
        for line in income.lines:
            if line.payee in income.paid and payee.gets(line):
                totals[income.settlement.token] = totals.get(income.settlement.token, 0) + line.amount
    return [Amount(units, token_by_caip(token)) for token, units in sorted(totals.items())]


def shared_out(income: SharedIncome, payees: Iterable[Payee]) -> list[tuple[str, Amount]]:
    """Return who got how much of one settlement's income of the dataset; those who have no name here are the others."""
    token = token_by_caip(income.settlement.token)
    rest = sum(line.amount for line in income.lines)
    found = []
    for payee in payees:
        units = sum(line.amount for line in income.lines if payee.gets(line))
        if units:
            found.append((payee.name, Amount(units, token)))
            rest -= units
    return found if rest <= 0 else [*found, (_("others"), Amount(rest, token))]


def _sharing(record: DatasetRecord, own: int) -> list[Payee]:
    """Return who shares the `own` basis points, by what they did: who they are is not public."""
    found = Document.objects.filter(pk=record.splits).first() if record.splits else None
    if found is None:
        return []
    try:
        splits = Splits.from_document(parse_canonical(bytes(found.content)))
    except Refusal:
        # On chain anybody may name any document as the splits of a dataset of theirs.
        return []
    addresses = [share.account.rpartition(":")[2] for share in splits.shares]
    return [
        Payee(share.role.capitalize(), _("shares the owner’s income"), own * share.bps // BPS, record.token,
              address=address)
        for address, share in zip(addresses, splits.shares, strict=True)
    ]  # fmt: skip


def _relative(record: DatasetRecord, token: int, bps: int) -> Relative:
    caip = record.deployment.dataset_caip(token)
    found = DatasetRecord.objects.filter(deployment=record.deployment, token=token).first()
    manifest = found.manifest if found else ""
    title = str(manifest_of(found, manifest).get("title", "")) if found else ""
    return Relative(slug_of_caip(caip), caip, title or _("Dataset %(number)s") % {"number": token}, manifest, bps)


def _creator(caip: str) -> tuple[str, str]:
    """Return a creator's display name, and the name of their page when the dataset is listed."""
    listing = Listing.objects.select_related("account").filter(pk=caip).first()
    if listing is None:
        return _("registered elsewhere"), ""
    return listing.creator, listing.account.slug if listing.state == Listing.State.LISTED else ""
