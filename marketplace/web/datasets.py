"""The dataset's page and its tabs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from marketplace.core.sentences import all_of, sentences
from marketplace.core.terms_in_brief import terms_in_brief
from marketplace.models import LicenseRow, Listing, OfferRow
from marketplace.queries.actors import AccessRefusal
from marketplace.queries.catalog import listing_at, offer_terms, public_offers
from marketplace.queries.deployments import token_by_caip
from marketplace.queries.incomes import SharedIncome, incomes_of
from marketplace.queries.registered import document, manifest_of, package_of, trail_subjects
from marketplace.templatetags.cadastre import amount_in_words
from marketplace.web.checking import Checked, check_dataset
from marketplace.web.context import actor_of
from marketplace.web.family import Family, Payee, family_of, paid_so_far, payees_of, shared_out
from marketplace.web.ids import dataset_caip, slug_of_caip
from marketplace.web.negotiation import wants_json
from marketplace.web.samples import sample_of
from marketplace.web.structured_data import as_script, croissant
from marketplace.web.timeline import BASES, Happening, happenings, license_entries, settlement_entries, trail_entries
from provenance.content_queries import (
    dataset_record,
    delivery_stopped,
    latest_package,
    preview_image,
    public_previews,
)
from provenance.models import AnchorRecord, DatasetRecord, PinRow, VersionRecord

TABS = ("preview", "files", "license", "provenance", "versions", "activity")
FILES_A_PAGE = 100
IMAGES_SHOWN = 24
SAMPLES_SHOWN = 6


def dataset(request: HttpRequest, slug: str, tab: str = "preview") -> HttpResponse:
    """One tab of a dataset's page; JSON for those who ask for it."""
    record = dataset_record(dataset_caip(slug))
    if record is None or tab not in TABS:
        raise Http404
    if wants_json(request):
        return redirect(f"/api/v1/datasets/{slug}")
    context = _head(request, record, None)
    context |= {"tab": tab, "tabs": TABS} | BUILDERS[tab](request, context)
    return _answer(request, f"web/dataset_{tab}.html", context)


def version(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One version, at its permanent address."""
    record = dataset_record(dataset_caip(slug))
    if record is None or not record.version_records.filter(version=number).exists():
        raise Http404
    if wants_json(request):
        return redirect(f"/api/v1/datasets/{slug}/versions/{number}")
    context = _head(request, record, number)
    context |= {"tab": "files", "tabs": TABS} | _files(request, context)
    return _answer(request, "web/dataset_files.html", context)


def named(request: HttpRequest, account: str, name: str) -> HttpResponse:
    """`/{account}/{dataset}` leads to the permanent address, also after a renaming."""
    try:
        found = listing_at(account, name)
    except AccessRefusal as refusal:
        raise Http404 from refusal
    return redirect("dataset", slug_of_caip(found.dataset))


def preview(request: HttpRequest, file: Any) -> HttpResponse:
    """A thumbnail that the creator chose to show, made by us: never a byte of an upload as it came."""
    actor = actor_of(request)
    image = preview_image(file, viewer=actor.account.pk if actor else None)
    if image is None:
        raise Http404
    return HttpResponse(image, content_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


def _answer(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    response = render(request, template, context)
    slug, shown = context["id"], context["shown"]
    links = [
        f'</api/v1/datasets/{slug}>; rel="alternate"; type="application/json"',
        f'</sha256/{shown.manifest}>; rel="describedby"; type="application/json"',
    ]
    if context["offer"] is not None:
        links.append(f'</sha256/{context["offer"].terms_id}>; rel="license"; type="application/json"')
        links.append(f'</d/{slug}/license.xml>; rel="license"; type="application/rsl+xml"')
    response["Link"] = ", ".join(links)
    return response


def _json_ld(record: DatasetRecord, context: dict[str, Any]) -> str:
    manifest, offer = context["manifest"], context["offer"]
    if not manifest:
        return ""
    return as_script(
        croissant(
            slug=record.slug,
            manifest=manifest,
            manifest_digest=context["shown"].manifest,
            version=context["shown"].version,
            published=f"{context['shown'].published_at:%Y-%m-%d}",
            root=str(context["package_document"].get("root", "")),
            listing=context["listing"],
            offer=offer,
            terms=context["terms"],
            token=token_by_caip(offer.token) if offer else None,
            parents=[parent.id for parent in context["family"].parents],
        )
    )


def _head(request: HttpRequest, record: DatasetRecord, number: int | None) -> dict[str, Any]:
    caip = record.caip
    listing = Listing.objects.select_related("account", "offer").filter(pk=caip).first()
    shown = _version(record, number)
    manifest = manifest_of(record, shown.manifest)
    offers = public_offers(caip, now=timezone.now()) if listing else []
    offer = offers[0] if offers else None
    terms = offer_terms(offer) if offer else None
    package = latest_package(caip, shown.version)
    package_document = package_of(record, package.digest) if package else {}
    context = {
        "record": record,
        "caip": caip,
        "id": record.slug,
        "listing": listing,
        "shown": shown,
        "manifest": manifest,
        "title": manifest.get("title") or f"Dataset {record.token}",
        "offer": offer,
        "offers": offers,
        "terms": terms,
        "sentences": sentences(terms, token_by_caip(offer.token), translation) if terms and offer else (),
        "brief": terms_in_brief(terms, translation) if terms else (),
        "stopped": delivery_stopped(caip, shown.version),
        "package": package,
        "package_document": package_document,
        "copies": _copies(str(package_document.get("root", ""))),
        "anchor": AnchorRecord.objects.filter(deployment=record.deployment, final=True).order_by("-size").first(),
        "confirmations": max(0, record.deployment.finalized - record.block_number),
        "family": family_of(record),
        "mine": _is_mine(request, listing),
        "coming": offer is None and _is_being_offered(caip),
        "bases": BASES,
        "site": settings.CADASTRE_PUBLIC_URL,
    }
    return {**context, "checked": _checked(context), "json_ld": _json_ld(record, context)}


def _checked(context: dict[str, Any]) -> Checked | None:
    return check_dataset(
        subjects=trail_subjects(context["record"]),
        manifest=context["shown"].manifest if context["manifest"] else "",
        root="" if context["stopped"] else str(context["package_document"].get("root", "")),
        anchor=context["anchor"],
        now=timezone.now(),
    )


def _version(record: DatasetRecord, number: int | None) -> VersionRecord:
    versions = record.version_records.order_by("-version")
    found = versions.first() if number is None else versions.filter(version=number).first()
    if found is None:
        raise Http404
    return found


def _copies(root: str) -> dict[str, int] | None:
    rows = list(PinRow.objects.filter(cid=root)) if root else []
    if not rows:
        return None
    return {"seen": sum(1 for row in rows if not row.cause), "wanted": len(rows)}


def _is_mine(request: HttpRequest, listing: Listing | None) -> bool:
    actor = actor_of(request)
    return bool(actor and listing and listing.account_id == actor.account.pk)


def _is_being_offered(dataset: str) -> bool:
    """Say whether the owner's signature under an offer is on its way: between registration and sale."""
    return OfferRow.objects.filter(dataset=dataset, state=OfferRow.State.WANTED, public=True).exists()


def _preview(_request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    previews = public_previews(context["caip"], context["shown"].version)
    images = [each for each in previews if each.image][:IMAGES_SHOWN]
    samples = [sample_of(each) for each in previews if not each.image][:SAMPLES_SHOWN]
    return {"images": images, "samples": samples, "shown_files": len(images) + len(samples)}


def _files(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    manifest = context["manifest"]
    records = list(manifest.get("files") or [])
    for digest in manifest.get("file_lists") or []:
        records.extend((document(digest) or {}).get("records", []))
    return {"files": Paginator(records, FILES_A_PAGE).get_page(request.GET.get("page"))}


def _license(_request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    return {"others": [(offer, offer_terms(offer)) for offer in context["offers"] if offer != context["offer"]]}


def _provenance(_request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    record, family = context["record"], context["family"]
    assert isinstance(family, Family)
    licenses = (
        LicenseRow.objects.filter(dataset=context["caip"], final=True)
        .order_by("-start")
        .values_list("pk", flat=True)[:50]
    )
    manifests = record.version_records.values_list("manifest", flat=True)
    entries = [*trail_entries(context["caip"], manifests), *license_entries(licenses)]
    payees, incomes = payees_of(record, family), incomes_of(record)
    shared = _shared_out(incomes or [], payees)
    return {
        "happenings": sorted([*happenings(entries), *shared], key=lambda each: each.index),
        "payees": [(payee, paid_so_far(payee, incomes or [])) for payee in payees],
        "tells_paid": incomes is not None,
    }


def _shared_out(incomes: Iterable[SharedIncome], payees: list[Payee]) -> list[Happening]:
    """Say of each settlement what it gave to whom of this dataset's income."""
    return [replace(each, sentence=_split_sentence(income, payees)) for income in incomes
            for each in happenings(settlement_entries(income.settlement))]  # fmt: skip


def _split_sentence(income: SharedIncome, payees: list[Payee]) -> str:
    shares = [
        _("%(amount)s to %(name)s") % {"amount": amount_in_words(amount), "name": name}
        for name, amount in shared_out(income, payees)
    ]
    return _("What it had earned was shared out: %(shares)s.") % {"shares": all_of(shares, translation)}


def _versions(_request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    rows = context["record"].version_records.order_by("-version")
    packages = context["record"].package_records.order_by("-version", "-package")
    return {"versions": [(row, [package for package in packages if package.version == row.version]) for row in rows]}


def _activity(_request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    rows = LicenseRow.objects.filter(dataset=context["caip"]).order_by("-start")
    sales = list(rows[:50])
    for sale in sales:
        sale.short_id = slug_of_caip(sale.pk)  # type: ignore[attr-defined]  # for the template
    return {"sales": sales, "sold": rows.count()}


BUILDERS = {
    "preview": _preview,
    "files": _files,
    "license": _license,
    "provenance": _provenance,
    "versions": _versions,
    "activity": _activity,
}
