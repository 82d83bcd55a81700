"""What every tus 1.0 address does (https://tus.io/protocols/resumable-upload): versions, lengths, dates."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from marketplace.api.problems import RequestRefusal
from marketplace.api.resource import Resource
from marketplace.api.schema import Parameter
from provenance.limits import content_limits
from provenance.uploads import CHECKSUMS

VERSION = "1.0.0"
EXTENSIONS = "creation,termination,expiration,checksum"

RESUMABLE = Parameter("Tus-Resumable", {"type": "string", "enum": [VERSION]}, required=True)
LENGTH = Parameter("Upload-Length", {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}, required=True)
OFFSET = Parameter("Upload-Offset", {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}, required=True)
CHECKSUM = Parameter(
    "Upload-Checksum", {"type": "string", "pattern": f"^({'|'.join(CHECKSUMS)}) [A-Za-z0-9+/]+={{0,2}}$"},
    description="`sha256 <base64>` of exactly this piece",
)  # fmt: skip

_NUMBER = re.compile(r"[0-9]{1,16}")


class TusResource(Resource):
    """An address whose methods in `speaks_tus` are tus: they name the version, and so does every answer."""

    speaks_tus: ClassVar[frozenset[str]] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """As for every address; then check the version of the protocol. Raises RequestRefusal (HTTP 412)."""
        super().initial(request, *args, **kwargs)
        if request.method in self.speaks_tus and request.headers.get("Tus-Resumable") != VERSION:
            raise RequestRefusal(
                "request.tus_version", "The request does not speak this version of tus.", limit=VERSION,
                actual=request.headers.get("Tus-Resumable", "none")[:20], todo=f"Send Tus-Resumable: {VERSION}.",
            )  # fmt: skip

    def finalize_response(  # type: ignore[override]  # see Resource
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Add the protocol's version to every answer, refusals included."""
        final = super().finalize_response(request, response, *args, **kwargs)
        final["Tus-Resumable"] = VERSION
        if final.status_code == 412:
            final["Tus-Version"] = VERSION
        return final

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """Say what this server can do."""
        headers = {
            "Allow": ", ".join(self.allowed_methods),
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(content_limits().file_bytes),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        }
        return HttpResponse(status=204, headers=headers)


def length_of(request: HttpRequest) -> int:
    """Return `Upload-Length`. Raises RequestRefusal; deferred lengths are not offered, quota is reserved at once."""
    return _header_number(request, "Upload-Length")


def offset_of(request: HttpRequest) -> int:
    """Return `Upload-Offset`. Raises RequestRefusal."""
    return _header_number(request, "Upload-Offset")


def http_date(moment: datetime) -> str:
    """Return a moment as HTTP headers write it (RFC 9110)."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def _header_number(request: HttpRequest, name: str) -> int:
    text = request.headers.get(name, "")
    if _NUMBER.fullmatch(text) is None:
        raise RequestRefusal(
            "request.tus_header", f"{name} is missing or not a number of bytes.", actual=text[:40] or "none"
        )
    return int(text)
