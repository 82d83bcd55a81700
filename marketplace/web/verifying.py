"""The verify page: a bundle is checked here as a convenience; the command line needs neither this site nor its word."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from marketplace.core.trade_audit import TRADE_CHECKS
from marketplace.limits import take
from marketplace.queries.pins import pinned_policy, site_auditor
from provenance.core.refusal import Refusal
from provenance.core.verify import verify_bundle

BUNDLE_LIMIT = 4 * 1_048_576
A_MINUTE = 10


def verify_page(request: HttpRequest) -> HttpResponse:
    """Say what is checked; for a posted bundle, each step with pass, fail or not checked."""
    context: dict[str, object] = {"limit": BUNDLE_LIMIT}
    status = 200
    upload = request.FILES.get("bundle") if request.method == "POST" else None
    if upload is not None:
        try:
            if (upload.size or 0) > BUNDLE_LIMIT:
                raise Refusal(
                    "bundle.too_large", "The bundle is too large for this page.",
                    limit=BUNDLE_LIMIT, actual=upload.size,
                    todo="Use: cadastre verify bundle.json --rpc URL",
                )  # fmt: skip
            take(f"verify:{request.META['REMOTE_ADDR']}", limit=A_MINUTE, seconds=60, now=timezone.now())
            context["report"] = verify_bundle(upload.read(), pinned_policy(), site_auditor(), additional=TRADE_CHECKS)
            context["name"] = upload.name
        except Refusal as refusal:
            context["refusal"] = refusal
            status = 429 if refusal.code == "limit.rate" else 400
    return render(request, "web/verify.html", context, status=status)
