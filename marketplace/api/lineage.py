"""`/datasets/{id}/lineage`: what it was built from, all the way up, and what was built from it."""

from __future__ import annotations

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.datasets import Edge, shown_edge
from marketplace.api.names import id_of
from marketplace.api.resource import Resource
from marketplace.api.schema import operation
from marketplace.queries.registered import registered, relatives_of

CHILDREN_SHOWN = 500


class LineageNode(msgspec.Struct):
    """A dataset of the graph; `title` is null for one that is not listed here, `manifest` is its newest version."""

    id: str
    caip: str
    title: str | None
    manifest: str | None


class Lineage(msgspec.Struct):
    """`ancestors`: every distinct edge above, nearest first; `children`: edges of datasets built directly from it."""

    dataset: str
    nodes: list[LineageNode]
    ancestors: list[Edge]
    children: list[Edge]


class LineageResource(Resource):
    acts = {"GET": None}

    @operation("Where it comes from, and what became of it", answer=Lineage)
    def get(self, request: Request, dataset: str) -> HttpResponse:
        record = registered(dataset)
        found = relatives_of(record, children=CHILDREN_SHOWN)
        numbers = {record.token}
        for edge in (*found.ancestors, *found.children):
            numbers |= {edge.child, edge.parent}
        names = sorted(record.deployment.dataset_caip(number) for number in numbers)
        answer = Lineage(
            dataset=record.slug,
            nodes=[LineageNode(id_of(name), name, found.titles.get(name), found.manifests.get(name)) for name in names],
            ancestors=[shown_edge(record, edge) for edge in found.ancestors],
            children=[shown_edge(record, edge) for edge in found.children],
        )
        return self.answer(answer, public=True)
