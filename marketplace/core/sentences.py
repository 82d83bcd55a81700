"""License terms in plain sentences, for the people who set and accept them.

The numbers of the worked examples come from the same functions that later charge and pay, so a page cannot promise
what a settlement does not do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from marketplace.core.money import Amount, Token, part, percent
from marketplace.core.terms import Ground, Rate, RateUnit, Terms, Use
from marketplace.core.voucher import EpochUse, owed

_EXAMPLE_UNITS_BEYOND = 500
_EXAMPLE_INCOME = 1_000


def sentences(terms: Terms, token: Token) -> tuple[str, ...]:
    """Return what `terms` say, one thought per sentence, amounts in `token`. The legal text prevails over them."""
    return tuple(
        sentence
        for sentence in (
            _uses(terms),
            _commerce(terms),
            _places_and_time(terms),
            _people(terms),
            _models(terms),
            _versions(terms),
            _exclusivity(terms),
            *_duties(terms),
            _revocation(terms),
            *(rate_sentences(terms.rate, token) if terms.rate is not None else ()),
            derive_sentence(terms.derive_bps, token) if Use.DERIVE in terms.uses else "",
            f"The law of {terms.law} governs." if terms.law is not None else "",
        )
        if sentence
    )


def derive_sentence(derive_bps: int, token: Token) -> str:
    """Return what owners of derived datasets owe, with an example of 1,000.00 of income."""
    if derive_bps == 0:
        return "Datasets built from this one owe nothing for it."
    income = Amount(_EXAMPLE_INCOME * 10**token.decimals, token)
    share = Amount(part(income.units, derive_bps), token)
    return (
        f"Whoever builds a dataset from this one owes {percent(derive_bps)} of what it earns: "
        f"if it earns {income} after the market's fee, {share} go to the owner of this dataset."
    )


def rate_sentences(rate: Rate, token: Token) -> tuple[str, ...]:
    """Return the metered price in words, and what an example amount of use costs."""
    price = Amount(rate.price, token)
    first = f"Use is metered: {price} {_per(rate.unit)}"
    if rate.allowance:
        first += f"; the first {_things(rate.unit, rate.allowance)} are included"
    limits = []
    if rate.minimum:
        limits.append(f"At least {Amount(rate.minimum, token)} are owed per license in each payment period.")
    if rate.cap is not None:
        limits.append(f"Once {Amount(rate.cap, token)} have been paid, further use costs nothing.")
    used = rate.allowance + _EXAMPLE_UNITS_BEYOND
    cost = Amount(owed(rate, (EpochUse(1, used * rate.unit.counts),)).amount, token)
    example = f"Example: whoever uses {_things(rate.unit, used)} in the first period pays {cost}."
    return (first + ".", *limits, example)


def use_in_words(use: Use) -> str:
    """Return what `use` means to somebody who has never trained a model."""
    match use:
        case Use.PRETRAIN:
            return "train models from scratch"
        case Use.FINE_TUNE:
            return "adapt existing models (fine-tune)"
        case Use.EVALUATE:
            return "test and compare models"
        case Use.RETRIEVE:
            return "let models look things up in it (retrieval)"
        case Use.DERIVE:
            return "build and publish other datasets from it"
        case Use.REDISTRIBUTE:
            return "pass it on"
        case _:
            assert_never(use)


def ground_in_words(ground: Ground) -> str:
    """Return a ground of revocation as the end of "the license may be revoked for …"."""
    match ground:
        case Ground.BREACH:
            return "a breach of the terms"
        case Ground.COURT_ORDER:
            return "a court order"
        case Ground.NON_PAYMENT:
            return "non-payment"
        case Ground.RIGHTS_CLAIM:
            return "a proven claim by somebody who holds the rights"
        case _:
            assert_never(ground)


def term_in_words(days: int) -> str:
    """Return how long a license holds: `2 years`, `90 days`."""
    years, rest = divmod(days, 365)
    if years and not rest:
        return "one year" if years == 1 else f"{years} years"
    return "one day" if days == 1 else f"{days:,} days"


def listed(words: Iterable[str], last: str) -> str:
    """Return words as a list in a sentence, `last` before the last of them."""
    *first, final = words
    return f"{', '.join(first)} {last} {final}" if first else final


def _uses(terms: Terms) -> str:
    granted = listed((use_in_words(use) for use in _in_order(terms.uses)), "and")
    refused = [use_in_words(use) for use in _in_order(set(Use) - terms.uses)]
    return f"You may {granted}." + (f" You may not {listed(refused, 'or')}." if refused else "")


def _commerce(terms: Terms) -> str:
    return "Commercial use is allowed." if terms.commercial else "Only non-commercial use is allowed."


def _places_and_time(terms: Terms) -> str:
    where = "worldwide" if terms.worldwide else "in " + listed(sorted(terms.territory), "and")
    if terms.term_days is None:
        return f"The license holds {where}, without an end."
    return f"The license holds {where}, for {term_in_words(terms.term_days)}."


def _people(terms: Terms) -> str:
    if terms.seats is None:
        who = "Any number of people at the licensee may use it"
    else:
        who = (
            "One person may use it" if terms.seats == 1 else f"Up to {terms.seats:,} people at the licensee may use it"
        )
    affiliates = (
        "; affiliated companies may too." if terms.affiliates else "; affiliated companies need their own license."
    )
    transfer = " The license may be handed on." if terms.transferable else " The license may not be handed on."
    return who + affiliates + transfer


def _models(terms: Terms) -> str:
    if not terms.uses & {Use.PRETRAIN, Use.FINE_TUNE}:
        return ""
    keep = (
        "Models trained during the license may be kept afterwards."
        if terms.keep_models
        else "Models trained with it must be given up when the license ends."
    )
    weights = " Their weights may be published." if terms.publish_weights else " Their weights may not be published."
    return keep + weights


def _versions(terms: Terms) -> str:
    if terms.all_versions:
        return "All versions published while the license holds are covered."
    return "One version is covered: the one that the offer names."


def _exclusivity(terms: Terms) -> str:
    return "The license is exclusive: while it holds, nobody else gets one." if terms.exclusive else ""


def _duties(terms: Terms) -> tuple[str, ...]:
    return (
        f"You must show this credit: {terms.attribution}" if terms.attribution is not None else "",
        "What you build from it must carry the same terms." if terms.share_alike else "",
        "You must report your use." if terms.report_use else "",
        "You must remove records when you are told that they have to go." if terms.removal_duty else "",
        "The owner may have your use audited." if terms.audit_right else "",
    )


def _revocation(terms: Terms) -> str:
    if terms.revocation is None:
        return "The license cannot be revoked."
    grounds = listed((ground_in_words(ground) for ground in sorted(terms.revocation.grounds)), "or")
    notice, cure = _days(terms.revocation.notice_days), _days(terms.revocation.cure_days)
    return (
        f"The license may be revoked for {grounds}, after {notice} of notice and {cure} to put it right; "
        "that ends future use only."
    )


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def _in_order(uses: Iterable[Use]) -> list[Use]:
    order = (Use.PRETRAIN, Use.FINE_TUNE, Use.EVALUATE, Use.RETRIEVE, Use.DERIVE, Use.REDISTRIBUTE)
    return sorted(uses, key=order.index)


def _per(unit: RateUnit) -> str:
    match unit:
        case RateUnit.RECORDS_1000:
            return "per 1,000 records"
        case RateUnit.TOKENS_1000000:
            return "per 1,000,000 tokens"
        case RateUnit.RUN:
            return "per run"
        case RateUnit.GIGABYTE:
            return "per gigabyte"
        case _:
            assert_never(unit)


def _things(unit: RateUnit, units: int) -> str:
    match unit:
        case RateUnit.RECORDS_1000:
            return f"{units * unit.counts:,} records"
        case RateUnit.TOKENS_1000000:
            return f"{units * unit.counts:,} tokens"
        case RateUnit.RUN:
            return "1 run" if units == 1 else f"{units:,} runs"
        case RateUnit.GIGABYTE:
            return f"{units:,} GB"
        case _:
            assert_never(unit)
