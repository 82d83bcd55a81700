"""What happened, in sentences: log entries about a dataset, each with its evidence one click away."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from marketplace.templatetags.cadastre import money, share
from provenance.core.canonical import parse_canonical
from provenance.models import LogEntry

ENTRY_LIMIT = 16_384
ABOUT_LICENSES = ("license.purchased", "license.refunded", "license.revoked", "license.expired")

GATE = {
    "none": "no match found",
    "shown": "a small overlap, shown on this page",
    "answered": "overlaps that the creator explained",
    "reviewed": "overlaps that were reviewed",
}
UNITS = {"records-1000": "records", "tokens-1000000": "tokens", "run": "runs", "gigabyte": "bytes"}
BASES = {
    "own-work": "own work",
    "commissioned": "commissioned",
    "licensed": "licensed from others",
    "open-license": "open license",
    "web": "collected from the web",
    "personal-data": "personal data",
    "synthetic": "synthetic",
    "unknown": "unknown",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a timeline. `block` is None for facts that are not on chain."""

    index: int
    type: str
    time: str
    block: int | None
    tx: str
    sentence: str
    body: dict[str, Any]


def happenings(entries: Iterable[LogEntry]) -> list[Happening]:
    """Return the entries in words, oldest first."""
    return [_happening(entry) for entry in sorted(entries, key=lambda entry: entry.index)]


def statement_of(entry: LogEntry) -> dict[str, Any]:
    """Return the statement inside an entry."""
    envelope = parse_canonical(bytes(entry.envelope), limit=ENTRY_LIMIT)
    return dict(envelope["statement"])  # type: ignore[index,call-overload,arg-type]  # an entry of ours has its schema


def trail_entries(dataset: str, manifests: Iterable[str]) -> list[LogEntry]:
    """Return the entries about a dataset (CAIP-19), and about its versions' content before registration."""
    subjects = [dataset, *(f"sha256:{manifest}" for manifest in manifests)]
    return list(LogEntry.objects.filter(subject__in=subjects).order_by("index"))


def license_entries(licenses: Iterable[str]) -> list[LogEntry]:
    """Return the entries that began and ended licenses."""
    return list(LogEntry.objects.filter(subject__in=list(licenses), type__in=ABOUT_LICENSES).order_by("index"))


def _happening(entry: LogEntry) -> Happening:
    statement = statement_of(entry)
    chain = statement["chain"] or {}
    say = SENTENCES.get(entry.type)
    body = dict(statement["body"])
    return Happening(
        index=entry.index,
        type=entry.type,
        time=str(statement["time"]),
        block=chain.get("block"),
        tx=str(chain.get("tx", "")),
        sentence=say(body) if say else entry.type.replace(".", " "),
        body=body,
    )


def _counted(count: Any, noun: str) -> str:
    many = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{int(count):,} {noun if int(count) == 1 else many}"


def _registered(body: dict[str, Any]) -> str:
    parents = len(body["parents"])
    built = "" if not parents else f", built from {parents} other dataset{'' if parents == 1 else 's'}"
    return f"Registered by its owner{built}."


def _gate(body: dict[str, Any]) -> str:
    found = GATE.get(str(body["result"]), str(body["result"]))
    return f"Compared with everything in the register: {found} among {_counted(body['compared'], 'dataset')}."


def _rights(body: dict[str, Any]) -> str:
    return f"The owner states the rights: {', '.join(BASES.get(basis, basis) for basis in body['bases'])}."


def _offer(body: dict[str, Any]) -> str:
    return "An offer was signed by the owner."


def _purchased(body: dict[str, Any]) -> str:
    return f"Licensed for {money(int(body['price']), body['token'])}, buyer undisclosed."


def _settled(body: dict[str, Any]) -> str:
    return f"Epoch {body['epoch']} settled: {money(int(body['cumulative']))} in all so far."


SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "dataset.registered": _registered,
    "version.published": lambda body: f"Version {body['version']} published.",
    "package.made": lambda body: f"Stored: package {body['package']} of version {body['version']} ({body['kind']}).",
    "rights.attested": _rights,
    "fingerprint.computed": lambda body: (
        f"Copy check prepared: {_counted(body['records'], 'sketch')} ({body['algorithm']})."
    ),
    "gate.passed": _gate,
    "listing.changed": lambda body: (
        "Listed for sale." if body["state"] == "listed" else f"No longer sold: {body['reason']}."
    ),
    "offer.made": _offer,
    "offer.withdrawn": lambda _body: "An offer was withdrawn.",
    "license.purchased": _purchased,
    "license.refunded": lambda _body: "A license was refunded.",
    "license.revoked": lambda body: f"A license was revoked ({body['ground']}).",
    "license.expired": lambda _body: "A license ended.",
    "key.granted": lambda _body: "The key was handed to the license holder.",
    "usage.reported": lambda body: (
        f"Use reported: {int(body['quantity']):,} {UNITS.get(body['unit'], '')}".strip() + "."
    ),
    "usage.corrected": lambda _body: "A usage report was corrected.",
    "settlement.accepted": _settled,
    "payout.made": lambda body: f"Paid out: {money(int(body['amount']), body['token'])} for epoch {body['epoch']}.",
    "content.withheld": lambda body: f"Delivery stopped: {body['reason']}.",
    "content.erased": lambda body: f"Content key destroyed: {body['reason']}.",
    "dataset.transferred": lambda _body: "Handed over to a new owner.",
    "index.committed": lambda body: f"Index of all subjects committed up to entry {body['up_to']}.",
    "fact.retracted": lambda body: f"Entry {body['entry']} was retracted: {body['reason']}.",
    "key.rotated": lambda body: f"The {body['role']} key was replaced.",
}


def edge_sentence(title: str, bps: int) -> str:
    """Say what a parent gets."""
    return f"{title} gets {share(bps)} of what this dataset earns."
