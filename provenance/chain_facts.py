"""Statements about events of the registry, written when their block is final.

One event may make several: a registration stands for version 1 and its package 1. Their fact keys then carry the type
behind the event's place. Licenses, settlements and payouts are trade's facts (`hooks.on_final`).
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Q

from provenance.core.canonical import Json
from provenance.core.statement import ChainPlace, StatementType
from provenance.intake import submit_statement
from provenance.models import ChainEvent, Deployment, IntakeStatement, LogEntry, ParentEdge
from provenance.projections import KINDS, ZERO_ADDRESS, block_time

_RETRACTED = StatementType.FACT_RETRACTED


def record_final(event: ChainEvent) -> None:
    """Tell the log what a final event means; nothing for events that are trade's, or make no fact. Safe twice."""
    match event.name:
        case "DatasetRegistered":
            _record(event, StatementType.DATASET_REGISTERED, _registration(event), many=True)
            _record(event, StatementType.VERSION_PUBLISHED, _version(event, 1), many=True)
            _record(event, StatementType.PACKAGE_MADE, _package(event, 1, 1, "package", "packageKind"), many=True)
        case "VersionPublished":
            version = event.number("version")
            _record(event, StatementType.VERSION_PUBLISHED, _version(event, version), many=True)
            package = _package(event, version, 1, "package", "packageKind")
            _record(event, StatementType.PACKAGE_MADE, package, many=True)
        case "PackageMade":
            package = _package(event, event.number("version"), event.number("number"), "package", "kind")
            _record(event, StatementType.PACKAGE_MADE, package)
        case "Transfer" if event.subject.startswith("dataset/") and event.args["from"] != ZERO_ADDRESS:
            _record(event, StatementType.DATASET_TRANSFERRED, _transfer(event))
        case _:
            return


def fact_key(event: ChainEvent, kind: str = "") -> str:
    """Return a fact key for an event. Told anew after it was retracted, it names its block, too.

    An event that is mined again after a deep reorg may have the same transaction and log index.
    """
    key = f"{event.fact}:{kind}" if kind else event.fact
    told = LogEntry.objects.filter(fact=key).first()
    if told is None:
        return key
    retracted = LogEntry.objects.filter(type=_RETRACTED, fact__endswith=f":{told.index}").exists()
    pending = IntakeStatement.objects.filter(type=_RETRACTED, fact__endswith=f":{told.index}").exists()
    return f"{key}:{event.block_hash}" if retracted or pending else key


def retract(event: ChainEvent) -> None:
    """Take back what the log says about an event that is no longer in the chain: by a further entry, never by less.

    A statement that has not been sequenced yet is simply withdrawn.
    """
    keys = Q(fact=event.fact) | Q(fact__startswith=f"{event.fact}:")
    IntakeStatement.objects.filter(keys, sequenced__isnull=True).delete()
    for entry in LogEntry.objects.filter(keys).order_by("index"):
        submit_statement(
            type=_RETRACTED,
            subject=entry.subject,
            fact=f"{_RETRACTED}:{entry.subject}:{entry.index}",
            body={"entry": entry.index, "reason": "reorganization"},
            time=entry.logged_at,
        )


def _record(event: ChainEvent, kind: StatementType, body: Mapping[str, Json], *, many: bool = False) -> None:
    token = int(event.subject.partition("/")[2])
    submit_statement(
        type=kind,
        subject=event.deployment.dataset_caip(token),
        fact=fact_key(event, kind if many else ""),
        body=body,
        time=block_time(event),
        chain=ChainPlace.from_document(event.coordinates),
    )


def _registration(event: ChainEvent) -> dict[str, Json]:
    deployment, args = event.deployment, event.args
    edges = ParentEdge.objects.filter(deployment=deployment, child=event.number("dataset")).order_by("parent")
    return {
        "manifest": _digest(args["manifest"]),
        "package": _digest(args["package"]),
        "owner": deployment.account_caip(args["owner"]),
        "parents": [
            {
                "dataset": deployment.dataset_caip(edge.parent),
                "bps": edge.bps,
                "license": _license(deployment, edge),
            }
            for edge in edges
        ],
        "derive_bps": event.number("deriveBps"),
        "splits": _digest_or_none(args["splits"]),
    }


def _license(deployment: Deployment, edge: ParentEdge) -> str | None:
    if not edge.license:
        return None
    sources = ChainEvent.objects.filter(deployment=deployment, name="LicenseSourceAdded").order_by("block_number")
    market = next(
        (event.args["market"] for event in sources if event.number("source") == edge.license_source), deployment.market
    )
    return f"eip155:{deployment.chain_id}/erc1155:{market}/{edge.license}"


def _version(event: ChainEvent, version: int) -> dict[str, Json]:
    return {
        "version": version,
        "manifest": _digest(event.args["manifest"]),
        "package": _digest(event.args["package"]),
    }


def _package(event: ChainEvent, version: int, number: int, digest: str, kind: str) -> dict[str, Json]:
    return {
        "version": version,
        "package": number,
        "digest": _digest(event.args[digest]),
        "kind": KINDS[event.number(kind)],
    }


def _transfer(event: ChainEvent) -> dict[str, Json]:
    return {
        "from": event.deployment.account_caip(event.args["from"]),
        "to": event.deployment.account_caip(event.args["to"]),
    }


def _digest(word: str) -> str:
    return word.removeprefix("0x")


def _digest_or_none(word: str) -> str | None:
    text = _digest(word)
    return None if int(text, 16) == 0 else text
