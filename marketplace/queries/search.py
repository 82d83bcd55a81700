"""Search: the listed datasets that words mean, the closest first; and what was perhaps meant where nothing is found.

A word is looked for in title, creator, names and description. It also means the kind, use, access or price that people
call so, and finds a plural by its singular. Slips of the keyboard are looked for only when nothing was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from marketplace.core.terms import Use
from marketplace.models import Account, Listing
from provenance.core.manifest import DataKind, Visibility

WORDS_LIMIT = 12
TITLES_LIMIT = 2_000
"""How many of the newest titles are read to find what was meant."""

_KINDS = {kind.value: kind for kind in DataKind} | {"picture": DataKind.IMAGE, "photo": DataKind.IMAGE}
_ACCESS = {"open": Visibility.OPEN, "sealed": Visibility.SEALED, "locked": Visibility.SEALED}
_USES = frozenset(use.value for use in Use)
_TITLE, _ELSEWHERE = 2, 1
_LETTERS = re.compile(r"[^\W\d_]{4,}")
_ALIKE = 0.75

ORDERS = {
    "closest": ("-closeness", "-created", "dataset"),
    "newest": ("-created", "dataset"),
    "price": ("cost", "-created", "dataset"),
    "records": ("-records", "-created", "dataset"),
    "title": ("title", "dataset"),
}
"""By which columns a search can be ordered; what is not for sale comes after every price."""


def search_listings(
    words: str = "",
    *,
    kind: str = "",
    uses: Iterable[str] = (),
    max_price: int | None = None,
    visibility: str = "",
    language: str = "",
    account: Account | None = None,
) -> QuerySet[Listing]:
    """Return listed datasets that every word means and every filter fits, newest first.

    `uses` must all be granted; `max_price` is in base units. `order_of` says what else they can be ordered by.
    """
    found = Listing.objects.filter(state=Listing.State.LISTED).select_related("account", "offer")
    wanted = words.lower().split()[:WORDS_LIMIT]
    for word in wanted:
        found = found.filter(_meant_by(word))
    if kind:
        found = found.filter(kind=kind)
    if visibility:
        found = found.filter(visibility=visibility)
    if max_price is not None:
        found = found.filter(offer__price__lte=max_price)
    for use in uses:
        found = found.filter(search_uses__contains=f" {use} ")
    if account is not None:
        found = found.filter(account=account)
    if language:
        found = found.filter(search_uses__contains=f" lang:{language.lower()} ")
    if wanted:
        found = found.alias(closeness=sum((_closeness(word) for word in wanted), Value(0)))
    found = found.alias(cost=Coalesce(F("offer__price"), Value(2**63 - 1)))
    return found.order_by(*ORDERS["newest"])


def order_of(sort: str, words: str) -> tuple[str, ...]:
    """Return the columns of an order by name; unknown ones, and nearness to no words, are the newest first."""
    if sort in ORDERS and (sort != "closest" or words.split()):
        return ORDERS[sort]
    return ORDERS["newest"]


def meant_instead(words: str) -> str | None:
    """Return the words with slips of the keyboard mended by what titles and creators say, if that finds something."""
    wanted = words.lower().split()[:WORDS_LIMIT]
    named = Listing.objects.filter(state=Listing.State.LISTED).order_by("-created").values_list("title", "creator")
    known = {word for row in named[:TITLES_LIMIT] for word in _LETTERS.findall(" ".join(row).lower())}
    known |= set(_KINDS)
    mended = [_mended(word, known) for word in wanted]
    return " ".join(mended) if mended != wanted and search_listings(" ".join(mended)).exists() else None


def _mended(word: str, known: set[str]) -> str:
    if search_listings(word).exists():
        return word
    alike = get_close_matches(word, sorted(known), n=1, cutoff=_ALIKE)
    return alike[0] if alike else word


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _meant_by(word: str) -> Q:
    one = _singular(word)
    found = Q(search_text__contains=one)
    if one in _KINDS:
        found |= Q(kind=_KINDS[one].value)
    if word in _ACCESS:
        found |= Q(visibility=_ACCESS[word].value)
    if word in _USES:
        found |= Q(search_uses__contains=f" {word} ")
    if word == "free":
        found |= Q(offer__price=0)
    return found


def _closeness(word: str) -> Case:
    one = _singular(word)
    return Case(
        When(title__icontains=one, then=_TITLE),
        When(search_text__contains=one, then=_ELSEWHERE),
        default=0,
        output_field=IntegerField(),
    )
