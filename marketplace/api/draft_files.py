"""`/drafts/{id}/files`: what is in a draft, and tus creation."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.drafts import RefusalShown
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.problems import RequestRefusal
from marketplace.api.rates import UPLOADS
from marketplace.api.schema import IDEMPOTENT, Parameter, operation
from marketplace.api.tus import LENGTH, RESUMABLE, TusResource, http_date, length_of
from marketplace.queries.actors import Act
from marketplace.queries.drafts import own_draft, submission_of
from provenance.models import SubmittedFile
from provenance.uploads import add_file

_PAIR = "[!-+.-~]+ [A-Za-z0-9+/]*={0,2}"
METADATA = Parameter(
    "Upload-Metadata", {"type": "string", "pattern": f"^{_PAIR}(,{_PAIR})*$"}, required=True,
    description="`path <base64>[,sha256 <base64>]`; `relativePath`, `filename` and `name` stand in for `path`.",
)  # fmt: skip
_NAMES = ("path", "relativePath", "filename", "name")
# Some clients send it where there is no folder.
_EMPTY = {"", "null"}


class DraftFile(msgspec.Struct):
    """A file of a draft. `received` of `bytes` have arrived; `sha256` and `records` are known after hashing."""

    id: UUID
    path: str
    bytes: int
    received: int
    sha256: str | None
    media_type: str | None
    records: int
    state: str
    upload: str
    refusal: RefusalShown | None


class CreatedUpload(msgspec.Struct):
    """Where to send the bytes of a file."""

    id: UUID
    upload: str
    expires: datetime | None


class DraftFilesResource(TusResource):
    acts = {"GET": Act.PUBLISH, "POST": Act.PUBLISH}
    rate = UPLOADS
    speaks_tus = frozenset({"POST"})

    @operation("The files of a draft", answer=Page[DraftFile], query=PageQuery)
    def get(self, request: Request, draft: UUID) -> HttpResponse:
        submission = submission_of(own_draft(self.actor.account, draft))
        page = page_of(
            submission.files.all(), order=("path",), query=self.query(PageQuery), request=self.http,
            show=lambda rows: [_shown(row) for row in rows],
        )  # fmt: skip
        return self.answer(page)

    @operation(
        "Announce a file (tus creation)", answer=CreatedUpload, status=201,
        parameters=(RESUMABLE, LENGTH, METADATA, IDEMPOTENT), headers=("Location", "Upload-Expires", "Upload-Offset"),
        refuses=(412, 413, 507),
    )  # fmt: skip
    def post(self, request: Request, draft: UUID) -> HttpResponse:
        size = length_of(self.http)
        metadata = _metadata(self.http.headers.get("Upload-Metadata", ""))
        path = next((metadata[name] for name in _NAMES if metadata.get(name, "") not in _EMPTY), "")
        account = self.actor.account
        submission = submission_of(own_draft(account, draft))

        def effect() -> tuple[int, CreatedUpload]:
            file = add_file(
                by=account.pk, submission=submission.pk, path=path, size=size, sha256=metadata.get("sha256") or None,
                now=self.now,
            )  # fmt: skip
            return 201, CreatedUpload(file.pk, address_of(file), submission.expires)

        made = self.once(effect, request=[size, path], location=lambda answer: str(answer["upload"]))
        made["Upload-Offset"] = "0"
        if submission.expires is not None:
            made["Upload-Expires"] = http_date(submission.expires)
        return made


def address_of(file: SubmittedFile) -> str:
    """Return where the bytes of a file are sent."""
    return f"/api/v1/uploads/{file.pk}"


def _shown(row: SubmittedFile) -> DraftFile:
    refusal: dict[str, Any] | None = row.refusal
    return DraftFile(
        id=row.pk,
        path=row.path,
        bytes=row.size,
        received=row.received,
        sha256=row.sha256 or None,
        media_type=row.media_type or None,
        records=row.records,
        state=str(row.state),
        upload=address_of(row),
        refusal=None if refusal is None else msgspec.convert(refusal, RefusalShown),
    )


def _metadata(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = pair.partition(" ")
        try:
            found[name] = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, ValueError) as error:
            raise RequestRefusal(
                "request.upload_metadata", "Upload-Metadata is not pairs of a name and base64 of UTF-8.",
                actual=pair[:80], todo="Send: path <base64 of the path>.",
            ) from error  # fmt: skip
    return found
