"""License terms in plain sentences, for the people who set and accept them.

The numbers of the worked examples come from the same functions that later charge and pay, so a page cannot promise
what a settlement does not do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from marketplace.core.language import ENGLISH, Language
from marketplace.core.money import Amount, Token, part, percent
from marketplace.core.terms import Ground, Rate, RateUnit, Terms, Use
from marketplace.core.voucher import EpochUse, owed

_EXAMPLE_UNITS_BEYOND = 500
_EXAMPLE_INCOME = 1_000


def sentences(terms: Terms, token: Token, language: Language = ENGLISH) -> tuple[str, ...]:
    """Return what `terms` say, one thought per sentence, amounts in `token`. The legal text prevails over them."""
    return tuple(
        sentence
        for sentence in (
            _uses(terms, language),
            _commerce(terms, language),
            _places_and_time(terms, language),
            _people(terms, language),
            _models(terms, language),
            _versions(terms, language),
            _exclusivity(terms, language),
            *_duties(terms, language),
            _revocation(terms, language),
            *(rate_sentences(terms.rate, token, language) if terms.rate is not None else ()),
            derive_sentence(terms.derive_bps, token, language) if Use.DERIVE in terms.uses else "",
            _law(terms, language),
        )
        if sentence
    )


def derive_sentence(derive_bps: int, token: Token, language: Language = ENGLISH) -> str:
    """Return what owners of derived datasets owe, with an example of 1,000.00 of income."""
    if derive_bps == 0:
        return language.gettext("Datasets built from this one owe nothing for it.")
    income = Amount(_EXAMPLE_INCOME * 10**token.decimals, token)
    share = Amount(part(income.units, derive_bps), token)
    return language.gettext(
        "Whoever builds a dataset from this one owes %(percent)s of what it earns: "
        "if it earns %(income)s after the market's fee, %(share)s go to the owner of this dataset."
    ) % {"percent": percent(derive_bps), "income": income, "share": share}


def rate_sentences(rate: Rate, token: Token, language: Language = ENGLISH) -> tuple[str, ...]:
    """Return the metered price in words, and what an example amount of use costs."""
    price = {"price": Amount(rate.price, token), "unit": unit_in_words(rate.unit, language)}
    if rate.allowance:
        first = language.gettext("Use is metered: %(price)s %(unit)s; the first %(allowance)s are included.") % {
            **price, "allowance": _things(rate.unit, rate.allowance, language),
        }  # fmt: skip
    else:
        first = language.gettext("Use is metered: %(price)s %(unit)s.") % price
    limits = []
    if rate.minimum:
        limits.append(
            language.gettext("At least %(minimum)s are owed per license in each payment period.")
            % {"minimum": Amount(rate.minimum, token)}
        )
    if rate.cap is not None:
        limits.append(
            language.gettext("Once %(cap)s have been paid, further use costs nothing.")
            % {"cap": Amount(rate.cap, token)}
        )
    used = rate.allowance + _EXAMPLE_UNITS_BEYOND
    cost = Amount(owed(rate, (EpochUse(1, used * rate.unit.counts),)).amount, token)
    example = language.gettext("Example: whoever uses %(amount)s in the first period pays %(cost)s.") % {
        "amount": _things(rate.unit, used, language), "cost": cost,
    }  # fmt: skip
    return (first, *limits, example)


def use_in_words(use: Use, language: Language = ENGLISH) -> str:
    """Return what `use` means to somebody who has never trained a model."""
    match use:
        case Use.PRETRAIN:
            return language.gettext("train models from scratch")
        case Use.FINE_TUNE:
            return language.gettext("adapt existing models (fine-tune)")
        case Use.EVALUATE:
            return language.gettext("test and compare models")
        case Use.RETRIEVE:
            return language.gettext("let models look things up in it (retrieval)")
        case Use.DERIVE:
            return language.gettext("build and publish other datasets from it")
        case Use.REDISTRIBUTE:
            return language.gettext("pass it on")
        case _:
            assert_never(use)


def ground_in_words(ground: Ground, language: Language = ENGLISH) -> str:
    """Return a ground of revocation as the end of "the license may be revoked for …"."""
    match ground:
        case Ground.BREACH:
            return language.gettext("a breach of the terms")
        case Ground.COURT_ORDER:
            return language.gettext("a court order")
        case Ground.NON_PAYMENT:
            return language.gettext("non-payment")
        case Ground.RIGHTS_CLAIM:
            return language.gettext("a proven claim by somebody who holds the rights")
        case _:
            assert_never(ground)


def unit_in_words(unit: RateUnit, language: Language = ENGLISH) -> str:
    """Return the unit of a rate as it stands behind a price."""
    match unit:
        case RateUnit.RECORDS_1000:
            return language.gettext("per 1,000 records")
        case RateUnit.TOKENS_1000000:
            return language.gettext("per 1,000,000 tokens")
        case RateUnit.RUN:
            return language.gettext("per run")
        case RateUnit.GIGABYTE:
            return language.gettext("per gigabyte")
        case _:
            assert_never(unit)


def term_in_words(days: int, language: Language = ENGLISH) -> str:
    """Return how long a license holds: `2 years`, `90 days`."""
    years, rest = divmod(days, 365)
    if years and not rest:
        return language.ngettext("one year", "%(count)s years", years) % {"count": years}
    return language.ngettext("one day", "%(count)s days", days) % {"count": f"{days:,}"}


def all_of(words: Iterable[str], language: Language = ENGLISH) -> str:
    """Return words as a list in a sentence that means each of them."""
    *first, final = words
    return language.gettext("%(several)s and %(last)s") % _parted(first, final) if first else final


def any_of(words: Iterable[str], language: Language = ENGLISH) -> str:
    """Return words as a list in a sentence that means whichever of them."""
    *first, final = words
    return language.gettext("%(several)s or %(last)s") % _parted(first, final) if first else final


def _parted(first: Iterable[str], final: str) -> dict[str, str]:
    return {"several": ", ".join(first), "last": final}


def _uses(terms: Terms, language: Language) -> str:
    granted = all_of((use_in_words(use, language) for use in _in_order(terms.uses)), language)
    allowed = language.gettext("You may %(uses)s.") % {"uses": granted}
    refused = [use_in_words(use, language) for use in _in_order(set(Use) - terms.uses)]
    if not refused:
        return allowed
    return f"{allowed} {language.gettext('You may not %(uses)s.') % {'uses': any_of(refused, language)}}"


def _commerce(terms: Terms, language: Language) -> str:
    if terms.commercial:
        return language.gettext("Commercial use is allowed.")
    return language.gettext("Only non-commercial use is allowed.")


def _places_and_time(terms: Terms, language: Language) -> str:
    figures = {"places": "" if terms.worldwide else all_of(sorted(terms.territory), language)}
    if terms.term_days is None:
        if terms.worldwide:
            return language.gettext("The license holds worldwide, without an end.")
        return language.gettext("The license holds in %(places)s, without an end.") % figures
    figures["time"] = term_in_words(terms.term_days, language)
    if terms.worldwide:
        return language.gettext("The license holds worldwide, for %(time)s.") % figures
    return language.gettext("The license holds in %(places)s, for %(time)s.") % figures


def _people(terms: Terms, language: Language) -> str:
    if terms.seats is None:
        who = language.gettext("Any number of people at the licensee may use it")
    else:
        who = language.ngettext(
            "One person may use it", "Up to %(count)s people at the licensee may use it", terms.seats
        ) % {"count": f"{terms.seats:,}"}
    affiliates = (
        language.gettext("affiliated companies may too.")
        if terms.affiliates
        else language.gettext("affiliated companies need their own license.")
    )
    transfer = (
        language.gettext("The license may be handed on.")
        if terms.transferable
        else language.gettext("The license may not be handed on.")
    )
    return f"{who}; {affiliates} {transfer}"


def _models(terms: Terms, language: Language) -> str:
    if not terms.uses & {Use.PRETRAIN, Use.FINE_TUNE}:
        return ""
    keep = (
        language.gettext("Models trained during the license may be kept afterwards.")
        if terms.keep_models
        else language.gettext("Models trained with it must be given up when the license ends.")
    )
    weights = (
        language.gettext("Their weights may be published.")
        if terms.publish_weights
        else language.gettext("Their weights may not be published.")
    )
    return f"{keep} {weights}"


def _versions(terms: Terms, language: Language) -> str:
    if terms.all_versions:
        return language.gettext("All versions published while the license holds are covered.")
    return language.gettext("One version is covered: the one that the offer names.")


def _exclusivity(terms: Terms, language: Language) -> str:
    if not terms.exclusive:
        return ""
    return language.gettext("The license is exclusive: while it holds, nobody else gets one.")


def _duties(terms: Terms, language: Language) -> tuple[str, ...]:
    credit = {"credit": terms.attribution}
    return (
        language.gettext("You must show this credit: %(credit)s") % credit if terms.attribution is not None else "",
        language.gettext("What you build from it must carry the same terms.") if terms.share_alike else "",
        language.gettext("You must report your use.") if terms.report_use else "",
        language.gettext("You must remove records when you are told that they have to go.")
        if terms.removal_duty
        else "",
        language.gettext("The owner may have your use audited.") if terms.audit_right else "",
    )


def _revocation(terms: Terms, language: Language) -> str:
    if terms.revocation is None:
        return language.gettext("The license cannot be revoked.")
    grounds = any_of((ground_in_words(ground, language) for ground in sorted(terms.revocation.grounds)), language)
    return language.gettext(
        "The license may be revoked for %(grounds)s, after %(notice)s of notice and %(cure)s to put it right; "
        "that ends future use only."
    ) % {
        "grounds": grounds,
        "notice": _days(terms.revocation.notice_days, language),
        "cure": _days(terms.revocation.cure_days, language),
    }


def _law(terms: Terms, language: Language) -> str:
    return language.gettext("The law of %(law)s governs.") % {"law": terms.law} if terms.law is not None else ""


def _days(days: int, language: Language) -> str:
    return language.ngettext("%(count)s day", "%(count)s days", days) % {"count": days}


def _in_order(uses: Iterable[Use]) -> list[Use]:
    order = (Use.PRETRAIN, Use.FINE_TUNE, Use.EVALUATE, Use.RETRIEVE, Use.DERIVE, Use.REDISTRIBUTE)
    return sorted(uses, key=order.index)


def _things(unit: RateUnit, units: int, language: Language) -> str:
    many = units * unit.counts
    figures = {"count": f"{many:,}"}
    match unit:
        case RateUnit.RECORDS_1000:
            return language.ngettext("%(count)s record", "%(count)s records", many) % figures
        case RateUnit.TOKENS_1000000:
            return language.ngettext("%(count)s token", "%(count)s tokens", many) % figures
        case RateUnit.RUN:
            return language.ngettext("%(count)s run", "%(count)s runs", many) % figures
        case RateUnit.GIGABYTE:
            return f"{units:,} GB"
        case _:
            assert_never(unit)
