"""What happened, in sentences: log entries about a dataset, each with its evidence one click away."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from marketplace.models import SettlementRow
from marketplace.templatetags.cadastre import cid_of, money, short, uses_in_words
from marketplace.web.ids import slug_of_caip
from marketplace.web.subjects import About, datasets_of
from provenance.core.canonical import parse_canonical
from provenance.models import LogEntry

ENTRY_LIMIT = 16_384
ABOUT_LICENSES = ("license.purchased", "license.refunded", "license.revoked", "license.expired")

GATE = {
    "none": _("no match found"),
    "shown": _("a small overlap, shown on this page"),
    "answered": _("overlaps that the creator explained"),
    "reviewed": _("overlaps that were reviewed"),
}
BASES = {
    "own-work": _("own work"),
    "commissioned": _("commissioned"),
    "licensed": _("licensed from others"),
    "open-license": _("open license"),
    "web": _("collected from the web"),
    "personal-data": _("personal data"),
    "synthetic": _("synthetic"),
    "unknown": _("unknown"),
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
            return Link(reverse("docs-page", args=["algorithms/gate"]), gettext("What was searched"))
        case "license.purchased":
            return Link(reverse("license", args=[slug_of_caip(entry.subject)]), gettext("The license"))
        case "settlement.accepted":
            return Link(reverse("settlement", args=[body["epoch"]]), gettext("Recompute"))
        case _:
            return None


def _prepared(body: dict[str, Any], _about: About | None) -> str:
    count = int(body["records"])
    figures = {"count": f"{count:,}"}
    match str(body["algorithm"]).removeprefix("cadastre.").partition("/")[0]:
        case "image":
            said = ngettext(
                "Copy check prepared: %(count)s sketch by which copies of its pictures are recognized.",
                "Copy check prepared: %(count)s sketches by which copies of its pictures are recognized.", count,
            )  # fmt: skip
        case "table":
            said = ngettext(
                "Copy check prepared: %(count)s sketch by which copies of its tables are recognized.",
                "Copy check prepared: %(count)s sketches by which copies of its tables are recognized.", count,
            )  # fmt: skip
        case "text":
            said = ngettext(
                "Copy check prepared: %(count)s sketch by which copies of its texts are recognized.",
                "Copy check prepared: %(count)s sketches by which copies of its texts are recognized.", count,
            )  # fmt: skip
        case _:
            said = ngettext(
                "Copy check prepared: %(count)s sketch by which copies of its records are recognized.",
                "Copy check prepared: %(count)s sketches by which copies of its records are recognized.", count,
            )  # fmt: skip
    return said % figures


def _owner(about: About | None) -> str:
    return about.creator if about and about.creator else gettext("its owner")


def _registered(body: dict[str, Any], about: About | None) -> str:
    digest = format_html('<span class="h">{}</span>', short(cid_of(body["manifest"])))
    parents = len(body["parents"])
    if not parents:
        return format_html(gettext("Registered by {owner} as {digest}."), owner=_owner(about), digest=digest)
    return format_html(
        ngettext(
            "Registered by {owner} as {digest}, built from {count} other dataset.",
            "Registered by {owner} as {digest}, built from {count} other datasets.",
            parents,
        ),
        owner=_owner(about), digest=digest, count=parents,
    )  # fmt: skip


def _published(body: dict[str, Any], _about: About | None) -> str:
    return gettext("Version %(version)s published.") % {"version": body["version"]}


def _stored(body: dict[str, Any], _about: About | None) -> str:
    sealed = body["kind"] == "sealed"
    said = (
        gettext("Version %(version)s stored, locked: only license holders can open it.")
        if sealed
        else gettext("Version %(version)s stored, open to everybody.")
    )
    return said % {"version": body["version"]}


def _gate(body: dict[str, Any], _about: About | None) -> str:
    found = str(GATE.get(str(body["result"]), body["result"]))
    count = int(body["compared"])
    if not count:
        return format_html(
            gettext("Compared with everything in the register: {found}, it is the first."), found=_bold(found)
        )
    return format_html(
        ngettext(
            "Compared with everything in the register: {found} among {count} dataset.",
            "Compared with everything in the register: {found} among {count} datasets.",
            count,
        ),
        found=_bold(found), count=f"{count:,}",
    )  # fmt: skip


def _bold(words: str) -> str:
    return format_html("<b>{}</b>", words)


def _rights(body: dict[str, Any], about: About | None) -> str:
    bases = ", ".join(str(BASES.get(basis, basis)) for basis in body["bases"])
    return gettext("The rights, as %(owner)s states them: %(bases)s.") % {"owner": _owner(about), "bases": bases}


def _listing(body: dict[str, Any], _about: About | None) -> str:
    if body["state"] == "listed":
        return gettext("Listed for sale.")
    return gettext("No longer sold: %(reason)s.") % {"reason": body["reason"]}


def _offered(_body: dict[str, Any], about: About | None) -> str:
    return gettext("Offered for sale, signed by %(owner)s.") % {"owner": _owner(about)}


def _purchased(body: dict[str, Any], _about: About | None) -> str:
    figures = {"uses": uses_in_words(body["uses"]), "price": money(int(body["price"]), body["token"])}
    return gettext("Licensed to %(uses)s, for %(price)s, buyer undisclosed.") % figures


def _used(body: dict[str, Any], _about: About | None) -> str:
    count = int(body["quantity"])
    figures = {"count": f"{count:,}"}
    match body["unit"]:
        case "records-1000":
            return ngettext("Use reported: %(count)s record.", "Use reported: %(count)s records.", count) % figures
        case "tokens-1000000":
            return ngettext("Use reported: %(count)s token.", "Use reported: %(count)s tokens.", count) % figures
        case "run":
            return ngettext("Use reported: %(count)s run.", "Use reported: %(count)s runs.", count) % figures
        case "gigabyte":
            return ngettext("Use reported: %(count)s byte.", "Use reported: %(count)s bytes.", count) % figures
        case _:
            return gettext("Use reported: %(count)s.") % figures


def _settled(body: dict[str, Any], _about: About | None) -> str:
    figures = {"epoch": body["epoch"], "amount": money(int(body["cumulative"]))}
    return gettext("Epoch %(epoch)s settled: %(amount)s in all so far.") % figures


def _paid(body: dict[str, Any], _about: About | None) -> str:
    figures = {"epoch": body["epoch"], "amount": money(int(body["amount"]), body["token"])}
    return gettext("Paid out: %(amount)s for epoch %(epoch)s.") % figures


def _plain(words: Any) -> Callable[[dict[str, Any], About | None], str]:
    """Return what writes `words` with the members of the statement in them."""
    return lambda body, _about: str(words) % body


SENTENCES: dict[str, Callable[[dict[str, Any], About | None], str]] = {
    "dataset.registered": _registered,
    "version.published": _published,
    "package.made": _stored,
    "rights.attested": _rights,
    "fingerprint.computed": _prepared,
    "gate.passed": _gate,
    "listing.changed": _listing,
    "offer.made": _offered,
    "offer.withdrawn": _plain(_("An offer was withdrawn.")),
    "license.purchased": _purchased,
    "license.refunded": _plain(_("A license was refunded.")),
    "license.revoked": _plain(_("A license was revoked (%(ground)s).")),
    "license.expired": _plain(_("A license ended.")),
    "key.granted": _plain(_("The key was handed to the license holder.")),
    "usage.reported": _used,
    "usage.corrected": _plain(_("A usage report was corrected.")),
    "settlement.accepted": _settled,
    "payout.made": _paid,
    "content.withheld": _plain(_("Delivery stopped: %(reason)s.")),
    "content.erased": _plain(_("Content key destroyed: %(reason)s.")),
    "dataset.transferred": _plain(_("Handed over to a new owner.")),
    "index.committed": _plain(_("Index of all subjects committed up to entry %(up_to)s.")),
    "fact.retracted": _plain(_("Entry %(entry)s was retracted: %(reason)s.")),
    "key.rotated": _plain(_("The %(role)s key was replaced.")),
}
