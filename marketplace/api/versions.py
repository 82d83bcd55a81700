"""`/datasets/{id}/versions/{n}` and `/datasets/{id}/files`: what a version is, and what it holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.datasets import Package, shown_package
from marketplace.api.pages import PageQuery, page_of_list
from marketplace.api.resource import Resource
from marketplace.api.schema import operation
from marketplace.queries.actors import AccessRefusal
from marketplace.queries.registered import document, manifest_of, packages_of, registered, version_of
from provenance.content_queries import delivery_stopped
from provenance.models import DatasetRecord, VersionRecord


class Version(msgspec.Struct):
    """A version *is* its manifest. `document` is null where this register does not have it (or erased it)."""

    dataset: str
    version: int
    manifest: str
    document: dict[str, Any] | None
    packages: list[Package]
    tx: str
    block: int
    block_hash: str
    published: datetime


class PublicFile(msgspec.Struct):
    """A file of open data, as the manifest lists it."""

    path: str
    bytes: int
    sha256: str
    media_type: str
    records: int
    salt: str


class FilePage(msgspec.Struct):
    """Files of the newest version. The names of locked data are private: then only `totals` say something."""

    results: list[PublicFile]
    next: str | None
    visibility: str
    totals: dict[str, int]


class VersionResource(Resource):
    acts = {"GET": None}

    @operation("A version", answer=Version)
    def get(self, request: Request, dataset: str, version: int) -> HttpResponse:
        record = registered(dataset)
        found = version_of(record, version)
        if found is None:
            raise AccessRefusal("version.not_found", "There is no such version.", limit=record.versions, actual=version)
        return self.answer(_shown(record, found), public=True)


class FilesResource(Resource):
    acts = {"GET": None}

    @operation("The files of the newest version", answer=FilePage, query=PageQuery)
    def get(self, request: Request, dataset: str) -> HttpResponse:
        record = registered(dataset)
        stopped = delivery_stopped(dataset, record.versions)
        manifest = manifest_of(record, record.manifest) if stopped is None else {}
        page = page_of_list(_files(manifest), query=self.query(PageQuery), request=self.http)
        answer = FilePage(
            page.results, page.next, str(manifest.get("visibility", "")), dict(manifest.get("totals") or {})
        )
        return self.answer(answer, public=True)


def _shown(record: DatasetRecord, found: VersionRecord) -> Version:
    return Version(
        dataset=record.slug,
        version=found.version,
        manifest=found.manifest,
        document=document(found.manifest),
        packages=[shown_package(record, package) for package in packages_of(record, found.version)],
        tx=found.tx,
        block=found.block_number,
        block_hash=found.block_hash,
        published=found.published_at,
    )


def _files(manifest: dict[str, Any]) -> list[PublicFile]:
    records = list(manifest.get("files") or ())
    for digest in manifest.get("file_lists") or ():
        records += (document(digest) or {}).get("records", ())
    return [msgspec.convert(record, PublicFile) for record in records]
