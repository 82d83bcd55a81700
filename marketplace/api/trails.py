"""`/datasets/{id}/trail`: everything the log says about a dataset; as a bundle, with every proof."""

from __future__ import annotations

from typing import Literal

from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.entries import Entry, shown_entries
from marketplace.api.pages import Page, PageQuery, page_of
from marketplace.api.resource import Resource
from marketplace.api.schema import Raw, operation
from marketplace.queries.registered import registered, trail_subjects
from provenance.bundles import trail_bundle
from provenance.models import LogEntry

BUNDLE = "application/vnd.cadastre.bundle+json"


class TrailQuery(PageQuery):
    """`format=bundle`: one file that anybody can verify offline."""

    format: Literal["timeline", "bundle"] = "timeline"


class TrailResource(Resource):
    acts = {"GET": None}

    @operation("A dataset's timeline, or its trail bundle", answer=(Page[Entry], Raw(BUNDLE)), query=TrailQuery)
    def get(self, request: Request, dataset: str) -> HttpResponse:
        query = self.query(TrailQuery)
        record = registered(dataset)
        if query.format == "bundle":
            data = trail_bundle(dataset)
            headers = {"Cache-Control": "no-cache", "Content-Disposition": f'attachment; filename="{record.slug}.json"'}
            return HttpResponse(data, content_type=BUNDLE, headers=headers)
        rows = LogEntry.objects.filter(subject__in=trail_subjects(record))
        page = page_of(rows, order=("index",), query=query, request=self.http, show=shown_entries)
        return self.answer(page, public=True)
