"""`/documents/{sha256}`: the exact bytes that a digest on chain or in the log stands for."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.resource import IMMUTABLE, JSON, Resource
from marketplace.api.schema import Raw, operation
from marketplace.queries.actors import AccessRefusal
from provenance.models import Document


class DocumentResource(Resource):
    acts = {"GET": None}

    @operation("A public document, byte for byte", answer=Raw(JSON))
    def get(self, request: Request, sha256: str) -> HttpResponse:
        found = Document.objects.filter(pk=sha256, public=True).first()
        if found is None:
            raise AccessRefusal("document.not_found", "There is no such public document here.", actual=sha256)
        headers = {"Cache-Control": f"public, {IMMUTABLE}", "ETag": f'"{sha256}"'}
        return HttpResponse(found.content, content_type=JSON, headers=headers)
