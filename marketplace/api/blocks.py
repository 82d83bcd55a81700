"""Single blocks by CID: of licensed packages for their licensees, of open data for anybody.

Only what belongs to those packages is served; every other CID is 404, whether it is stored here or not.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.actions.licenses import covered_packages
from marketplace.api.rates import BLOCKS
from marketplace.api.resource import IMMUTABLE, Resource
from marketplace.api.schema import Raw, operation
from marketplace.models import LicenseRow
from marketplace.queries.actors import AccessRefusal, Act
from marketplace.queries.orders import own_license
from marketplace.queries.registered import document, is_open_here, registered
from provenance import bootstrap
from provenance.content_queries import delivery_stopped
from provenance.core.cid import Cid, CidRefusal
from provenance.core.refusal import Refusal
from provenance.models import PackageRecord
from provenance.package_blocks import holds
from provenance.ports import ContentStore, StoreRefusal

BLOCK = "application/vnd.ipld.raw"


class DeliveryRefusal(Refusal):
    """Bytes are not delivered any more."""


class LicensedBlockResource(Resource):
    acts = {"GET": Act.READ}
    rate = BLOCKS

    @operation("One block of the licensed packages", answer=Raw(BLOCK), refuses=(410, 451))
    def get(self, request: Request, license_id: str, cid: str) -> HttpResponse:
        row = own_license(self.actor.account, license_id)
        # Withholding and a refund end delivery; the end of the term ends future use, and bytes paid for stay had.
        if row.state in {LicenseRow.State.REFUNDED, LicenseRow.State.REVOKED}:
            raise DeliveryRefusal("license.state", "The license has ended.", actual=str(row.state))
        wanted = _parsed(cid)
        for package in _packages(covered_packages(row)):
            if _holds(package, wanted):
                _check_delivery(row.dataset, package.version)
                return _block(wanted, f"private, {IMMUTABLE}")
        raise _unknown(cid)


class OpenBlockResource(Resource):
    acts = {"GET": None}
    rate = BLOCKS

    @operation("One block of open data", answer=Raw(BLOCK), refuses=(410, 451))
    def get(self, request: Request, dataset: str, cid: str) -> HttpResponse:
        record = registered(dataset)
        wanted = _parsed(cid)
        for package in record.package_records.filter(kind="open").order_by("-version", "-package"):
            if is_open_here(record, package) and _holds(package, wanted):
                _check_delivery(dataset, package.version)
                return _block(wanted, f"public, {IMMUTABLE}")
        raise _unknown(cid)


def _packages(digests: Iterable[str]) -> list[PackageRecord]:
    return list(PackageRecord.objects.filter(digest__in=list(digests)).order_by("-version", "-package"))


def _holds(package: PackageRecord, cid: Cid) -> bool:
    found = document(package.digest)
    return found is not None and holds(Cid.parse(str(found["root"])), cid, bootstrap.content_store())


def _check_delivery(dataset: str, version: int) -> None:
    stopped = delivery_stopped(dataset, version)
    if stopped is not None:
        raise DeliveryRefusal(
            f"content.{stopped.act}", f"These bytes are {stopped.act}.", actual=stopped.reason,
            todo="See the entry in the dataset's trail.",
        )  # fmt: skip


def _block(cid: Cid, cache: str) -> HttpResponse:
    headers = {"Cache-Control": cache, "ETag": f'"{cid}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(_stored(cid), content_type=BLOCK, headers=headers)


def _stored(cid: Cid) -> bytes:
    stores: list[ContentStore] = list(bootstrap.content_stores().values())
    for store in stores[:-1]:
        try:
            return store.get_block(cid)
        except StoreRefusal:
            # A broken copy is mended by the audit; another store may have a good one.
            continue
    return stores[-1].get_block(cid)


def _parsed(cid: str) -> Cid:
    try:
        return Cid.parse(cid)
    except CidRefusal as refusal:
        raise _unknown(cid) from refusal


def _unknown(cid: str) -> AccessRefusal:
    return AccessRefusal("block.not_found", "No such block belongs to this data.", actual=cid[:100])
