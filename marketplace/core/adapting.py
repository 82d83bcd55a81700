"""Adapting ready-made terms: another share for derivatives, a rate for use. The text says what the fields say."""

from __future__ import annotations

from dataclasses import replace

from marketplace.core.money import check_bps, percent
from marketplace.core.presets import preset
from marketplace.core.terms import Rate, Terms, TermsRefusal, Use

RATE_SENTENCE = (
    "Use is reported for every quarter and paid at the rate in the machine-readable fields, "
    "beyond the allowance stated there. "
)


def adapted(key: str, *, derive_bps: int | None = None, rate: Rate | None = None) -> Terms:
    """Return the terms of a preset with another derivative share (basis points) and a rate.

    Raises TermsRefusal when the preset does not permit deriving but a share is asked for.
    """
    terms = preset(key).terms
    if derive_bps is not None and derive_bps != terms.derive_bps:
        check_bps(derive_bps)
        if Use.DERIVE not in terms.uses:
            raise TermsRefusal(
                "terms.no_derive", "These terms permit no derived datasets, so there is no share to ask for.",
                limit=0, actual=derive_bps, todo="Choose terms that let others build on your data.",
            )  # fmt: skip
        before, after = f"{percent(terms.derive_bps)} of what", f"{percent(derive_bps)} of what"
        terms = replace(terms, text=terms.text.replace(before, after), derive_bps=derive_bps)
    if rate is not None:
        terms = replace(terms, text=RATE_SENTENCE + terms.text, rate=rate, report_use=True)
    return terms
