"""Licenses as their holder sees them: the list, one license, its certificate, use, readers, refund."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from marketplace.actions import licenses
from marketplace.actions.usage import Preview, Usage, approve_report, decline_report, preview_usage, report_usage
from marketplace.core.sentences import sentences, use_in_words
from marketplace.core.terms import RateUnit, Terms, Use
from marketplace.core.terms_in_brief import terms_in_brief
from marketplace.core.voucher import Subject
from marketplace.models import LicenseRow, Listing, Order, UsageReport
from marketplace.queries.actors import Act, Actor
from marketplace.queries.deployments import token_by_caip
from marketplace.queries.metering import license_terms
from marketplace.queries.orders import (
    certificate_of,
    delivery_of,
    disclosed_license,
    disclosures_of,
    licenses_of,
    orders_of,
    own_license,
    quotes_to,
    reports_of,
    vouchers_of,
)
from marketplace.web.acting import attempt, back_to, for_account
from marketplace.web.context import actor_of
from marketplace.web.ids import license_caip, slug_of_caip
from marketplace.web.marks import marks_of
from marketplace.web.qr import qr_svg
from marketplace.web.wallets import asked_of_wallets
from provenance.core.canonical import parse_canonical

UNIT_WORDS = {
    RateUnit.RECORDS_1000: _("Records used"),
    RateUnit.TOKENS_1000000: _("Tokens used"),
    RateUnit.RUN: _("Training runs"),
    RateUnit.GIGABYTE: _("Bytes used"),
}
DAY = forms.DateInput(attrs={"type": "date"})


class UsageForm(forms.Form):
    """What was used, when, for which model."""

    version = forms.IntegerField(label=_("Version"), min_value=1)
    first = forms.DateField(label=_("From"), widget=DAY)
    last = forms.DateField(label=_("Until"), widget=DAY)
    use = forms.ChoiceField(label=_("What for"))
    quantity = forms.IntegerField(label=_("How much"), min_value=0, max_value=2**63 - 1)
    model = forms.CharField(
        label=_("Model"), max_length=200, help_text=_("Its name or id. Only the owner of the data reads it.")
    )
    run = forms.CharField(label=_("Training run"), max_length=200)
    corrects = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, terms: Terms, **options: Any) -> None:
        super().__init__(*args, **options)
        use, quantity = self.fields["use"], self.fields["quantity"]
        assert isinstance(use, forms.ChoiceField)
        use.choices = [(each.value, use_in_words(each, translation).capitalize()) for each in sorted(terms.uses)]
        quantity.label = UNIT_WORDS[terms.rate.unit] if terms.rate else _("How much (records)")

    def usage(self) -> Usage:
        """Return the report as the action takes it."""
        data = self.cleaned_data
        return Usage(
            version=data["version"], first=data["first"], last=data["last"], use=Use(data["use"]),
            quantity=data["quantity"], model=Subject(id=data["model"]), run=Subject(id=data["run"]),
            corrects=data["corrects"],
        )  # fmt: skip


class ReaderForm(forms.Form):
    """Who may see a license, and for how long."""

    reader = forms.CharField(
        label=_("Who may see it"), max_length=100, help_text=_("A person or an office; the page shows this name.")
    )
    days = forms.IntegerField(label=_("For how many days"), min_value=1, max_value=licenses.DISCLOSURE_DAYS, initial=30)


def list_licenses(request: HttpRequest) -> HttpResponse:
    """The account's licenses and orders; for a visitor, what a license is."""
    actor = actor_of(request)
    if actor is None:
        return render(request, "web/licenses.html", {})
    found = list(licenses_of(actor.account)[:200])
    listings = {row.dataset: row for row in Listing.objects.filter(pk__in=[each.dataset for each in found])}
    marks = marks_of(found)
    settled = (Order.State.FINAL, Order.State.REFUNDED, Order.State.DECLINED)
    return render(
        request,
        "web/licenses.html",
        {
            "rows": [
                (row, slug_of_caip(row.pk), listings.get(row.dataset), delivery_of(row), marks[row.pk]) for row in found
            ],
            "orders": orders_of(actor.account).exclude(state__in=settled)[:20],
            "quotes": quotes_to(actor.account, now=timezone.now()),
        },
    )


@for_account
def held(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """One license: what it permits, its bundle, its use."""
    row = own_license(actor.account, license_caip(slug))
    terms = license_terms(row)
    form = UsageForm(request.POST or None, terms=terms, initial=_usage_initial(request, row))
    cost: Preview | None = None
    if request.method == "POST" and form.is_valid():
        used = form.usage()
        if "report" in request.POST:
            key = request.POST.get("report_key", "")[:255]
            sent = attempt(
                request,
                lambda: report_usage(by=actor, license_id=row.pk, key=key, used=used, now=timezone.now()),
                done=_("Reported. The table below says what became of it, by the terms you bought under."),
            )
            if sent:
                return redirect("license-held", slug)
        else:
            costs: list[Preview] = []
            attempt(
                request, lambda: costs.append(preview_usage(by=actor, license_id=row.pk, used=used, now=timezone.now()))
            )
            cost = costs[0] if costs else None
    return render(
        request,
        "web/license_held.html",
        {
            **_shown(actor, row, terms),
            "form": form,
            "cost": cost,
            "report_key": request.POST.get("report_key") or uuid4(),
        },
    )


def _shown(actor: Actor, row: LicenseRow, terms: Terms) -> dict[str, Any]:
    now = timezone.now()
    token = token_by_caip(row.token)
    return {
        "license": row,
        "id": slug_of_caip(row.pk),
        "dataset_id": slug_of_caip(row.dataset),
        "listing": Listing.objects.filter(pk=row.dataset).first(),
        "terms": terms,
        "brief": terms_in_brief(terms, translation),
        "sentences": sentences(terms, token, translation),
        "delivery": delivery_of(row),
        "certificate": certificate_of(row),
        "reports": reports_of(actor.account, row.pk)[:100],
        "voucher": vouchers_of(row.pk).first(),
        "refundable": row.state == "active" and row.price > 0 and row.hold_until > now and row.order is not None,
        "refund_wanted": row.order.refund_wanted if row.order else None,
        "readers": disclosures_of(row.pk, now=now),
        "reader_form": ReaderForm(),
        "asked": asked_of_wallets(actor.account, subject=row.pk),
        "may_buy": actor.may(Act.BUY),
        "may_use": actor.may(Act.USE),
    }


@for_account
def certificate(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """The certificate as its holder prints it."""
    row = own_license(actor.account, license_caip(slug))
    return _certificate(request, row, holder=actor.account.display_name, reader="")


def disclosed(request: HttpRequest, token: str) -> HttpResponse:
    """The certificate as its holder shows it to a named reader."""
    row, disclosure = disclosed_license(token, now=timezone.now())
    holder = row.account.display_name if row.account else ""
    response = _certificate(request, row, holder=holder, reader=disclosure.reader)
    response["X-Robots-Tag"] = "noindex"
    response["Referrer-Policy"] = "no-referrer"
    return response


def _certificate(request: HttpRequest, row: LicenseRow, *, holder: str, reader: str) -> HttpResponse:
    document = certificate_of(row)
    if document is None:
        messages.info(request, _("The certificate is written when the purchase can no longer be undone, in a moment."))
        return redirect("license", slug_of_caip(row.pk))
    if "json" in request.GET:
        return HttpResponse(document.content, content_type="application/json")
    content = parse_canonical(document.content)
    address = settings.CADASTRE_PUBLIC_URL + reverse("license", args=[slug_of_caip(row.pk)])
    listing = Listing.objects.filter(pk=row.dataset).first()
    return render(
        request,
        "web/certificate.html",
        {
            "license": row, "id": slug_of_caip(row.pk), "certificate": content, "digest": document.pk, "holder": holder,
            "reader": reader, "listing": listing, "qr": qr_svg(address), "address": address,
            "sentences": sentences(license_terms(row), token_by_caip(row.token), translation),
        },
    )  # fmt: skip


@for_account
@require_POST
def refund(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """Ask for the price back while it is held."""
    caip = license_caip(slug)
    attempt(
        request,
        lambda: licenses.request_refund(by=actor, license_id=caip, now=timezone.now()),
        done=_("Asked. Without a delivered key the price comes back by itself; else the owner decides."),
    )
    return redirect("license-held", slug)


@for_account
@require_POST
def disclose(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """Make a link that shows the license to one named reader."""
    form = ReaderForm(request.POST)
    caip = license_caip(slug)
    if form.is_valid():
        made: list[str] = []

        def make() -> None:
            _row, token = licenses.disclose_license(by=actor, license_id=caip, now=timezone.now(), **form.cleaned_data)
            made.append(settings.CADASTRE_PUBLIC_URL + reverse("disclosed", args=[token]))

        if attempt(request, make):
            messages.success(
                request,
                _("Send this link to %(reader)s; it is shown this once: %(link)s")
                % {"reader": form.cleaned_data["reader"], "link": made[0]},
            )
    else:
        messages.error(request, form.errors.as_text())
    return redirect("license-held", slug)


@for_account
@require_POST
def revoke_reader(request: HttpRequest, actor: Actor, slug: str, disclosure: UUID) -> HttpResponse:
    """Make a link worthless."""
    row = own_license(actor.account, license_caip(slug))
    found = get_object_or_404(disclosures_of(row.pk, now=timezone.now()), pk=disclosure)
    attempt(
        request,
        lambda: licenses.revoke_disclosure(by=actor, disclosure=found, now=timezone.now()),
        done=_("The link leads nowhere now."),
    )
    return redirect("license-held", slug)


@for_account
@require_POST
def judge_report(request: HttpRequest, actor: Actor, digest: str) -> HttpResponse:
    """Approve or decline a report of another member, or take back one's own."""
    if "approve" in request.POST:
        attempt(
            request,
            lambda: approve_report(by=actor, report=digest, now=timezone.now()),
            done=_("Approved; the report has entered."),
        )
    else:
        cause = request.POST.get("cause", "")
        attempt(request, lambda: decline_report(by=actor, report=digest, cause=cause), done=_("Declined."))
    return back_to(request, "licenses")


@for_account
@require_POST
def add_recipient(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """Have the key encrypted for another of the holder's own keys."""
    caip, recipient = license_caip(slug), request.POST.get("recipient", "").strip()
    attempt(
        request,
        lambda: licenses.add_recipient(by=actor, license_id=caip, recipient=recipient, now=timezone.now()),
        done=_("Asked. The next download of the bundle opens with this key, too."),
    )
    return redirect("license-held", slug)


def _usage_initial(request: HttpRequest, row: LicenseRow) -> dict[str, Any]:
    today = timezone.now().date()
    first = max(row.start.date(), date(today.year, today.month, 1))
    corrects = request.GET.get("corrects", "")
    if corrects and not reports_of_license(row, corrects):
        raise Http404
    return {"version": row.version or 1, "first": first, "last": today, "corrects": corrects}


def reports_of_license(row: LicenseRow, digest: str) -> bool:
    """Say whether a report belongs to the license, counts, and was not corrected before."""
    entered = {"state": UsageReport.State.ENTERED, "corrected": False}
    return row.account is not None and reports_of(row.account, row.pk).filter(pk=digest, **entered).exists()
