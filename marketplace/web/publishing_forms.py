"""The forms of the publish wizard: what a person types, turned into values; rules live in the cores."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from marketplace.core.adapting import adapted
from marketplace.core.money import Amount, MoneyRefusal
from marketplace.core.presets import PRESETS
from marketplace.core.terms import Rate, RateUnit, Terms, TermsRefusal
from marketplace.queries.deployments import payment_token
from marketplace.web.timeline import BASES
from provenance.core.refusal import Refusal

KINDS = [
    ("image", _("Pictures")),
    ("table", _("Tables")),
    ("text", _("Texts")),
    ("audio", _("Audio")),
    ("mixed", _("Several kinds")),
]
UNITS = [
    ("", _("Nothing more")),
    ("records-1000", _("per 1,000 records")),
    ("tokens-1000000", _("per 1,000,000 tokens")),
    ("run", _("per training run")),
    ("gigabyte", _("per gigabyte")),
]
SUBLICENSING = [("", _("not known")), ("yes", _("may be passed on")), ("no", _("may not be passed on"))]


class DescribeForm(forms.Form):
    """Title, creator, words, kind, languages, period."""

    title = forms.CharField(label=_("Title"), max_length=200)
    creator = forms.CharField(
        label=_("Shown as made by"),
        max_length=100,
        help_text=_("Public for ever; a pen name is fine. What one account lists stands together on its page."),
    )
    description = forms.CharField(
        label=_("Description"), max_length=4000, required=False, widget=forms.Textarea(attrs={"rows": 5})
    )
    kind = forms.ChoiceField(label=_("What it is"), choices=KINDS)
    languages = forms.CharField(
        label=_("Languages"),
        required=False,
        max_length=200,
        help_text=_("Codes such as en, de-CH; separated by commas. Leave empty where there are none."),
    )
    collected_from = forms.DateField(
        label=_("Collected from"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    collected_to = forms.DateField(label=_("until"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    preview_public = forms.BooleanField(
        label=_("Show small samples to everybody"),
        required=False,
        help_text=_("Small pictures or the first rows. They help people decide, and anybody can copy them."),
    )

    def fields_for_draft(self) -> dict[str, Any]:
        """Return the fields of `describe_draft`."""
        data = self.cleaned_data
        start, end = data["collected_from"], data["collected_to"]
        return {
            "title": data["title"],
            "creator": data["creator"],
            "description": data["description"],
            "kind": data["kind"],
            "languages": sorted({code.strip() for code in data["languages"].split(",") if code.strip()}),
            "collected": {"from": start and start.isoformat(), "to": end and end.isoformat()},
            "preview_public": data["preview_public"],
        }


class RightsForm(forms.Form):
    """One rights statement."""

    source = forms.CharField(label=_("What it covers"), max_length=200, initial=_("Everything in it"))
    basis = forms.ChoiceField(
        label=_("Why you may offer it"), choices=[(key, words.capitalize()) for key, words in BASES.items()]
    )
    detail = forms.CharField(
        label=_("From whom, which license, which legal basis, or which model"),
        max_length=300,
        required=False,
        help_text=_("Needed where it was licensed, openly licensed, is personal data, or was generated."),
    )
    sublicensing = forms.ChoiceField(label=_("Passing it on"), choices=SUBLICENSING, required=False)
    evidence = forms.CharField(label=_("Where this can be seen"), max_length=300, required=False)

    def statement(self) -> dict[str, Any]:
        """Return the rights statement (docs/formats.md); the detail goes where its basis needs it."""
        data = self.cleaned_data
        basis, detail = data["basis"], data["detail"].strip() or None
        place = {
            "licensed": "from",
            "open-license": "license",
            "personal-data": "legal_basis",
            "synthetic": "model",
        }.get(basis, "from")
        empty = dict.fromkeys(("from", "license", "legal_basis", "model"))
        passing = {"yes": True, "no": False}.get(data["sublicensing"])
        return {
            **empty,
            place: detail,
            "source": data["source"],
            "basis": basis,
            "sublicensing": passing,
            "evidence": data["evidence"] or None,
        }


RightsFormSet = forms.formset_factory(RightsForm, extra=0, min_num=1, max_num=20, validate_min=True, can_delete=True)


class TermsForm(forms.Form):
    """Ready-made terms, price, and what use costs beyond it."""

    preset = forms.ChoiceField(
        label=_("What others may do"),
        choices=[(key, _(each.name)) for key, each in PRESETS.items()],
        widget=forms.RadioSelect,
    )
    price = forms.CharField(
        label=_("Price of a license"),
        max_length=30,
        help_text=_("0 gives licenses away. Leave empty not to sell it now."),
        required=False,
    )
    derive_percent = forms.DecimalField(
        label=_("Share of what others earn with data built from yours, in %"),
        min_value=0,
        max_value=100,
        decimal_places=2,
        required=False,
    )
    rate_unit = forms.ChoiceField(label=_("Use costs"), choices=UNITS, required=False)
    rate_price = forms.CharField(label=_("that much"), max_length=30, required=False)
    allowance = forms.IntegerField(
        label=_("after this many units that the price includes"), min_value=0, required=False
    )

    terms: Terms
    price_units: int | None

    def clean(self) -> dict[str, Any]:
        """Build the terms; what the core refuses is shown at its field."""
        data = super().clean() or {}
        if self.errors:
            return data
        token = payment_token()
        try:
            self.price_units = Amount.parse(data["price"], token).units if data["price"].strip() else None
        except MoneyRefusal as refusal:
            self.add_error("price", str(refusal))
        rate = None
        if data["rate_unit"]:
            try:
                price = Amount.parse(data["rate_price"] or "", token).units
                rate = Rate(unit=RateUnit(data["rate_unit"]), price=price, allowance=data["allowance"] or 0)
            except Refusal as refusal:
                self.add_error("rate_price", str(refusal))
        share = data["derive_percent"]
        try:
            self.terms = adapted(data["preset"], derive_bps=None if share is None else int(share * 100), rate=rate)
        except TermsRefusal as refusal:
            self.add_error("derive_percent", str(refusal))
        return data


class ContributorForm(forms.Form):
    """Somebody who shares the income."""

    email = forms.EmailField(label=_("E-mail address"))
    role = forms.CharField(label=_("What they did"), max_length=60)
    percent = forms.DecimalField(label=_("Share of your income, in %"), min_value=0, max_value=100, decimal_places=2)

    def bps(self) -> int:
        """Return the share in basis points."""
        return int(self.cleaned_data["percent"] * 100)
