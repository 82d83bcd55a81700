"""Form fields for what people write with a decimal point, and the core keeps as whole numbers."""

from __future__ import annotations

from typing import Any

from django import forms

from marketplace.core.money import Amount, MoneyRefusal
from marketplace.journal import bookable
from marketplace.queries.deployments import payment_token


class AmountField(forms.CharField):
    """An amount of the payment token; its value is base units, None when left empty."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_length", 30)
        options.setdefault("widget", forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}))
        super().__init__(**options)

    def clean(self, value: Any) -> Any:
        """Return base units. Raises ValidationError with the core's own words."""
        text = super().clean(value)
        if not text:
            return None
        try:
            return bookable(Amount.parse(text, payment_token()).units)
        except MoneyRefusal as refusal:
            raise forms.ValidationError(str(refusal)) from refusal

    @staticmethod
    def written(units: int | None) -> str:
        """Return base units as they are typed."""
        return "" if units is None else Amount(units, payment_token()).written
