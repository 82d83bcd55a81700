"""Home, explore, and the one search box."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from marketplace.core.money import Amount, MoneyRefusal
from marketplace.market_calls import TREASURY, known_address
from marketplace.models import LicenseRow, PaidTotal, PayeeRow
from marketplace.queries.catalog import account_at
from marketplace.queries.deployments import DeploymentRefusal, payment_token
from marketplace.queries.search import meant_instead, order_of, search_listings
from marketplace.web.marks import with_manifests
from provenance.models import LogEntry, LogState

PAGE_ROWS = 20
KINDS = (
    ("image", _("Pictures")),
    ("table", _("Tables")),
    ("text", _("Texts")),
    ("audio", _("Audio")),
    ("mixed", _("Mixed")),
)
USES = (
    ("pretrain", _("Train models from scratch")),
    ("fine-tune", _("Fine-tune models")),
    ("evaluate", _("Evaluate models")),
    ("retrieve", _("Look things up in it")),
    ("derive", _("Build other datasets from it")),
    ("redistribute", _("Pass it on")),
)
SORTS = {
    "": _("Closest first"),
    "newest": _("Newest first"),
    "price": _("Cheapest first"),
    "records": _("Largest first"),
    "title": _("By title"),
}
DATASET_ID = re.compile(r"[0-9]+-[0-9a-f]{40}-[0-9]+")
TRANSACTION = re.compile(r"0x[0-9a-f]{64}")
DIGEST = re.compile(r"[0-9a-f]{64}")
CID = re.compile(r"b[a-z2-7]{20,}")


def home(request: HttpRequest) -> HttpResponse:
    listed = search_listings()
    log = LogState.objects.first()
    return render(
        request,
        "web/home.html",
        {
            "listings": with_manifests(list(listed[:6])),
            "datasets": listed.count(),
            "licenses": LicenseRow.objects.filter(final=True).count(),
            "paid": _paid_to_people(),
            "entries": log.size if log else 0,
            "log": log,
        },
    )


def explore(request: HttpRequest) -> HttpResponse:
    words, kind, use = (request.GET.get(name, "")[:200] for name in ("q", "kind", "use"))
    visibility = request.GET.get("visibility", "")
    limit, problem = _max_price(request.GET.get("max_price", ""))
    found = search_listings(
        words,
        kind=kind if kind in dict(KINDS) else "",
        uses=[use] if use in dict(USES) else [],
        max_price=limit,
        visibility=visibility if visibility in {"open", "sealed"} else "",
    )
    sort = request.GET.get("sort", "")
    order = order_of(sort or "closest", words)
    rows = Paginator(found.order_by(*order), PAGE_ROWS).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    return render(
        request,
        "web/explore.html",
        {
            "rows": rows,
            "listings": with_manifests(list(rows)),
            "query": words,
            "kinds": KINDS,
            "uses": USES,
            "kind": kind,
            "use": use,
            "visibility": visibility,
            "max_price": request.GET.get("max_price", ""),
            "price_problem": problem,
            "sorts": list(SORTS.items()),
            "sort": sort,
            "filtered": bool(words or kind or use or visibility or request.GET.get("max_price")),
            "rest": query.urlencode(),
            "meant": None if rows else meant_instead(words),
        },
    )


def creator(request: HttpRequest, account: str) -> HttpResponse:
    """What an account has listed here; who has listed nothing has no page."""
    found = account_at(account)
    if found is None:
        raise Http404
    listed = search_listings(account=found)
    if not listed:
        raise Http404
    if found.slug != account:
        return redirect("creator", found.slug)
    rows = Paginator(listed, PAGE_ROWS).get_page(request.GET.get("page"))
    sold = LicenseRow.objects.filter(dataset__in=listed.values("pk"), final=True).count()
    context = {"creator": found, "rows": rows, "listings": with_manifests(list(rows)), "sold": sold, "rest": ""}
    return render(request, "web/creator.html", context)


def find(request: HttpRequest) -> HttpResponse:
    """Send what was typed where it belongs: an id, a CID, a digest, a transaction, or words."""
    words = request.GET.get("q", "").strip()
    lowered = words.lower()
    if DATASET_ID.fullmatch(lowered):
        caip = lowered.split("-")
        is_license = LicenseRow.objects.filter(chain=int(caip[0]), market=f"0x{caip[1]}", number=int(caip[2])).exists()
        return redirect("license" if is_license else "dataset", lowered)
    if TRANSACTION.fullmatch(lowered):
        return redirect(f"{reverse('audit')}?tx={lowered}")
    if DIGEST.fullmatch(lowered):
        return redirect("sha256", lowered)
    if CID.fullmatch(lowered):
        return redirect("cid", lowered)
    if lowered.isdecimal() and LogEntry.objects.filter(pk=int(lowered)).exists():
        return redirect("entry", int(lowered))
    return redirect(f"{reverse('explore')}?{urlencode({'q': words})}")


def _paid_to_people() -> int | None:
    """Return what payees were paid in the currency of prices; what the market itself received is not counted."""
    try:
        token = payment_token().caip
    except DeploymentRefusal:
        return None
    own = PayeeRow.objects.filter(address=known_address(TREASURY) or "").values("number")
    paid = PaidTotal.objects.filter(token=token).exclude(payee__in=own).aggregate(total=Sum("paid"))
    return paid["total"] or 0


def _max_price(text: str) -> tuple[int | None, str]:
    if not text.strip():
        return None, ""
    try:
        return Amount.parse(text.strip(), payment_token()).units, ""
    except (MoneyRefusal, DeploymentRefusal) as refusal:
        return None, str(refusal)
