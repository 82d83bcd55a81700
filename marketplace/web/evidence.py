"""Pages for auditors, none of which needs an account: audit, log, entry, settlement, permanent addresses."""

from __future__ import annotations

import json
import re
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from marketplace.models import LicenseRow, Listing, SettlementRow
from marketplace.queries.orders import certificate_of
from marketplace.queries.registered import titles_of
from marketplace.queries.search import search_listings
from marketplace.web.ids import license_caip, slug_of_caip
from marketplace.web.marks import with_manifests
from marketplace.web.negotiation import wants_json
from marketplace.web.timeline import happenings, statement_of
from provenance.content_queries import datasets_with_cid, datasets_with_sha256
from provenance.core.canonical import parse_canonical
from provenance.core.cid import Cid, CidRefusal
from provenance.core.refusal import Refusal
from provenance.models import AnchorRecord, ChainEvent, Document, LogEntry, LogState

ROWS = 50
LOG_PATH = re.compile(r"[A-Za-z0-9._/-]{1,200}")


def audit(request: HttpRequest) -> HttpResponse:
    """Where an auditor begins: what can be checked, the latest facts, and a transaction's events."""
    transaction = request.GET.get("tx", "")[:66].lower()
    events = list(ChainEvent.objects.filter(tx=transaction).order_by("log_index")) if transaction else []
    return render(
        request,
        "web/audit.html",
        {
            "transaction": transaction,
            "events": events,
            "happenings": list(reversed(happenings(LogEntry.objects.order_by("-index")[:12]))),
            "log": LogState.objects.first(),
            "settlements": SettlementRow.objects.order_by("-epoch")[:6],
            "listings": with_manifests(list(search_listings()[:8])),
        },
    )


def log(request: HttpRequest) -> HttpResponse:
    """The log: its signed checkpoint, its anchors, its entries."""
    entries = LogEntry.objects.order_by("-index")
    kind, subject = request.GET.get("type", "")[:40], request.GET.get("subject", "")[:250]
    if kind:
        entries = entries.filter(type=kind)
    if subject:
        entries = entries.filter(subject=subject)
    rows = Paginator(entries, ROWS).get_page(request.GET.get("page"))
    return render(
        request,
        "web/log.html",
        {
            "log": LogState.objects.first(),
            "rows": rows,
            "happenings": list(reversed(happenings(rows))),
            "anchors": AnchorRecord.objects.order_by("-size")[:10],
            "types": LogEntry.objects.order_by("type").values_list("type", flat=True).distinct(),
            "type": kind,
            "subject": subject,
        },
    )


def entry(request: HttpRequest, index: int) -> HttpResponse:
    """One entry at its permanent address."""
    found = get_object_or_404(LogEntry, pk=index)
    if wants_json(request):
        return redirect(f"/api/v1/entries/{index}")
    later = LogEntry.objects.filter(subject=found.subject, index__gt=index).order_by("index").first()
    return render(
        request,
        "web/entry.html",
        {
            "entry": found,
            "happening": happenings([found])[0],
            "statement": statement_of(found),
            "envelope": json.dumps(parse_canonical(bytes(found.envelope), limit=16_384), indent=2, ensure_ascii=False),
            "log": LogState.objects.first(),
            "leaf": bytes(found.leaf_hash).hex(),
            "later": later,
            "subject": _subject_link(found.subject),
        },
    )


def settlement(request: HttpRequest, epoch: int) -> HttpResponse:
    """One epoch's settlement: what came in, who got what, and the command that recomputes it."""
    found = SettlementRow.objects.filter(epoch=epoch).order_by("-pk").first()
    if found is None:
        raise Http404
    if wants_json(request):
        return redirect(f"/api/v1/settlements/{epoch}")
    return render(request, "web/settlement.html", {"settlement": found, "payouts": found.payouts.order_by("leaf")})


def license_page(request: HttpRequest, slug: str) -> HttpResponse:
    """A license as everybody may see it: what was licensed and for how much, never to whom."""
    caip = license_caip(slug)
    found = LicenseRow.objects.filter(pk=caip).first()
    if found is None:
        raise Http404
    if wants_json(request):
        return redirect(f"/api/v1/licenses/{slug}")
    listing = Listing.objects.filter(pk=found.dataset).first()
    return render(
        request,
        "web/license_public.html",
        {
            "license": found,
            "id": slug,
            "listing": listing,
            "dataset": slug_of_caip(found.dataset),
            "certificate": certificate_of(found),
            "happenings": happenings(LogEntry.objects.filter(subject=caip)),
        },
    )


def by_cid(request: HttpRequest, cid: str) -> HttpResponse:
    """What is known here under a CID: datasets, or one public document."""
    try:
        parsed = Cid.parse(cid)
    except CidRefusal as refusal:
        raise Http404 from refusal
    document = Document.objects.filter(pk=parsed.sha256.hex, public=True).first()
    return _known(request, f"CID {cid}", datasets_with_cid(cid), document)


def by_sha256(request: HttpRequest, digest: str) -> HttpResponse:
    """What is known here under a digest: manifests and other public documents, files of open data."""
    document = Document.objects.filter(pk=digest, public=True).first()
    return _known(request, f"SHA-256 {digest}", datasets_with_sha256(digest), document)


def log_file(request: HttpRequest, path: str) -> HttpResponse:
    """A static file of the log: checkpoint, key, tile, bundle. Full tiles never change; the rest is not cached."""
    root = settings.CADASTRE_LOG_DIR.resolve()
    if LOG_PATH.fullmatch(path) is None:
        raise Http404
    target = (root / path).resolve()
    if not target.is_relative_to(root) or not target.is_file():
        raise Http404
    is_text = path in {"checkpoint", "vkey"}
    changing = is_text or ".p/" in path
    return HttpResponse(
        target.read_bytes(),
        content_type="text/plain; charset=utf-8" if is_text else "application/octet-stream",
        headers={
            "Cache-Control": "no-cache" if changing else "public, max-age=31536000, immutable",
            "Access-Control-Allow-Origin": "*",
        },
    )


def _known(request: HttpRequest, what: str, datasets: list[str], document: Document | None) -> HttpResponse:
    if document is not None and wants_json(request):
        return HttpResponse(bytes(document.content), content_type="application/json")
    if wants_json(request):
        return _known_datasets(what, datasets)
    content: dict[str, Any] | None = None
    if document is not None:
        parsed = parse_canonical(bytes(document.content))
        content = parsed if isinstance(parsed, dict) else None
    listings = {listing.dataset: listing for listing in Listing.objects.filter(pk__in=datasets)}
    rows = [(slug_of_caip(caip), listings.get(caip)) for caip in datasets]
    return render(
        request,
        "web/known.html",
        {
            "what": what,
            "rows": rows,
            "document": document,
            "schema": content.get("schema") if content else None,
            "shown": json.dumps(content, indent=2, ensure_ascii=False) if content else "",
        },
        status=200 if rows or document else 404,
    )


def _known_datasets(what: str, datasets: list[str]) -> HttpResponse:
    if not datasets:
        raise Refusal("content.not_found", f"Nothing is known here under {what}.", todo="Look the file itself up.")
    titles = titles_of(datasets)
    rows = [{"id": slug_of_caip(caip), "caip": caip, "title": titles.get(caip)} for caip in datasets]
    return JsonResponse({"datasets": rows})


def _subject_link(subject: str) -> dict[str, str]:
    if "/erc721:" in subject:
        return {"url": f"/d/{slug_of_caip(subject)}", "text": _("this dataset")}
    if "/erc1155:" in subject:
        return {"url": f"/l/{slug_of_caip(subject)}", "text": _("this license")}
    if subject.startswith("sha256:"):
        return {"url": f"/sha256/{subject.removeprefix('sha256:')}", "text": _("this manifest")}
    return {}
