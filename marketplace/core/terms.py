"""License terms that machines compare and people read: `cadastre.terms/1`.

The human text prevails. An absent field grants nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Self

from marketplace.core.document import read_set
from marketplace.core.money import check_bps, check_units
from provenance.core.canonical import Json, document_bytes
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.refusal import Refusal

SCHEMA = "cadastre.terms/1"
TITLE_LIMIT = 200
TEXT_LIMIT = 100_000
NOTE_LIMIT = 1_000
TERM_DAYS_LIMIT = 36_500
SEATS_LIMIT = 1_000_000_000
NOTICE_DAYS_LIMIT = 365
EVERYWHERE = "*"

_COUNTRY = re.compile(r"[A-Z]{2}")
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")


class TermsRefusal(Refusal):
    """Terms contradict themselves, or a document is not `cadastre.terms/1`."""


class Use(StrEnum):
    """What a licensee may do. A use that is not named is not granted."""

    DERIVE = "derive"
    EVALUATE = "evaluate"
    FINE_TUNE = "fine-tune"
    PRETRAIN = "pretrain"
    REDISTRIBUTE = "redistribute"
    RETRIEVE = "retrieve"


class RateUnit(StrEnum):
    """What a metered price is for. Reports count single records, tokens, runs and bytes; see `counts`."""

    RECORDS_1000 = "records-1000"
    TOKENS_1000000 = "tokens-1000000"
    RUN = "run"
    GIGABYTE = "gigabyte"

    @property
    def counts(self) -> int:
        """How many reported things make one unit: 1,000 records, 1,000,000 tokens, 1 run, 10^9 bytes."""
        match self:
            case RateUnit.RECORDS_1000:
                return 1_000
            case RateUnit.TOKENS_1000000:
                return 1_000_000
            case RateUnit.RUN:
                return 1
            case RateUnit.GIGABYTE:
                return 1_000_000_000


class Ground(StrEnum):
    """Why a license may be revoked: only for a ground that its frozen terms name."""

    BREACH = "breach"
    COURT_ORDER = "court-order"
    NON_PAYMENT = "non-payment"
    RIGHTS_CLAIM = "rights-claim"


@dataclass(frozen=True, slots=True)
class Rate:
    """A metered price: `price` per unit beyond `allowance` units of the license's life.

    `minimum` is owed per license and epoch, used or not; `cap` ends all payment over the license's life.
    Prices are base units of the offer's token.
    """

    unit: RateUnit
    price: int
    allowance: int = 0
    minimum: int = 0
    cap: int | None = None

    def __post_init__(self) -> None:
        for units in (self.price, self.minimum, 0 if self.cap is None else self.cap):
            check_units(units)
        _check_number("terms.allowance", "The allowance", self.allowance, 0, 2**53 - 1)
        if self.cap is not None and self.cap < self.minimum:
            raise TermsRefusal(
                "terms.cap", "The cap is lower than the minimum of one epoch.", limit=self.minimum, actual=self.cap,
                todo="Raise the cap or lower the minimum.",
            )  # fmt: skip

    def to_document(self) -> dict[str, Json]:
        """Return the JSON object that stands under `rate`."""
        return {
            "unit": self.unit.value,
            "price": str(self.price),
            "allowance": self.allowance,
            "minimum": str(self.minimum),
            "cap": None if self.cap is None else str(self.cap),
        }

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read the JSON object that stands under `rate`. Raises FieldRefusal, TermsRefusal, MoneyRefusal."""
        found = Fields.of(value, "rate", ("unit", "price", "allowance", "minimum", "cap"))
        return cls(
            unit=found.member("unit", RateUnit),
            price=found.amount("price"),
            allowance=found.integer("allowance"),
            minimum=found.amount("minimum"),
            cap=None if found.members["cap"] is None else found.amount("cap"),
        )


@dataclass(frozen=True, slots=True)
class Revocation:
    """Grounds on which a license may end early, and the days of notice and of cure that come before."""

    grounds: frozenset[Ground]
    notice_days: int
    cure_days: int

    def __post_init__(self) -> None:
        if not self.grounds:
            raise TermsRefusal(
                "terms.revocation_grounds", "Revocation without a ground is not possible.", limit=1, actual=0,
                todo="Name a ground, or set revocation to null: not revocable.",
            )  # fmt: skip
        _check_number("terms.notice_days", "The notice period in days", self.notice_days, 1, NOTICE_DAYS_LIMIT)
        _check_number("terms.cure_days", "The cure period in days", self.cure_days, 0, NOTICE_DAYS_LIMIT)

    def to_document(self) -> dict[str, Json]:
        """Return the JSON object that stands under `revocation`."""
        return {
            "grounds": sorted(ground.value for ground in self.grounds),
            "notice_days": self.notice_days,
            "cure_days": self.cure_days,
        }

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read the JSON object that stands under `revocation`. Raises TermsRefusal."""
        found = Fields.of(value, "revocation", ("grounds", "notice_days", "cure_days"))
        return cls(
            grounds=read_set(found, "grounds", Ground),
            notice_days=found.integer("notice_days"),
            cure_days=found.integer("cure_days"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One set of license terms; field by field the keys of `cadastre.terms/1`.

    `term_days` None is perpetual, `seats` None unlimited, `revocation` None never, `rate` None not metered.
    `derive_bps` is what datasets derived under these terms owe of their income, in basis points.
    """

    title: str
    text: str
    uses: frozenset[Use]
    commercial: bool = False
    territory: frozenset[str] = frozenset({EVERYWHERE})
    term_days: int | None = None
    seats: int | None = None
    affiliates: bool = False
    keep_models: bool = True
    publish_weights: bool = False
    exclusive: bool = False
    transferable: bool = False
    attribution: str | None = None
    share_alike: bool = False
    report_use: bool = False
    removal_duty: bool = False
    audit_right: bool = False
    revocation: Revocation | None = None
    law: str | None = None
    rate: Rate | None = None
    all_versions: bool = False
    derive_bps: int = 0
    spdx: str | None = None

    def __post_init__(self) -> None:
        _check_text("title", self.title, TITLE_LIMIT)
        _check_text("text", self.text, TEXT_LIMIT)
        for name, note in (("attribution", self.attribution), ("law", self.law)):
            if note is not None:
                _check_text(name, note, NOTE_LIMIT)
        if not self.uses:
            raise TermsRefusal(
                "terms.uses", "Terms that grant no use are not a license.", limit=1, actual=0,
                todo="Name at least one of " + ", ".join(Use) + ".",
            )  # fmt: skip
        self._check_territory()
        if self.term_days is not None:
            _check_number("terms.term_days", "The term in days", self.term_days, 1, TERM_DAYS_LIMIT)
        if self.seats is not None:
            _check_number("terms.seats", "The number of seats", self.seats, 1, SEATS_LIMIT)
        check_bps(self.derive_bps, "share owed by derivatives")
        if self.spdx is not None and _SPDX.fullmatch(self.spdx) is None:
            raise TermsRefusal("terms.spdx", "This is not an SPDX license id.", actual=self.spdx[:80])
        if self.rate is not None and not self.report_use:
            raise TermsRefusal(
                "terms.rate_without_reports", "A metered price needs reports of use.",
                todo="Set report_use, or take the rate out.",
            )  # fmt: skip

    def _check_territory(self) -> None:
        if not self.territory:
            raise TermsRefusal(
                "terms.territory", "Terms that hold nowhere are not a license.", limit=1, actual=0,
                todo='Name countries by ISO 3166-1 alpha-2 code, or "*" for everywhere.',
            )  # fmt: skip
        wrong = sorted(place for place in self.territory if place != EVERYWHERE and not _COUNTRY.fullmatch(place))
        if wrong:
            raise TermsRefusal(
                "terms.territory", "A country is named by its ISO 3166-1 alpha-2 code.", actual=", ".join(wrong)[:80]
            )
        if EVERYWHERE in self.territory and len(self.territory) > 1:
            raise TermsRefusal(
                "terms.territory", 'A territory is either "*" or a list of countries.', limit=1,
                actual=len(self.territory),
            )  # fmt: skip

    @property
    def worldwide(self) -> bool:
        """True if the terms hold in every country."""
        return EVERYWHERE in self.territory

    def to_document(self) -> dict[str, Json]:
        """Return the `cadastre.terms/1` document."""
        return {
            "schema": SCHEMA,
            **{field.name: getattr(self, field.name) for field in fields(self) if field.name != "all_versions"},
            "uses": sorted(use.value for use in self.uses),
            "territory": sorted(self.territory),
            "revocation": None if self.revocation is None else self.revocation.to_document(),
            "rate": None if self.rate is None else self.rate.to_document(),
            "versions": "all-in-term" if self.all_versions else "one",
        }

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, at most 1 MiB."""
        return document_bytes(self.to_document())

    @property
    def digest(self) -> Sha256:
        """What offers and licenses carry: the SHA-256 of the canonical bytes."""
        return Sha256.of(self.to_bytes())

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a `cadastre.terms/1` document. Missing and unknown keys are refused.

        Raises FieldRefusal, TermsRefusal, MoneyRefusal.
        """
        found = Fields.of(value, "terms", _KEYS, schema=SCHEMA)
        versions = found.text("versions")
        if versions not in {"one", "all-in-term"}:
            raise TermsRefusal("terms.versions", 'versions is "one" or "all-in-term".', actual=versions[:40])
        return cls(
            title=found.text("title"),
            text=found.text("text", most=TEXT_LIMIT),
            uses=read_set(found, "uses", Use),
            commercial=found.flag("commercial"),
            territory=frozenset(found.sorted_texts("territory")),
            term_days=found.integer_or_none("term_days"),
            seats=found.integer_or_none("seats"),
            affiliates=found.flag("affiliates"),
            keep_models=found.flag("keep_models"),
            publish_weights=found.flag("publish_weights"),
            exclusive=found.flag("exclusive"),
            transferable=found.flag("transferable"),
            attribution=found.text_or_none("attribution"),
            share_alike=found.flag("share_alike"),
            report_use=found.flag("report_use"),
            removal_duty=found.flag("removal_duty"),
            audit_right=found.flag("audit_right"),
            revocation=None
            if found.members["revocation"] is None
            else Revocation.from_document(found.members["revocation"]),
            law=found.text_or_none("law"),
            rate=None if found.members["rate"] is None else Rate.from_document(found.members["rate"]),
            all_versions=versions == "all-in-term",
            derive_bps=found.integer("derive_bps"),
            spdx=found.text_or_none("spdx"),
        )


_KEYS = ("versions", *(field.name for field in fields(Terms) if field.name != "all_versions"))


def _check_text(name: str, text: str, limit: int) -> None:
    if not 1 <= len(text) <= limit:
        raise TermsRefusal(
            f"terms.{name}", f"The {name} of the terms has 1 to {limit:,} characters.", limit=limit, actual=len(text)
        )


def _check_number(code: str, what: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not low <= value <= high:
        raise TermsRefusal(
            code, f"{what} is a whole number from {low:,} to {high:,}.", limit=low if value < low else high,
            actual=value,
        )  # fmt: skip
