"""“Is my work in it?”: exact, near, or no match found, with what was searched."""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from marketplace.limits import take
from marketplace.session import address_of
from marketplace.web.ids import slug_of_caip
from provenance.core.refusal import Refusal
from provenance.look_up import look_up_digest, look_up_file

FILE_LIMIT = 64 * 1_048_576
A_MINUTE = 30
DIGEST = re.compile(r"[0-9a-f]{64}")


def look_up_page(request: HttpRequest) -> HttpResponse:
    """Ask by a digest in the address (a file dropped on the search box), or by a file that is sent and not kept."""
    context: dict[str, object] = {"name": request.GET.get("name", "")[:200], "limit": FILE_LIMIT}
    status = 200
    digest = request.GET.get("sha256", "")
    upload = request.FILES.get("file") if request.method == "POST" else None
    if upload is not None or DIGEST.fullmatch(digest):
        try:
            # The same window as the API's: whoever sifts has one limit, not two.
            take(f"api:look-ups:{address_of(request)}", limit=A_MINUTE, seconds=60, now=timezone.now())
            found = (
                look_up_file(upload, now=timezone.now())
                if upload is not None
                else look_up_digest(digest, now=timezone.now())
            )
            context |= {
                "found": found,
                "rows": [(slug_of_caip(each.dataset), each) for each in found.found],
                "name": upload.name if upload else context["name"],
            }
        except Refusal as refusal:
            context["refusal"] = refusal
            status = 429 if refusal.code == "limit.rate" else 400
    return render(request, "web/look_up.html", context, status=status)
