"""`GET /licenses/{id}/bundle`: the license with all its proofs and its key; from then on it needs nobody."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.resource import Resource
from marketplace.api.schema import WAITS, Raw, operation
from marketplace.api.trails import BUNDLE
from marketplace.queries.actors import Act


class LicenseBundleResource(Resource):
    acts = {"GET": Act.READ}

    @operation("The license bundle, once the key is granted", answer=Raw(BUNDLE), parameters=(WAITS,), refuses=(409,))
    def get(self, request: Request, license_id: str) -> HttpResponse:
        return HttpResponse(status=500)
