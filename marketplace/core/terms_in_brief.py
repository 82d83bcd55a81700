"""License terms in one breath, for price panels: what may be done, how, for how long, and what is owed for it.

`sentences.py` says everything; this says what decides whether somebody reads on. A phrase that decides is `strong`;
in the messages it stands between asterisks, so that a translation decides where it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from marketplace.core.language import ENGLISH, Language
from marketplace.core.money import percent
from marketplace.core.sentences import all_of, term_in_words
from marketplace.core.terms import Terms, Use


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece of a text; `strong` pieces are set in bold. Blanks between pieces belong to them."""

    text: str
    strong: bool = False


def terms_in_brief(terms: Terms, language: Language = ENGLISH) -> tuple[Phrase, ...]:
    """Return what `terms` permit and ask for, as phrases to be set one after the other."""
    return _phrases(" ".join((_grant(terms, language), *_duties(terms, language))))


def uses_in_brief(uses: Iterable[Use], language: Language = ENGLISH) -> str:
    """Return what may be done, as the end of “you may …”."""
    return "".join(phrase.text for phrase in _phrases(_uses(frozenset(uses), language)))


def _phrases(marked: str) -> tuple[Phrase, ...]:
    pieces = enumerate(marked.split("*"))
    return tuple(Phrase(text, strong=number % 2 == 1) for number, text in pieces if text)


def _grant(terms: Terms, language: Language) -> str:
    manner = language.gettext("*commercially*") if terms.commercial else language.gettext("*not commercially*")
    figures = {"uses": _uses(terms.uses, language), "manner": manner, "time": _time(terms, language)}
    if terms.worldwide:
        return language.gettext("You may %(uses)s, %(manner)s, %(time)s.") % figures
    figures["places"] = all_of(sorted(terms.territory), language)
    return language.gettext("You may %(uses)s, %(manner)s, in *%(places)s*, %(time)s.") % figures


def _uses(uses: frozenset[Use], language: Language) -> str:
    models = [word for use, word in _model_words(language) if use in uses]
    granted = [language.gettext("*%(acts)s* models") % {"acts": all_of(models, language)}] if models else []
    granted += [words for use, words in _other_words(language) if use in uses]
    return all_of(granted, language) if granted else ""


def _model_words(language: Language) -> tuple[tuple[Use, str], ...]:
    return (
        (Use.PRETRAIN, language.gettext("train")),
        (Use.FINE_TUNE, language.gettext("fine-tune")),
        (Use.EVALUATE, language.gettext("evaluate")),
    )


def _other_words(language: Language) -> tuple[tuple[Use, str], ...]:
    return (
        (Use.RETRIEVE, language.gettext("*look things up* in it")),
        (Use.DERIVE, language.gettext("*build datasets* from it")),
        (Use.REDISTRIBUTE, language.gettext("*pass it on*")),
    )


def _time(terms: Terms, language: Language) -> str:
    if terms.term_days is None:
        return language.gettext("*without an end*")
    return language.gettext("for *%(time)s*") % {"time": term_in_words(terms.term_days, language)}


def _duties(terms: Terms, language: Language) -> Iterator[str]:
    if terms.exclusive:
        yield language.gettext("*Exclusive.*")
    if terms.attribution is not None:
        yield language.gettext("Attribution required.")
    if terms.share_alike:
        yield language.gettext("What you build carries the same terms.")
    if terms.report_use:
        yield language.gettext("Use is reported.")
    if Use.DERIVE in terms.uses and terms.derive_bps:
        yield language.gettext("Derived datasets owe *%(percent)s*.") % {"percent": percent(terms.derive_bps)}
