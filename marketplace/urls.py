"""The root of all addresses. Permanent ones are listed in docs/formats.md."""

from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def alive(_request: HttpRequest) -> HttpResponse:
    """Answer 200 when this process serves and its database answers; load balancers ask nothing else."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain", headers={"Cache-Control": "no-store"})


urlpatterns = [
    path("healthz", alive, name="healthz"),
    path("account/", include("allauth.urls")),
    path("api/v1/", include("marketplace.api.urls")),
    # The website, and below /log/ the log's static files.
    path("", include("marketplace.web.urls")),
]

handler400 = "marketplace.web.errors.bad_request"
handler403 = "marketplace.web.errors.forbidden"
handler404 = "marketplace.web.errors.not_found"
handler500 = "marketplace.web.errors.failed"
