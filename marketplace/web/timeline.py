"""What happened, in sentences: log entries about a dataset, each with its evidence one click away."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from marketplace.models import SettlementRow
from marketplace.templatetags.cadastre import cid_of, money, short, uses_in_words
from marketplace.web.ids import slug_of_caip
from marketplace.web.subjects import About, datasets_of
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
KINDS = {"image": "pictures", "table": "tables", "text": "texts"}
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
class Link:
    """Where a line of a timeline is explained."""

    url: str
    words: str


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a timeline. `block` is None for facts that are not on chain, `about` for those of no dataset."""

    index: int
    type: str
    time: str
    block: int | None
    tx: str
    sentence: str
    body: dict[str, Any]
    about: About | None
    link: Link | None


def happenings(entries: Iterable[LogEntry]) -> list[Happening]:
    """Return the entries in words, oldest first."""
    rows = sorted(entries, key=lambda entry: entry.index)
    datasets = datasets_of(row.subject for row in rows)
    return [_happening(row, datasets.get(row.subject)) for row in rows]


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


def settlement_entries(settlement: SettlementRow) -> list[LogEntry]:
    """Return the entry that says that a settlement stands."""
    subject = f"settlement:{settlement.token}:{settlement.epoch}"
    return list(LogEntry.objects.filter(subject=subject, type="settlement.accepted"))


def _happening(entry: LogEntry, about: About | None) -> Happening:
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
        sentence=say(body, about) if say else entry.type.replace(".", " "),
        body=body,
        about=about,
        link=_link(entry, body),
    )


def _link(entry: LogEntry, body: dict[str, Any]) -> Link | None:
    match entry.type:
        case "gate.passed":
            return Link(reverse("docs-page", args=["algorithms/gate"]), _("What was searched"))
        case "license.purchased":
            return Link(reverse("license", args=[slug_of_caip(entry.subject)]), _("The license"))
        case "settlement.accepted":
            return Link(reverse("settlement", args=[body["epoch"]]), _("Recompute"))
        case _:
            return None


def _counted(count: Any, noun: str) -> str:
    many = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{int(count):,} {noun if int(count) == 1 else many}"


def _sketches(body: dict[str, Any]) -> str:
    kind = str(body["algorithm"]).removeprefix("cadastre.").partition("/")[0]
    return f"{_counted(body['records'], 'sketch')} by which copies of its {KINDS.get(kind, 'records')} are recognized"


def _owner(about: About | None) -> str:
    return about.creator if about and about.creator else "its owner"


def _registered(body: dict[str, Any], about: About | None) -> str:
    parents = len(body["parents"])
    built = "" if not parents else f", built from {parents} other dataset{'' if parents == 1 else 's'}"
    return format_html(
        'Registered by {} as <span class="h">{}</span>{}.', _owner(about), short(cid_of(body["manifest"])), built
    )


def _gate(body: dict[str, Any], _about: About | None) -> str:
    found = GATE.get(str(body["result"]), str(body["result"]))
    if not int(body["compared"]):
        return format_html("Compared with everything in the register: <b>{}</b>, it is the first.", found)
    return format_html(
        "Compared with everything in the register: <b>{}</b> among {}.", found, _counted(body["compared"], "dataset")
    )


def _rights(body: dict[str, Any], about: About | None) -> str:
    bases = ", ".join(BASES.get(basis, basis) for basis in body["bases"])
    return f"The rights, as {_owner(about)} states them: {bases}."


def _purchased(body: dict[str, Any], _about: About | None) -> str:
    price = money(int(body["price"]), body["token"])
    return f"Licensed to {uses_in_words(body['uses'])}, for {price}, buyer undisclosed."


def _settled(body: dict[str, Any], _about: About | None) -> str:
    return f"Epoch {body['epoch']} settled: {money(int(body['cumulative']))} in all so far."


SENTENCES: dict[str, Callable[[dict[str, Any], About | None], str]] = {
    "dataset.registered": _registered,
    "version.published": lambda body, _: f"Version {body['version']} published.",
    "package.made": lambda body, _: (
        f"Version {body['version']} stored, "
        f"{'locked: only license holders can open it' if body['kind'] == 'sealed' else 'open to everybody'}."
    ),
    "rights.attested": _rights,
    "fingerprint.computed": lambda body, _: f"Copy check prepared: {_sketches(body)}.",
    "gate.passed": _gate,
    "listing.changed": lambda body, _: (
        "Listed for sale." if body["state"] == "listed" else f"No longer sold: {body['reason']}."
    ),
    "offer.made": lambda _, about: f"Offered for sale, signed by {_owner(about)}.",
    "offer.withdrawn": lambda *_: "An offer was withdrawn.",
    "license.purchased": _purchased,
    "license.refunded": lambda *_: "A license was refunded.",
    "license.revoked": lambda body, _: f"A license was revoked ({body['ground']}).",
    "license.expired": lambda *_: "A license ended.",
    "key.granted": lambda *_: "The key was handed to the license holder.",
    "usage.reported": lambda body, _: (
        f"Use reported: {int(body['quantity']):,} {UNITS.get(body['unit'], '')}".strip() + "."
    ),
    "usage.corrected": lambda *_: "A usage report was corrected.",
    "settlement.accepted": _settled,
    "payout.made": lambda body, _: f"Paid out: {money(int(body['amount']), body['token'])} for epoch {body['epoch']}.",
    "content.withheld": lambda body, _: f"Delivery stopped: {body['reason']}.",
    "content.erased": lambda body, _: f"Content key destroyed: {body['reason']}.",
    "dataset.transferred": lambda *_: "Handed over to a new owner.",
    "index.committed": lambda body, _: f"Index of all subjects committed up to entry {body['up_to']}.",
    "fact.retracted": lambda body, _: f"Entry {body['entry']} was retracted: {body['reason']}.",
    "key.rotated": lambda body, _: f"The {body['role']} key was replaced.",
}
