"""`GET /licenses/{id}/bundle`: the license with all its proofs and its key; with the data it needs nobody any more."""

from __future__ import annotations

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from marketplace.api.names import id_of
from marketplace.api.orders import Recipient
from marketplace.api.reading import Query
from marketplace.api.resource import Resource
from marketplace.api.schema import WAITS, Raw, operation
from marketplace.api.trails import BUNDLE
from marketplace.models import LicenseRow
from marketplace.queries.actors import Act
from marketplace.queries.orders import own_license
from provenance.bundles import BundleRefusal, license_bundle
from provenance.models import Document, GrantRow, GrantState, PackageRecord


class BundleQuery(Query):
    """`recipient`: whose key it is to hold; without it the one named in the order."""

    recipient: Recipient | msgspec.UnsetType = msgspec.UNSET


class LicenseBundleResource(Resource):
    acts = {"GET": Act.READ}

    @operation(
        "The license bundle, once the key is granted", answer=Raw(BUNDLE), query=BundleQuery, parameters=(WAITS,),
        refuses=(409, 422),
    )  # fmt: skip
    def get(self, request: Request, license_id: str) -> HttpResponse:
        recipient = self.query(BundleQuery).recipient
        row = own_license(self.actor.account, license_id)
        wanted = "" if recipient is msgspec.UNSET else recipient

        def look() -> bytes | BundleRefusal:
            try:
                return _made(own_license(self.actor.account, row.pk), wanted)
            except BundleRefusal as refusal:
                return refusal

        seen = self.waited(look, lambda each: not isinstance(each, BundleRefusal) or each.code != "bundle.waiting")
        if isinstance(seen, BundleRefusal):
            raise seen
        headers = {
            **self.applied(),
            "Cache-Control": "private, no-cache",
            "Content-Disposition": f'attachment; filename="license-{id_of(row.pk)}.json"',
        }
        return HttpResponse(seen, content_type=BUNDLE, headers=headers)


def _made(row: LicenseRow, recipient: str) -> bytes:
    if not row.final or not row.certificate:
        raise _waiting("The purchase is not final on chain yet.")
    return license_bundle(
        license_id=row.pk, dataset=row.dataset, certificate=row.certificate, grant=_grant(row, recipient)
    )


def _grant(row: LicenseRow, recipient: str) -> str | None:
    """Return the digest of the grant of the certified version's newest package; None for open data, which has none."""
    package = PackageRecord.objects.filter(digest=_certified(row)).first()
    if package is None or package.kind == "open":
        return None
    wanted = recipient or (row.order.recipient if row.order is not None else "")
    siblings = PackageRecord.objects.filter(
        deployment=package.deployment, token=package.token, version=package.version
    ).values("digest")
    grants = GrantRow.objects.filter(license=row.pk, package__in=siblings)
    if wanted:
        grants = grants.filter(recipient=wanted)
    found = list(grants.order_by("-created"))
    granted = next((grant for grant in found if grant.state == GrantState.GRANTED), None)
    if granted is not None:
        return granted.document
    refused = next((grant for grant in found if grant.state == GrantState.REFUSED), None)
    if refused is not None:
        raise BundleRefusal(
            "bundle.key_refused", "The key was not granted.", actual=refused.cause,
            todo="The license is valid. Ask for another recipient, or write to the register.",
        )  # fmt: skip
    if not found and (recipient or row.order is None):
        # A license that a wallet bought directly on chain is nobody's order: nobody has said yet who opens its data.
        raise BundleRefusal(
            "bundle.no_recipient", "No key was asked for under this recipient.", actual=wanted or "none named yet",
            todo="Ask for one: POST /licenses/{id}/grants, `cadastre grant`, or the license's page.",
        )  # fmt: skip
    raise _waiting("The key is being granted.")


def _certified(row: LicenseRow) -> str:
    document = Document.objects.get(pk=row.certificate)
    return str(msgspec.json.decode(document.content)["package"])


def _waiting(message: str) -> BundleRefusal:
    return BundleRefusal("bundle.waiting", message, todo="Paid, and valid already. Ask again in a second.")
