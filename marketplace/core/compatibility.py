"""Whether terms that somebody wants to offer fit the terms of everything the data was built from.

1. Every ancestor is asked, not only the parents: an owner two steps up is bound by nobody else's promise.
2. Every rule is asked about every ancestor, and *all* conflicts are returned, so that one correction can answer all.
3. A rule compares one field. What the ancestor does not grant cannot be granted further; what it demands must be
   demanded.
4. No ancestors, no conflicts. No rules is a mistake, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from marketplace.core.sentences import ground_in_words, use_in_words
from marketplace.core.spdx import OPEN_LICENSES, satisfies_share_alike
from marketplace.core.terms import EVERYWHERE, Terms, Use
from provenance.core.refusal import Refusal


class CompatibilityRefusal(Refusal):
    """The question cannot be answered: there are no rules, or no sources."""


class Clash(StrEnum):
    """What two sets of terms disagree about."""

    LICENSE_MISSING = "license-missing"
    LICENSE_ENDED = "license-ended"
    DERIVE = "derive"
    USE = "use"
    COMMERCIAL = "commercial"
    TERRITORY = "territory"
    TERM = "term"
    SHARE_ALIKE = "share-alike"
    ATTRIBUTION = "attribution"
    EXCLUSIVE = "exclusive"
    AFFILIATES = "affiliates"
    KEEP_MODELS = "keep-models"
    PUBLISH_WEIGHTS = "publish-weights"
    TRANSFERABLE = "transferable"
    REPORT_USE = "report-use"
    REMOVAL_DUTY = "removal-duty"
    AUDIT_RIGHT = "audit-right"
    REVOCATION = "revocation"
    SUBLICENSING = "sublicensing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HeldLicense:
    """The license under which data was built from an ancestor: CAIP-19 id, frozen terms, and whether it has ended."""

    license: str
    terms: Terms
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """One ancestor: CAIP-19 id, the title people know it by, its open terms (or None), and the license held (or None).

    The license held by whoever built the next dataset down governs; without one, the open terms do.
    """

    dataset: str
    title: str
    open_terms: Terms | None = None
    held: HeldLicense | None = None

    @property
    def governing(self) -> Terms | None:
        """The terms that bind; None means that nothing was ever granted."""
        return self.held.terms if self.held is not None else self.open_terms


@dataclass(frozen=True, slots=True)
class Conflict:
    """One disagreement with one ancestor: which, about what, both sides' values, and the sentence for people."""

    dataset: str
    clash: Clash
    offered: str
    allowed: str
    sentence: str

    @property
    def blocking(self) -> bool:
        """False only for sources about which nothing is known: shown to buyers, up to the owner."""
        return self.clash is not Clash.UNKNOWN


Rule = Callable[[Terms, Terms, str], Iterable[tuple[Clash, str, str, str]]]
"""(offered terms, governing terms, quoted title) → (clash, offered, allowed, sentence) for each disagreement."""


def conflicts(terms: Terms, upstream: Sequence[Upstream], rules: Sequence[Rule] | None = None) -> tuple[Conflict, ...]:
    """Return all conflicts of offering `terms` for data built from `upstream`, ancestor by ancestor, rule by rule.

    Raises CompatibilityRefusal when there are no rules: an empty rule set fails, it does not pass.
    """
    asked = RULES if rules is None else rules
    if not asked:
        raise CompatibilityRefusal(
            "compatibility.no_rules", "Terms cannot be compared without a rule.", limit=1, actual=0
        )
    return tuple(conflict for ancestor in upstream for conflict in _with_one(terms, ancestor, asked))


def _with_one(terms: Terms, ancestor: Upstream, rules: Sequence[Rule]) -> Iterable[Conflict]:
    title = f"“{ancestor.title}”"
    governing = ancestor.governing
    if governing is None:
        yield Conflict(
            ancestor.dataset, Clash.LICENSE_MISSING, "built from it", "nothing",
            f"{title} is not open, and no license for it is held: buy one that allows building datasets from it.",
        )  # fmt: skip
        return
    if ancestor.held is not None and ancestor.held.ended:
        yield Conflict(
            ancestor.dataset, Clash.LICENSE_ENDED, "built from it", "nothing",
            f"The license held for {title} has ended: buy one that is still running.",
        )  # fmt: skip
    for rule in rules:
        for clash, offered, allowed, sentence in rule(terms, governing, title):
            yield Conflict(ancestor.dataset, clash, offered, allowed, sentence)


Found = Iterable[tuple[Clash, str, str, str]]


def _derive(_: Terms, governing: Terms, title: str) -> Found:
    if Use.DERIVE not in governing.uses:
        yield (
            Clash.DERIVE, "derive", "not granted",
            f"The terms of {title} do not allow building other datasets from it.",
        )  # fmt: skip


def _uses(terms: Terms, governing: Terms, title: str) -> Found:
    for use in sorted(terms.uses - governing.uses - {Use.DERIVE}):
        yield (
            Clash.USE, use.value, "not granted",
            f"You want to allow buyers to {use_in_words(use)}; the terms of {title} do not allow that.",
        )  # fmt: skip
    if Use.DERIVE in terms.uses and Use.DERIVE not in governing.uses:
        yield (
            Clash.USE, Use.DERIVE.value, "not granted",
            f"You want to allow buyers to {use_in_words(Use.DERIVE)}; the terms of {title} do not allow that.",
        )  # fmt: skip


def _commercial(terms: Terms, governing: Terms, title: str) -> Found:
    if terms.commercial and not governing.commercial:
        yield (
            Clash.COMMERCIAL, "commercial", "non-commercial",
            f"You want to allow commercial use; {title} may only be used non-commercially.",
        )  # fmt: skip


def _territory(terms: Terms, governing: Terms, title: str) -> Found:
    if governing.worldwide:
        return
    allowed = ", ".join(sorted(governing.territory))
    if terms.worldwide:
        yield (
            Clash.TERRITORY, EVERYWHERE, allowed,
            f"You want to license worldwide; {title} is licensed for {allowed} only.",
        )  # fmt: skip
    elif beyond := ", ".join(sorted(terms.territory - governing.territory)):
        yield (
            Clash.TERRITORY, beyond, allowed,
            f"You want to license for {beyond}; {title} is licensed for {allowed} only.",
        )  # fmt: skip


def _term(terms: Terms, governing: Terms, title: str) -> Found:
    if governing.term_days is None:
        return
    if terms.term_days is None:
        yield (
            Clash.TERM, "without an end", f"{governing.term_days} days",
            f"You want to license without an end; {title} is licensed for {governing.term_days:,} days.",
        )  # fmt: skip
    elif terms.term_days > governing.term_days:
        yield (
            Clash.TERM, f"{terms.term_days} days", f"{governing.term_days} days",
            f"You want to license for {terms.term_days:,} days; {title} is licensed for {governing.term_days:,} days.",
        )  # fmt: skip


def _share_alike(terms: Terms, governing: Terms, title: str) -> Found:
    if not governing.share_alike:
        return
    if governing.spdx is not None:
        if not satisfies_share_alike(governing.spdx, terms.spdx):
            yield (
                Clash.SHARE_ALIKE, terms.spdx or "other terms", governing.spdx,
                f"{title} must be passed on under {governing.spdx} and under nothing else.",
            )  # fmt: skip
    elif not (terms.share_alike and terms.uses >= governing.uses and terms.commercial >= governing.commercial):
        yield (
            Clash.SHARE_ALIKE, "other terms", "the same terms",
            f"What is built from {title} must carry the same terms: share-alike, and no fewer uses than it grants.",
        )  # fmt: skip


def _attribution(terms: Terms, governing: Terms, title: str) -> Found:
    if governing.attribution is not None and governing.attribution not in (terms.attribution or ""):
        yield (
            Clash.ATTRIBUTION, terms.attribution or "none", governing.attribution,
            f"{title} must be credited, also by your buyers: put its credit into yours: {governing.attribution}",
        )  # fmt: skip


def _exclusive(terms: Terms, governing: Terms, title: str) -> Found:
    if terms.exclusive and not governing.exclusive:
        yield (
            Clash.EXCLUSIVE, "exclusive", "not exclusive",
            f"You want to license exclusively; others can license {title} too, so nobody would be alone.",
        )  # fmt: skip


_GRANTS: tuple[tuple[Clash, str, str], ...] = (
    (Clash.AFFILIATES, "affiliates", "include your buyers' affiliated companies"),
    (Clash.KEEP_MODELS, "keep_models", "let buyers keep their models when the license ends"),
    (Clash.PUBLISH_WEIGHTS, "publish_weights", "let buyers publish the weights of their models"),
    (Clash.TRANSFERABLE, "transferable", "let buyers hand their license on"),
)
_DUTIES: tuple[tuple[Clash, str, str], ...] = (
    (Clash.REPORT_USE, "report_use", "report their use"),
    (Clash.REMOVAL_DUTY, "removal_duty", "remove records that have to go"),
    (Clash.AUDIT_RIGHT, "audit_right", "let their use be audited"),
)


def _grants(terms: Terms, governing: Terms, title: str) -> Found:
    for clash, field, words in _GRANTS:
        if getattr(terms, field) and not getattr(governing, field):
            yield clash, "yes", "no", f"You want to {words}; the terms of {title} do not allow that."


def _duties(terms: Terms, governing: Terms, title: str) -> Found:
    for clash, field, words in _DUTIES:
        if getattr(governing, field) and not getattr(terms, field):
            yield (
                clash,
                "not asked for",
                "required",
                f"{title} requires users to {words}; your terms must ask for it too.",
            )


def _revocation(terms: Terms, governing: Terms, title: str) -> Found:
    if governing.revocation is None:
        return
    named = frozenset() if terms.revocation is None else terms.revocation.grounds
    for ground in sorted(governing.revocation.grounds - named):
        yield (
            Clash.REVOCATION, "not revocable", ground.value,
            f"The license of {title} may be revoked for {ground_in_words(ground)}; yours could not be.",
        )  # fmt: skip


RULES: tuple[Rule, ...] = (
    _derive, _uses, _commercial, _territory, _term, _share_alike, _attribution, _exclusive, _grants, _duties,
    _revocation,
)  # fmt: skip


class Basis(StrEnum):
    """On what right a source of the data rests, as the manifest's rights statements name it."""

    OWN_WORK = "own-work"
    COMMISSIONED = "commissioned"
    LICENSED = "licensed"
    OPEN_LICENSE = "open-license"
    WEB = "web"
    PERSONAL_DATA = "personal-data"
    SYNTHETIC = "synthetic"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Source:
    """One source of a mixed corpus: name, basis, SPDX id, sublicensing right, and its terms where they are known."""

    name: str
    basis: Basis
    spdx: str | None = None
    sublicensing: bool | None = None
    terms: Terms | None = None

    @property
    def granted(self) -> Terms | None:
        """What the source's license grants; None where nobody has established it."""
        if self.terms is not None:
            return self.terms
        known = None if self.spdx is None else OPEN_LICENSES.get(self.spdx)
        return None if known is None else known.terms()

    @property
    def own(self) -> bool:
        """True if the owner needs nobody's license for this source."""
        return self.basis in {Basis.OWN_WORK, Basis.COMMISSIONED, Basis.SYNTHETIC} and self.terms is None


@dataclass(frozen=True, slots=True)
class RollUp:
    """What all sources of a corpus allow together, beside the license that each keeps.

    `uses`, `commercial`, `territory` and `term_days` are the narrowest of the *known* sources; `unknown` names the
    sources about which nothing is known: as long as there is one, the rest is a best case and not a grant.
    """

    sources: tuple[Source, ...]
    uses: frozenset[Use]
    commercial: bool
    territory: frozenset[str]
    term_days: int | None
    share_alike: tuple[str, ...]
    attributions: tuple[str, ...]
    unknown: tuple[str, ...]
    not_sublicensable: tuple[str, ...]


def roll_up(sources: Sequence[Source]) -> RollUp:
    """Return what a corpus of many sources allows, one license per source kept. Raises CompatibilityRefusal if none."""
    if not sources:
        raise CompatibilityRefusal(
            "compatibility.no_sources", "A dataset has at least one source.", limit=1, actual=0,
            todo="Say where the data comes from; “unknown” is an answer.",
        )  # fmt: skip
    known = [(source, source.granted) for source in sources if not source.own]
    granted = [(source, terms) for source, terms in known if terms is not None]
    limited = [terms.term_days for _, terms in granted if terms.term_days is not None]
    return RollUp(
        sources=tuple(sources),
        uses=frozenset(Use).intersection(*(terms.uses for _, terms in granted)),
        commercial=all(terms.commercial for _, terms in granted),
        territory=_common_territory([terms.territory for _, terms in granted]),
        term_days=min(limited) if limited else None,
        share_alike=tuple(sorted({terms.spdx or source.name for source, terms in granted if terms.share_alike})),
        attributions=tuple(dict.fromkeys(terms.attribution for _, terms in granted if terms.attribution is not None)),
        unknown=tuple(source.name for source, terms in known if terms is None),
        not_sublicensable=tuple(
            source.name for source in sources if source.basis is Basis.LICENSED and source.sublicensing is not True
        ),
    )


def source_conflicts(dataset: str, terms: Terms, sources: Sequence[Source]) -> tuple[Conflict, ...]:
    """Return the conflicts of offering `terms` for `dataset` with the licenses of its own sources, all of them."""
    found: list[Conflict] = []
    for source in sources:
        title = f"“{source.name}”"
        if source.basis is Basis.LICENSED and source.sublicensing is not True:
            found.append(
                Conflict(
                    dataset,
                    Clash.SUBLICENSING,
                    "license",
                    "no sublicensing",
                    f"{title} is licensed to you without the right to license it on.",
                )
            )
        granted = source.granted
        if source.own or (granted is None and source.basis is Basis.LICENSED and source.sublicensing is True):
            continue
        if granted is None:
            found.append(
                Conflict(
                    dataset,
                    Clash.UNKNOWN,
                    "license",
                    "unknown",
                    f"Nobody has established what may be done with {title}: buyers see it as unknown.",
                )
            )
            continue
        found += [
            Conflict(dataset, clash, offered, allowed, sentence)
            for rule in RULES
            for clash, offered, allowed, sentence in rule(terms, granted, title)
        ]
    return tuple(found)


def _common_territory(territories: Sequence[frozenset[str]]) -> frozenset[str]:
    limited = [territory for territory in territories if EVERYWHERE not in territory]
    return frozenset.intersection(*limited) if limited else frozenset({EVERYWHERE})
