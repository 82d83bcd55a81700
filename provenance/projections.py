"""Datasets, versions, packages, lineage and anchors as folds over chain events: dropped and made again at any time.

A projection is never updated from an event alone. It is computed from all events of its subject that are in the chain
now, so that a reorg needs no undo, and so that folding twice is folding once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provenance.core.merkle import tree_root
from provenance.core.refusal import Refusal
from provenance.models import (
    AnchorRecord,
    ChainEvent,
    DatasetRecord,
    Deployment,
    PackageRecord,
    ParentEdge,
    VersionRecord,
)
from provenance.ports import EventLog
from provenance.queries import log_state, tile_reader

ZERO_ADDRESS = "0x" + "00" * 20
KINDS = ("open", "sealed")
_LICENSE_BITS = 64
_DATASET_EVENTS = frozenset(
    {
        "DatasetRegistered", "ParentLinked", "VersionPublished", "PackageMade", "DeriveTermsSet", "SplitsSet",
        "OfferCancelled", "DatasetFrozen", "DatasetUnfrozen", "BeneficiarySet",
    }
)  # fmt: skip
_LICENSE_EVENTS = frozenset(
    {
        "LicensePurchased", "LicenseRefunded", "RevocationAnnounced", "RevocationWithdrawn", "LicenseRevoked",
        "Charged",
    }
)  # fmt: skip
_SETTLEMENT_EVENTS = frozenset({"RootProposed", "RootVetoed", "RootAccepted", "Pushed"})


def subject_of(event: EventLog) -> str:
    """Return what an event is about.

    `dataset/12`, `license/5`, `payee/3`, `settlement/<token>/<epoch>`, `account/<address>`, `log/<origin digest>`, or
    `contract/<address>` for what concerns a contract as a whole.
    """
    args = event.args
    if event.contract == "DatasetRegistry" and event.name == "Transfer":
        return f"dataset/{args['tokenId']}"
    if event.name in _DATASET_EVENTS:
        return f"dataset/{args['dataset']}"
    if event.name in _LICENSE_EVENTS:
        return f"license/{args['license']}"
    if event.name in _SETTLEMENT_EVENTS:
        return f"settlement/{args['token']}/{args['epoch']}"
    if event.name == "Anchored":
        return f"log/{str(args['origin']).removeprefix('0x')}"
    if "payee" in args:
        return f"payee/{args['payee']}"
    if "account" in args:
        return f"account/{args['account']}"
    return f"contract/{event.address}"


def fold(deployment: Deployment, subjects: Iterable[str]) -> None:
    """Compute the projections of the subjects anew; call it in the transaction that changed their events."""
    for subject in sorted(set(subjects)):
        kind, _, name = subject.partition("/")
        match kind:
            case "dataset":
                _fold_dataset(deployment, int(name))
            case "log":
                _fold_anchors(deployment, subject)
            case _:
                continue  # trade's own


@dataclass(slots=True)
class _Dataset:
    """A dataset while its events are folded."""

    registration: ChainEvent
    owner: str
    derive_bps: int
    open_derive: bool
    splits: str
    versions: dict[int, tuple[str, ChainEvent]] = field(default_factory=dict)
    packages: dict[tuple[int, int], tuple[str, str, ChainEvent]] = field(default_factory=dict)
    parents: dict[int, tuple[int, int]] = field(default_factory=dict)


def _fold_dataset(deployment: Deployment, token: int) -> None:
    events = list(
        ChainEvent.objects.filter(deployment=deployment, subject=f"dataset/{token}").order_by(
            "block_number", "log_index"
        )
    )
    folded = _folded(events)
    if folded is None:
        DatasetRecord.objects.filter(deployment=deployment, token=token).delete()
        return
    record = _write_dataset(deployment, token, folded)
    _write_versions(record, folded)
    _write_packages(record, folded)
    _write_parents(record, folded)


def _folded(events: Sequence[ChainEvent]) -> _Dataset | None:
    dataset: _Dataset | None = None
    owner = ""
    for event in events:
        args = event.args
        # The mint's Transfer comes before the registration in the same transaction.
        if event.name == "Transfer":
            owner = args["to"]
            if dataset is not None:
                dataset.owner = owner
        elif event.name == "DatasetRegistered":
            dataset = _registered(event, owner or args["owner"])
        elif dataset is not None:
            _apply(dataset, event, args)
    return dataset


def _registered(event: ChainEvent, owner: str) -> _Dataset:
    args = event.args
    return _Dataset(
        registration=event,
        owner=owner,
        derive_bps=int(args["deriveBps"]),
        open_derive=bool(args["openDerive"]),
        splits=_digest(args["splits"]),
        versions={1: (_digest(args["manifest"]), event)},
        packages={(1, 1): (_digest(args["package"]), KINDS[int(args["packageKind"])], event)},
    )


def _apply(dataset: _Dataset, event: ChainEvent, args: Mapping[str, Any]) -> None:
    match event.name:
        case "ParentLinked":
            dataset.parents[int(args["parent"])] = (int(args["shareBps"]), int(args["licenseRef"]))
        case "VersionPublished":
            version = int(args["version"])
            dataset.versions[version] = (_digest(args["manifest"]), event)
            dataset.packages[version, 1] = (_digest(args["package"]), KINDS[int(args["packageKind"])], event)
        case "PackageMade":
            place = (int(args["version"]), int(args["number"]))
            dataset.packages[place] = (_digest(args["package"]), KINDS[int(args["kind"])], event)
        case "DeriveTermsSet":
            dataset.derive_bps, dataset.open_derive = int(args["deriveBps"]), bool(args["openDerive"])
        case "SplitsSet":
            dataset.splits = _digest(args["splits"])
        case _:
            pass  # about its sale, which is trade's


def _write_dataset(deployment: Deployment, token: int, folded: _Dataset) -> DatasetRecord:
    event = folded.registration
    record, _ = DatasetRecord.objects.update_or_create(
        deployment=deployment,
        token=token,
        defaults={
            "owner": folded.owner,
            "creator": event.args["owner"],
            "derive_bps": folded.derive_bps,
            "open_derive": folded.open_derive,
            "splits": folded.splits,
            "stack_bps": int(event.args["stackBps"]),
            "ancestors": int(event.args["ancestors"]),
            "versions": max(folded.versions),
            "manifest": folded.versions[max(folded.versions)][0],
            "tx": event.tx,
            "block_number": event.block_number,
            "block_hash": event.block_hash,
            "registered_at": block_time(event),
            "final": event.final,
        },
    )
    return record


def _write_versions(record: DatasetRecord, folded: _Dataset) -> None:
    VersionRecord.objects.filter(dataset=record).exclude(version__in=folded.versions).delete()
    for version, (manifest, event) in folded.versions.items():
        VersionRecord.objects.update_or_create(
            deployment=record.deployment,
            token=record.token,
            version=version,
            defaults={
                "dataset": record, "manifest": manifest, "published_at": block_time(event), **_place(event),
            },
        )  # fmt: skip


def _write_packages(record: DatasetRecord, folded: _Dataset) -> None:
    for row in PackageRecord.objects.filter(dataset=record):
        if (row.version, row.package) not in folded.packages:
            row.delete()
    for (version, package), (digest, kind, event) in folded.packages.items():
        PackageRecord.objects.update_or_create(
            deployment=record.deployment,
            token=record.token,
            version=version,
            package=package,
            defaults={"dataset": record, "digest": digest, "kind": kind, **_place(event)},
        )


def _write_parents(record: DatasetRecord, folded: _Dataset) -> None:
    ParentEdge.objects.filter(dataset=record).exclude(parent__in=folded.parents).delete()
    for parent, (bps, reference) in folded.parents.items():
        ParentEdge.objects.update_or_create(
            deployment=record.deployment,
            child=record.token,
            parent=parent,
            defaults={
                "dataset": record,
                "bps": bps,
                "license_source": reference >> _LICENSE_BITS,
                "license": reference & ((1 << _LICENSE_BITS) - 1),
            },
        )


def _fold_anchors(deployment: Deployment, subject: str) -> None:
    """Keep the anchors that are true: anybody may anchor anything under our origin, but only our roots are ours."""
    events = ChainEvent.objects.filter(deployment=deployment, subject=subject, name="Anchored")
    true = {int(event.args["size"]): event for event in events.order_by("block_number", "log_index") if _is_ours(event)}
    AnchorRecord.objects.filter(deployment=deployment).exclude(size__in=true).delete()
    for size, event in true.items():
        AnchorRecord.objects.update_or_create(
            deployment=deployment,
            size=size,
            defaults={
                "root": _digest(event.args["root"]), "snapshot": _digest(event.args["snapshot"]),
                "final": event.final, "anchored_at": block_time(event), **_place(event),
            },
        )  # fmt: skip


def _is_ours(event: ChainEvent) -> bool:
    size = int(event.args["size"])
    if not 0 < size <= log_state().size:
        return False
    try:
        return tree_root(size, tile_reader(size).get_hash).hex() == _digest(event.args["root"])
    except Refusal:
        return False


def block_time(event: ChainEvent) -> dt.datetime:
    """Return when the event's block says that it was made."""
    return dt.datetime.fromtimestamp(event.block_time, dt.UTC)


def _place(event: ChainEvent) -> dict[str, object]:
    return {"tx": event.tx, "block_number": event.block_number, "block_hash": event.block_hash}


def _digest(word: object) -> str:
    """Return a bytes32 as 64 hex digits; zero, which stands for none, as nothing."""
    text = str(word).removeprefix("0x")
    return "" if int(text, 16) == 0 else text
