"""License terms in one breath, for price panels: what may be done, how, for how long, and what is owed for it.

`sentences.py` says everything; this says what decides whether somebody reads on. A phrase that decides is `strong`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from marketplace.core.money import percent
from marketplace.core.sentences import listed, term_in_words
from marketplace.core.terms import Terms, Use

_MODEL_WORDS = ((Use.PRETRAIN, "train"), (Use.FINE_TUNE, "fine-tune"), (Use.EVALUATE, "evaluate"))
_OTHER_WORDS = (
    (Use.RETRIEVE, "look things up", " in it"),
    (Use.DERIVE, "build datasets", " from it"),
    (Use.REDISTRIBUTE, "pass it on", ""),
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A piece of a text; `strong` pieces are set in bold. Blanks between pieces belong to them."""

    text: str
    strong: bool = False


def terms_in_brief(terms: Terms) -> tuple[Phrase, ...]:
    """Return what `terms` permit and ask for, as phrases to be set one after the other."""
    return (
        Phrase("You may "),
        *uses_in_brief(terms.uses),
        Phrase(", "),
        Phrase("commercially" if terms.commercial else "not commercially", strong=True),
        *_place(terms),
        Phrase(", "),
        *_time(terms),
        Phrase("."),
        *_duties(terms),
    )


def uses_in_brief(uses: Iterable[Use]) -> Iterator[Phrase]:
    """Yield what may be done, as the end of “you may …”."""
    granted = frozenset(uses)
    models = [word for use, word in _MODEL_WORDS if use in granted]
    things = [(Phrase(listed(models, "and"), strong=True), Phrase(" models"))] if models else []
    things += [(Phrase(word, strong=True), Phrase(where)) for use, word, where in _OTHER_WORDS if use in granted]
    for number, pieces in enumerate(things):
        if number:
            yield Phrase(" and " if number == len(things) - 1 else ", ")
        yield from (piece for piece in pieces if piece.text)


def _place(terms: Terms) -> Iterator[Phrase]:
    if not terms.worldwide:
        yield Phrase(", in ")
        yield Phrase(listed(sorted(terms.territory), "and"), strong=True)


def _time(terms: Terms) -> Iterator[Phrase]:
    if terms.term_days is None:
        yield Phrase("without an end", strong=True)
    else:
        yield Phrase("for ")
        yield Phrase(term_in_words(terms.term_days), strong=True)


def _duties(terms: Terms) -> Iterator[Phrase]:
    if terms.exclusive:
        yield Phrase(" ")
        yield Phrase("Exclusive.", strong=True)
    if terms.attribution is not None:
        yield Phrase(" Attribution required.")
    if terms.share_alike:
        yield Phrase(" What you build carries the same terms.")
    if terms.report_use:
        yield Phrase(" Use is reported.")
    if Use.DERIVE in terms.uses and terms.derive_bps:
        yield Phrase(" Derived datasets owe ")
        yield Phrase(percent(terms.derive_bps), strong=True)
        yield Phrase(".")
