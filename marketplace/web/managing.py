"""What an owner does with a published dataset: price and terms, sales, shares, private offers, names, leaving."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from marketplace.actions import licenses, listings, offers, quotes, shares, takedowns
from marketplace.actions.letters import count_letter
from marketplace.core.adapting import adapted
from marketplace.core.money import MoneyRefusal
from marketplace.core.presets import PRESETS
from marketplace.core.sentences import sentences
from marketplace.core.terms import Rate, RateUnit, Terms, Use
from marketplace.core.terms_in_brief import terms_in_brief
from marketplace.models import Listing
from marketplace.queries.actors import Act, Actor
from marketplace.queries.catalog import offer_terms, offers_of, own_listing, private_quotes_of, refunds_wanted
from marketplace.queries.deployments import payment_token
from marketplace.queries.drafts import contributors_of, shares_in_force
from marketplace.web.acting import attempt, for_account
from marketplace.web.fields import AmountField
from marketplace.web.ids import dataset_caip, license_caip, slug_of_caip
from marketplace.web.letters import send_share_letter
from marketplace.web.publishing_forms import UNITS, ContributorForm
from marketplace.web.wallets import asked_of_wallets
from provenance.content_queries import dataset_record, delivery_stopped
from provenance.core.refusal import Refusal
from provenance.models import DatasetRecord

REASONS = [
    (listings.DelistReason.OWNER, _("I do not want to sell it any more")),
    (listings.DelistReason.QUALITY, _("Something is wrong with it")),
    (listings.DelistReason.REPLACED, _("Another dataset replaces it")),
    (listings.DelistReason.EXCLUSIVE, _("Somebody has an exclusive license")),
    (listings.DelistReason.RIGHTS, _("The rights are in question")),
]
STOP_REASONS = [
    ("owner-request", _("I want it to end")),
    ("personal-data", _("It holds personal data")),
    ("rights-claim", _("Somebody claims rights in it")),
]


class OfferForm(forms.Form):
    """Ready-made terms, a price, and what use costs; the share of derivatives is the registry's."""

    preset = forms.ChoiceField(label=_("What others may do"))
    price = AmountField(label=_("Price of a license"), help_text=_("0 gives licenses away."))
    rate_unit = forms.ChoiceField(label=_("Use costs"), choices=UNITS, required=False)
    rate_price = AmountField(label=_("that much"), required=False)
    allowance = forms.IntegerField(
        label=_("after this many units that the price includes"), min_value=0, required=False
    )

    terms: Terms

    def __init__(self, *args: Any, derive_bps: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.derive_bps = derive_bps
        fitting = [each for each in PRESETS.values() if Use.DERIVE in each.terms.uses or derive_bps == 0]
        field = self.fields["preset"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(each.key, gettext(each.name)) for each in fitting]

    def clean(self) -> dict[str, Any]:
        """Build the terms; what the core refuses stands at the form."""
        data = super().clean() or {}
        if self.errors:
            return data
        try:
            rate = None
            if data["rate_unit"]:
                rate = Rate(
                    unit=RateUnit(data["rate_unit"]), price=data["rate_price"] or 0, allowance=data["allowance"] or 0
                )
            derives = Use.DERIVE in PRESETS[data["preset"]].terms.uses
            self.terms = adapted(data["preset"], derive_bps=self.derive_bps if derives else None, rate=rate)
        except Refusal as refusal:
            raise forms.ValidationError(str(refusal)) from refusal
        return data


class PrivateOfferForm(OfferForm):
    """The same for one buyer."""

    buyer = forms.SlugField(label=_("Account of the buyer"), max_length=40, help_text=_("Its name in addresses."))
    days = forms.IntegerField(
        label=_("Holds for how many days"), min_value=1, max_value=365, initial=quotes.PRIVATE_DAYS
    )
    field_order = ("buyer", "preset", "price", "days", "rate_unit", "rate_price", "allowance")


class RenameForm(forms.Form):
    """The name in addresses."""

    slug = forms.CharField(
        label=_("Name in addresses"), max_length=listings.SLUG_LIMIT, help_text=_("The old name goes on leading here.")
    )


@for_account
def manage(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """Everything that can be changed about a dataset, and what cannot."""
    actor.require(Act.PUBLISH)
    listing, record = _own(actor, slug)
    return render(request, "web/manage.html", _context(listing, record))


@for_account
@require_POST
def make_offer(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """Sell on other terms or at another price: a new offer, signed anew; licenses sold before keep theirs."""
    listing, record = _own(actor, slug)
    form = OfferForm(request.POST, derive_bps=record.derive_bps)
    if form.is_valid():

        def sell() -> None:
            listings.edit_offer(
                by=actor, dataset=listing.dataset, terms=form.terms, price=form.cleaned_data["price"],
                hold_seconds=settings.CADASTRE_HOLD_SECONDS, now=timezone.now(),
            )  # fmt: skip

        if attempt(request, sell, done=_("Signed in a moment; then it replaces the offer before it.")):
            return redirect("dataset-manage", slug)
    return render(request, "web/manage.html", {**_context(listing, record), "offer_form": form}, status=422)


@for_account
@require_POST
def withdraw_offer(request: HttpRequest, actor: Actor, slug: str, digest: str) -> HttpResponse:
    """End an offer; without another one the dataset is not for sale."""
    attempt(
        request,
        lambda: offers.withdraw_offer(by=actor, offer=digest, now=timezone.now()),
        done=_("Withdrawn. Licenses that were sold stay."),
    )
    return redirect("dataset-manage", slug)


@for_account
@require_POST
def change_sales(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """End sales with a reason, or begin them again."""
    caip, now = dataset_caip(slug), timezone.now()
    if "relist" in request.POST:
        attempt(
            request,
            lambda: listings.relist_dataset(by=actor, dataset=caip, now=now),
            done=_("Signed in a moment; then it is for sale again."),
        )
    else:
        attempt(
            request,
            lambda: _delist(actor, caip, request.POST.get("reason", "")),
            done=_("No longer sold. License holders keep data and key."),
        )
    return redirect("dataset-manage", slug)


@for_account
@require_POST
def rename(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """Change the name in addresses."""
    name = request.POST.get("slug", "").strip()
    attempt(
        request,
        lambda: listings.rename_dataset(by=actor, dataset=dataset_caip(slug), slug=name, now=timezone.now()),
        done=_("Renamed."),
    )
    return redirect("dataset-manage", slug)


@for_account
@require_POST
def private_offer(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """Offer it to one account at a price of its own."""
    listing, record = _own(actor, slug)
    form = PrivateOfferForm(request.POST, derive_bps=record.derive_bps)
    if form.is_valid():
        data = form.cleaned_data

        def offer() -> None:
            quotes.make_private_offer(
                by=actor, dataset=listing.dataset, buyer=data["buyer"], terms=form.terms, price=data["price"] or 0,
                hold_seconds=settings.CADASTRE_HOLD_SECONDS, now=timezone.now(), days=data["days"],
            )  # fmt: skip

        if attempt(
            request, offer, done=_("Offered to %(buyer)s; they find it under Licenses when it is signed.") % data
        ):
            return redirect("dataset-manage", slug)
    return render(request, "web/manage.html", {**_context(listing, record), "private_form": form}, status=422)


@for_account
@require_POST
def promise_share(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """Promise somebody a share, and write to them."""
    form, caip = ContributorForm(request.POST), dataset_caip(slug)
    if not form.is_valid():
        messages.error(request, form.errors.as_text())
        return redirect("dataset-manage", slug)
    data = form.cleaned_data

    def promise() -> None:
        count_letter(by=actor, now=timezone.now())
        _row, token = shares.promise_share(
            by=actor, dataset=caip, email=data["email"], role=data["role"], bps=form.bps(), now=timezone.now()
        )
        send_share_letter(actor, to=data["email"], percent=data["percent"], token=token)

    attempt(request, promise, done=_("Noted. It counts once you put the shares into force."))
    return redirect("dataset-manage", slug)


@for_account
@require_POST
def change_share(request: HttpRequest, actor: Actor, slug: str, contributor: UUID) -> HttpResponse:
    """Change or end a share."""
    caip = dataset_caip(slug)
    attempt(
        request,
        lambda: shares.change_share(by=actor, dataset=caip, contributor=contributor, bps=_bps(request)),
        done=_("Noted. It counts once you put the shares into force."),
    )
    return redirect("dataset-manage", slug)


@for_account
@require_POST
def apply_shares(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """Put the shares into force for what is settled from now on."""
    attempt(
        request,
        lambda: shares.apply_shares(by=actor, dataset=dataset_caip(slug), now=timezone.now()),
        done=_("Under way. What is settled from then on follows these shares."),
    )
    return redirect("dataset-manage", slug)


@for_account
@require_POST
def derive_share(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """Change what data built from it owes from now on."""
    attempt(
        request,
        lambda: listings.change_derive_share(
            by=actor, dataset=dataset_caip(slug), derive_bps=_bps(request), now=timezone.now()
        ),
        done=_("Under way. When it is in force, offer the dataset anew, so that its terms say the same."),
    )
    return redirect("dataset-manage", slug)


@for_account
@require_POST
def judge_refund(request: HttpRequest, actor: Actor, slug: str, license_slug: str) -> HttpResponse:
    """Give a buyer the price back."""
    caip = license_caip(license_slug)
    attempt(
        request,
        lambda: licenses.grant_refund(by=actor, license_id=caip, now=timezone.now()),
        done=_("The price goes back."),
    )
    return redirect("dataset-manage", slug)


@for_account
@require_POST
def stop_delivery(request: HttpRequest, actor: Actor, slug: str) -> HttpResponse:
    """Withhold or erase, as the owner may."""
    caip, reason, now = dataset_caip(slug), request.POST.get("reason", ""), timezone.now()
    if "erase" in request.POST and request.POST.get("sure") != "erase":
        messages.error(request, _("To erase, write “erase” into the field: it cannot be undone."))
        return redirect("dataset-manage", slug)
    act = takedowns.erase_dataset if "erase" in request.POST else takedowns.withhold_dataset
    attempt(
        request,
        lambda: act(by=actor, dataset=caip, reason=reason, now=now),
        done=_("Delivery has stopped. The record stays."),
    )
    return redirect("dataset-manage", slug)


def _own(actor: Actor, slug: str) -> tuple[Listing, DatasetRecord]:
    listing = own_listing(actor.account, dataset_caip(slug))
    record = dataset_record(listing.dataset)
    assert record is not None
    return listing, record


def _context(listing: Listing, record: DatasetRecord) -> dict[str, Any]:
    rows = offers_of(listing.dataset)
    latest = rows[0] if rows else None
    terms = offer_terms(latest) if latest else None
    token = payment_token()
    initial = {} if terms is None or latest is None else _initial(terms, latest.price)
    return {
        "listing": listing,
        "record": record,
        "id": slug_of_caip(listing.dataset),
        "offers": rows[:10],
        "terms": terms,
        "sentences": sentences(terms, token, translation) if terms else (),
        "brief": terms_in_brief(terms, translation) if terms else (),
        "offer_form": OfferForm(derive_bps=record.derive_bps, initial=initial, auto_id="offer-%s"),
        "private_form": PrivateOfferForm(derive_bps=record.derive_bps, initial=initial, auto_id="private-%s"),
        "rename_form": RenameForm(initial={"slug": listing.slug}, auto_id="rename-%s"),
        "share_form": ContributorForm(auto_id="share-%s"),
        "contributors": contributors_of(listing.dataset),
        "in_force": shares_in_force(listing.dataset, record),
        "quotes": private_quotes_of(listing.dataset),
        "refunds": [(slug_of_caip(row.pk), row) for row in refunds_wanted(listing.dataset)],
        "reasons": REASONS,
        "stop_reasons": STOP_REASONS,
        "stopped": delivery_stopped(listing.dataset, listing.version),
        "asked": asked_of_wallets(listing.account, dataset=listing.dataset),
    }


def _initial(terms: Terms, price: int) -> dict[str, Any]:
    rate = terms.rate
    return {
        "preset": next((key for key, each in PRESETS.items() if each.terms.title == terms.title), None),
        "price": AmountField.written(price),
        "rate_unit": rate.unit if rate else "",
        "rate_price": AmountField.written(rate.price) if rate else "",
        "allowance": rate.allowance if rate else None,
    }


def _delist(actor: Actor, caip: str, reason: str) -> None:
    if reason not in set(listings.DelistReason):
        raise listings.ListingRefusal(
            "listing.reason", "Say why sales end.", limit=", ".join(listings.DelistReason), actual=reason[:40]
        )
    listings.delist_dataset(by=actor, dataset=caip, reason=listings.DelistReason(reason), now=timezone.now())


def _bps(request: HttpRequest) -> int:
    """Read a percentage with at most two decimals, such as 12.5."""
    whole, _dot, part = request.POST.get("percent", "").strip().partition(".")
    if not whole.isdecimal() or len(whole) > 3 or len(part) > 2 or (part and not part.isdecimal()):
        raise MoneyRefusal(
            "share.text",
            "This is not a percentage.",
            actual=request.POST.get("percent", "")[:20],
            todo="Write for example 12.5.",
        )
    return int(whole) * 100 + int(part.ljust(2, "0"))
