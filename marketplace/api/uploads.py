"""`/uploads/{file}`: the bytes of a file, by tus 1.0. Whatever has arrived stays; the client asks and goes on."""

from __future__ import annotations

import base64
import binascii
from typing import cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from marketplace.api.problems import RequestRefusal
from marketplace.api.rates import UPLOADS
from marketplace.api.schema import Parameter, Raw, operation
from marketplace.api.tus import CHECKSUM, OFFSET, RESUMABLE, TusResource, http_date, offset_of
from marketplace.queries.actors import Act
from provenance.models import SubmittedFile
from provenance.transitions import own_file
from provenance.uploads import Readable, append_bytes, remove_file

PIECE = "application/offset+octet-stream"
OVERRIDE = Parameter("X-HTTP-Method-Override", {"type": "string", "enum": ["PATCH"]}, required=True)
_TUS_HEADERS = ("Tus-Resumable", "Upload-Offset", "Upload-Expires")


class UploadsResource(TusResource):
    """`OPTIONS /uploads`: what this server can do."""


class UploadResource(TusResource):
    acts = {"HEAD": Act.PUBLISH, "PATCH": Act.PUBLISH, "DELETE": Act.PUBLISH, "POST": Act.PUBLISH}
    rate = UPLOADS
    speaks_tus = frozenset({"HEAD", "PATCH", "DELETE", "POST"})

    @operation(
        "Where an upload stands", parameters=(RESUMABLE,), headers=(*_TUS_HEADERS, "Upload-Length"), refuses=(412,)
    )
    def head(self, request: Request, file: UUID) -> HttpResponse:
        row = own_file(self.actor.account.pk, file)
        return _standing(row, HttpResponse(status=200, headers={"Upload-Length": str(row.size)}))

    @operation(
        "Send bytes at the offset where it stands", status=204, body=Raw(PIECE),
        parameters=(RESUMABLE, OFFSET, CHECKSUM), headers=_TUS_HEADERS, refuses=(410, 412, 413, 415, 423, 460, 507),
    )  # fmt: skip
    def patch(self, request: Request, file: UUID) -> HttpResponse:
        if request.content_type.partition(";")[0].strip() != PIECE:
            raise RequestRefusal(
                "request.media_type", "Bytes of an upload have a type of their own.", limit=PIECE,
                actual=request.content_type[:80] or "none",
            )  # fmt: skip
        row = append_bytes(
            by=self.actor.account.pk, file=file, offset=offset_of(self.http), data=_stream(self.http), now=self.now,
            checksum=_checksum(self.http),
        )  # fmt: skip
        return _standing(row, HttpResponse(status=204))

    @operation("Take the file out of its draft", status=204, parameters=(RESUMABLE,), refuses=(412,))
    def delete(self, request: Request, file: UUID) -> HttpResponse:
        remove_file(by=self.actor.account.pk, file=file, now=self.now)
        return HttpResponse(status=204)

    @operation(
        "PATCH for clients behind a proxy that does not know it (X-HTTP-Method-Override)", status=204, body=Raw(PIECE),
        parameters=(RESUMABLE, OVERRIDE, OFFSET, CHECKSUM), headers=_TUS_HEADERS,
        refuses=(405, 410, 412, 413, 415, 423, 460, 507),
    )  # fmt: skip
    def post(self, request: Request, file: UUID) -> HttpResponse:
        wanted = request.headers.get("X-HTTP-Method-Override", "")
        if wanted != "PATCH":
            raise RequestRefusal(
                "request.method", "This address does not know the method.", actual=wanted[:20] or "POST"
            )
        return self.patch(request, file)


def _standing(row: SubmittedFile, response: HttpResponse) -> HttpResponse:
    response["Upload-Offset"] = str(row.received)
    response["Cache-Control"] = "no-store"
    if row.submission.expires is not None:
        response["Upload-Expires"] = http_date(row.submission.expires)
    return response


def _stream(request: HttpRequest) -> Readable:
    # A chunked body has no length: Django would read nothing of it. Servers that end the stream themselves say so.
    if request.META.get("wsgi.input_terminated") and not request.META.get("CONTENT_LENGTH"):
        return cast("Readable", request.META["wsgi.input"])
    return request


def _checksum(request: HttpRequest) -> tuple[str, bytes] | None:
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    algorithm, _, digest = text.partition(" ")
    try:
        return algorithm, base64.b64decode(digest, validate=True)
    except binascii.Error as error:
        raise RequestRefusal(
            "request.upload_checksum", "Upload-Checksum is not an algorithm and base64.", actual=text[:80]
        ) from error
