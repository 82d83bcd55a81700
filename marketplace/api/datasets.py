"""`/datasets`: search, and one dataset. These are the hottest reads: plain values in, bytes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from django.db.models import F
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.me import AccountName
from marketplace.api.money import Money, Units, money
from marketplace.api.names import id_of
from marketplace.api.pages import PageQuery, page_of
from marketplace.api.resource import Resource
from marketplace.api.schema import operation
from marketplace.api.terms import Kind, UseName, Visibility
from marketplace.models import Listing
from marketplace.queries.actors import AccessRefusal
from marketplace.queries.catalog import listing_at
from marketplace.queries.registered import (
    LISTED_FIELDS,
    listed_version,
    listing_values,
    manifest_of,
    package_of,
    packages_of,
    parents_of,
    registered,
)
from marketplace.queries.search import meant_instead, order_of, search_listings
from provenance.content_queries import delivery_stopped
from provenance.models import ContentAct, DatasetRecord

PRICE_LIMIT = 2**63 - 1
# Columns that go into the answer as they are.
_SAME = (
    "title", "creator", "kind", "visibility", "state", "languages", "uses", "files", "bytes", "records", "version",
    "created",
)  # fmt: skip


class DatasetQuery(PageQuery):
    """Filters; each narrows the search. `max_price` in base units. `name` is `{account}/{dataset}` and stands alone.

    `sort`: the closest to the words first unless another order is asked for; without words that is the newest.
    """

    q: Annotated[str, msgspec.Meta(max_length=200)] = ""
    kind: Kind | None = None
    use: UseName | None = None
    max_price: Units | None = None
    visibility: Visibility | None = None
    language: Annotated[str, msgspec.Meta(max_length=35)] = ""
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    sort: Literal["closest", "newest", "price", "records", "title"] | None = None


class DatasetRow(msgspec.Struct):
    """A dataset in a list. `price` is null when it is not for sale; bytes and records are of the newest version."""

    id: str
    caip: str
    name: str
    title: str
    creator: str
    kind: str
    visibility: str
    state: Literal["listed", "unlisted", "delisted", "withheld"]
    languages: list[str]
    uses: list[str]
    files: int
    bytes: int
    records: int
    version: int
    price: Money | None
    created: datetime


class DatasetsFound(msgspec.Struct):
    """A page of a search. `meant`: other words for a first page without results, if they find something."""

    results: list[DatasetRow]
    next: str | None
    meant: str | None = None


class Edge(msgspec.Struct):
    """`child` owes `parent` this share (basis points) of what it earns; `license` permitted it, if one was needed."""

    child: str
    parent: str
    bps: int
    license: str | None


class Package(msgspec.Struct):
    """How the bytes of a version are stored: digest of the package document, and root CID of what is stored."""

    package: int
    kind: str
    digest: str
    root: str | None
    tx: str


class Registration(msgspec.Struct):
    """Where a dataset came into being on chain."""

    tx: str
    block: int
    block_hash: str
    time: datetime
    final: bool


class Stopped(msgspec.Struct):
    """Why the bytes are no longer delivered."""

    act: Literal["withheld", "erased"]
    reason: str


class Dataset(msgspec.Struct):
    """A dataset. `checked` is false for one that was registered on chain and never passed this register's copy check.

    `offer` is the digest of the current offer, `account` null where nobody here owns it.
    """

    id: str
    caip: str
    name: str | None
    account: AccountName | None
    title: str
    creator: str
    description: str
    kind: str
    visibility: str
    state: Literal["listed", "unlisted", "delisted", "withheld"]
    reason: str | None
    checked: bool
    languages: list[str]
    uses: list[str]
    files: int
    bytes: int
    records: int
    version: int
    price: Money | None
    offer: str | None
    owner: str
    derive_bps: int
    open_derive: bool
    splits: str | None
    manifest: str
    package: Package | None
    parents: list[Edge]
    tx: str
    registered: Registration
    delivery_stopped: Stopped | None
    created: datetime
    changed: datetime


class DatasetsResource(Resource):
    acts = {"GET": None}

    @operation("Search what is listed", answer=DatasetsFound, query=DatasetQuery)
    def get(self, request: Request) -> HttpResponse:
        query = self.query(DatasetQuery)
        if query.name:
            return self.answer(DatasetsFound(_named(query.name), None), public=True)
        found = search_listings(
            query.q,
            kind=query.kind or "",
            uses=[query.use] if query.use else [],
            max_price=None if query.max_price is None else min(int(query.max_price), PRICE_LIMIT),
            visibility=query.visibility or "",
            language=query.language,
        )
        order = order_of(query.sort or "closest", query.q)
        ranks = {name.removeprefix("-") for name in order} & {"closeness", "cost"}
        rows = found.select_related(None).values(*LISTED_FIELDS).annotate(**{name: F(name) for name in ranks})
        page = page_of(rows, order=order, query=query, request=self.http, show=_rows)
        meant = meant_instead(query.q) if query.q and not page.results and not query.cursor else None
        return self.answer(DatasetsFound(page.results, page.next, meant), public=True)


class DatasetResource(Resource):
    acts = {"GET": None}

    @operation("A dataset", answer=Dataset)
    def get(self, request: Request, dataset: str) -> HttpResponse:
        version = listed_version(dataset)
        if version is None:
            return self.answer(shown_dataset(registered(dataset), listing_values(dataset)), public=True)
        return self.encoded(_listed_bytes(dataset, version), public=True)


@lru_cache(maxsize=1024)
def _listed_bytes(dataset: str, _version: tuple[object, ...]) -> bytes:
    # Made once per version of what it is made of: the next reader costs one question to the database.
    return msgspec.json.encode(shown_dataset(registered(dataset), listing_values(dataset)))


def shown_dataset(record: DatasetRecord, listing: Mapping[str, Any] | None) -> Dataset:
    """Return a dataset as anybody sees it, with or without a listing of this register."""
    caip = record.caip
    packages = packages_of(record, record.versions)
    stopped = delivery_stopped(caip, record.versions)
    return Dataset(
        id=record.slug,
        caip=caip,
        **(_unlisted(record) if listing is None else _listed(listing)),
        owner=record.deployment.account_caip(record.owner),
        derive_bps=record.derive_bps,
        open_derive=record.open_derive,
        splits=record.splits or None,
        manifest=record.manifest,
        package=shown_package(record, packages[0]) if packages else None,
        parents=[shown_edge(record, edge) for edge in parents_of(record)],
        tx=record.tx,
        registered=Registration(record.tx, record.block_number, record.block_hash, record.registered_at, record.final),
        delivery_stopped=_stopped(stopped),
    )


def shown_package(record: DatasetRecord, package: Any) -> Package:
    """Return a package record with the root that its document names."""
    root = package_of(record, package.digest).get("root")
    return Package(package.package, package.kind, package.digest, root, package.tx)


def shown_edge(record: DatasetRecord, edge: Any) -> Edge:
    """Return an edge of the lineage by ids."""
    deployment = record.deployment
    held = id_of(deployment.license_caip(edge.license)) if edge.license else None
    return Edge(id_of(deployment.dataset_caip(edge.child)), id_of(deployment.dataset_caip(edge.parent)), edge.bps, held)


def _stopped(act: ContentAct | None) -> Stopped | None:
    return None if act is None else Stopped(str(act.act), act.reason)  # type: ignore[arg-type]


def _named(name: str) -> list[DatasetRow]:
    account, _, slug = name.partition("/")
    try:
        listing = listing_at(account, slug)
    except AccessRefusal:
        return []
    return _rows(Listing.objects.filter(pk=listing.pk).values(*LISTED_FIELDS))


def _rows(rows: Iterable[Mapping[str, Any]]) -> list[DatasetRow]:
    return [_row(row) for row in rows]


def _row(row: Mapping[str, Any]) -> DatasetRow:
    return DatasetRow(
        id=id_of(row["dataset"]),
        caip=row["dataset"],
        name=f"{row['account__slug']}/{row['slug']}",
        price=_price(row),
        **{name: row[name] for name in _SAME},
    )


def _price(row: Mapping[str, Any]) -> Money | None:
    return None if row["offer__price"] is None else money(row["offer__price"], row["offer__token"])


def _listed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in (*_SAME, "description", "changed")},
        "name": f"{row['account__slug']}/{row['slug']}",
        "account": AccountName(row["account__slug"], row["account__display_name"]),
        "reason": row["reason"] or None,
        "checked": True,
        "price": _price(row),
        "offer": row["offer_id"],
    }


def _unlisted(record: DatasetRecord) -> dict[str, Any]:
    manifest = manifest_of(record, record.manifest)
    totals = manifest.get("totals") or {}
    return {
        "title": str(manifest.get("title") or f"Dataset {record.token}"),
        **{name: str(manifest.get(name, "")) for name in ("creator", "description", "kind", "visibility")},
        **{name: int(totals.get(name, 0)) for name in ("files", "bytes", "records")},
        "languages": list(manifest.get("languages") or ()),
        "uses": [],
        "state": "unlisted",
        "reason": None,
        "checked": False,
        "name": None,
        "account": None,
        "version": record.versions,
        "price": None,
        "offer": None,
        "created": record.registered_at,
        "changed": record.registered_at,
    }
