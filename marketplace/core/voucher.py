"""Metered use: from reports to the cumulative amount that a licensee signs.

1. Units are counted over the license's life: single records, tokens, runs or bytes.
2. The metered price of U units is price × max(0, U - allowance × counts) / counts, rounded down. It is always taken of
   the *cumulative* units, so that a thousand tiny reports cost what one large report costs; the remainder stays the
   licensee's until more units complete it.
3. Each epoch owes what the metered price grew by in it, but at least the minimum once the epoch is closed.
4. The sum over the epochs is cut at the cap.
5. A voucher never lowers units or amount: what a correction takes back is credited to later use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Self

from marketplace.core.money import UNITS_LIMIT, check_units
from marketplace.core.terms import Rate, RateUnit, Use
from provenance.core.caip import Asset, AssetKind
from provenance.core.canonical import Json, document_bytes
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.merkle import MerkleTree, leaf_hash
from provenance.core.refusal import Refusal
from provenance.core.typed_data import Domain, StructType, TypedData

SCHEMA = "cadastre.usage/1"
NAME_LIMIT = 200

_VOUCHER = StructType("Voucher(uint64 license,uint64 cumulativeUnits,uint64 cumulativeAmount,bytes32 reportsRoot)")
_SALT = re.compile(r"[0-9a-f]{32}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class UsageRefusal(Refusal):
    """A report of use, or a voucher, that does not follow from the frozen terms."""


@dataclass(frozen=True, slots=True)
class EpochUse:
    """What was used in one epoch: `quantity` of single records, tokens, runs or bytes. `closed`: the minimum is due."""

    epoch: int
    quantity: int
    closed: bool = True

    def __post_init__(self) -> None:
        check_units(self.quantity)


@dataclass(frozen=True, slots=True)
class Owed:
    """Cumulative units used and cumulative amount owed for them, in base units of the license's token."""

    units: int = 0
    amount: int = 0


def metered(rate: Rate, units: int) -> int:
    """Return the price of `units` over the license's life, before minimum and cap (step 2)."""
    return rate.price * max(0, units - rate.allowance * rate.unit.counts) // rate.unit.counts


def owed(rate: Rate, epochs: Iterable[EpochUse]) -> Owed:
    """Return what the epochs of a license's life, in order and each once, owe together (steps 1 to 4).

    Raises UsageRefusal for epochs out of order, and for sums that 64 bits do not hold.
    """
    units = amount = before = 0
    last: int | None = None
    for use in epochs:
        if last is not None and use.epoch <= last:
            raise UsageRefusal("usage.epoch_order", "Epochs come in order, each once.", limit=last, actual=use.epoch)
        last = use.epoch
        units += use.quantity
        after = metered(rate, units)
        amount += max(after - before, rate.minimum if use.closed else 0)
        before = after
    if rate.cap is not None:
        amount = min(amount, rate.cap)
    if max(units, amount) > UNITS_LIMIT:
        raise UsageRefusal(
            "usage.overflow", "The license's use does not fit into 64 bits.", limit=str(UNITS_LIMIT),
            actual=str(max(units, amount)),
        )  # fmt: skip
    return Owed(units, amount)


def next_owed(previous: Owed, rate: Rate, epochs: Iterable[EpochUse]) -> Owed:
    """Return what the next voucher says: what is owed now, but never less than `previous` said (step 5)."""
    now = owed(rate, epochs)
    return Owed(max(previous.units, now.units), max(previous.amount, now.amount))


@dataclass(frozen=True, slots=True)
class Voucher:
    """What a licensee signs: cumulative units and amount, and the root over the reports that explain them."""

    license: int
    units: int
    amount: int
    reports_root: bytes

    def typed_data(self, domain: Domain) -> TypedData:
        """Return the EIP-712 `Voucher`. Raises TypedDataRefusal."""
        return TypedData(
            domain,
            _VOUCHER,
            {
                "license": self.license,
                "cumulativeUnits": self.units,
                "cumulativeAmount": self.amount,
                "reportsRoot": self.reports_root,
            },
        )


def make_voucher(
    license_number: int, rate: Rate, epochs: Iterable[EpochUse], reports: Sequence[Sha256], previous: Voucher | None
) -> Voucher:
    """Return the next voucher of a license: what its epochs owe, over all its report digests in order.

    Raises UsageRefusal when nothing was added since `previous`: the contract would refuse it.
    """
    before = Owed() if previous is None else Owed(previous.units, previous.amount)
    now = next_owed(before, rate, epochs)
    if now == before:
        raise UsageRefusal(
            "usage.nothing_new", "Nothing is owed that was not signed before.", limit=before.amount, actual=now.amount
        )
    return Voucher(license_number, now.units, now.amount, reports_root(reports))


def reports_root(reports: Sequence[Sha256]) -> bytes:
    """Return the RFC 6962 root over report digests (32 raw bytes each) of one license, in order."""
    return MerkleTree(leaf_hash(report.raw) for report in reports).root


@dataclass(frozen=True, slots=True)
class Subject:
    """The model or run of a report: named by an id, or committed to by the digest of a salted id."""

    id: str | None = None
    commitment: str | None = None

    def __post_init__(self) -> None:
        if (self.id is None) == (self.commitment is None):
            raise UsageRefusal("usage.subject", "A model or run has either an id or a commitment.")
        if self.id is not None and not 1 <= len(self.id) <= NAME_LIMIT:
            raise UsageRefusal(
                "usage.subject_id", f"An id has 1 to {NAME_LIMIT} characters.", limit=NAME_LIMIT, actual=len(self.id)
            )
        if self.commitment is not None:
            Sha256.from_hex(self.commitment)

    def to_document(self) -> dict[str, Json]:
        """Return `{"id": …}` or `{"commitment": …}`."""
        return {"id": self.id} if self.id is not None else {"commitment": self.commitment}

    @classmethod
    def from_document(cls, value: Json, where: str) -> Self:
        """Read `{"id": …}` or `{"commitment": …}`. Raises FieldRefusal, UsageRefusal."""
        key = "id" if isinstance(value, dict) and "id" in value else "commitment"
        text = Fields.of(value, where, (key,)).text(key)
        return cls(id=text) if key == "id" else cls(commitment=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """One report: `cadastre.usage/1`. Private to licensee and owner; the log holds its digest.

    `quantity` counts single records, tokens, runs or bytes; `unit` is the rate's unit, None where nothing is metered.
    `corrects` is the digest of the report that this one replaces.
    """

    license: str
    version: int
    first: str
    last: str
    use: Use
    unit: RateUnit | None
    quantity: int
    model: Subject
    run: Subject
    salt: str
    corrects: Sha256 | None = None

    def __post_init__(self) -> None:
        Asset.parse(self.license, AssetKind.LICENSE)
        check_units(self.quantity)
        if self.version < 1:
            raise UsageRefusal("usage.version", "Versions count from 1.", limit=1, actual=self.version)
        if _day(self.first) > _day(self.last):
            raise UsageRefusal("usage.period", "The period ends before it begins.", limit=self.first, actual=self.last)
        if _SALT.fullmatch(self.salt) is None:
            raise UsageRefusal("usage.salt", "A salt has 32 lower-case hex digits.", actual=len(self.salt))

    def to_document(self) -> dict[str, Json]:
        """Return the `cadastre.usage/1` document."""
        return {
            "schema": SCHEMA,
            "license": self.license,
            "version": self.version,
            "period": {"from": self.first, "to": self.last},
            "use": self.use.value,
            "unit": None if self.unit is None else self.unit.value,
            "quantity": str(self.quantity),
            "model": self.model.to_document(),
            "run": self.run.to_document(),
            "salt": self.salt,
            "corrects": None if self.corrects is None else self.corrects.hex,
        }

    @property
    def digest(self) -> Sha256:
        """What the log and the reports root hold."""
        return Sha256.of(document_bytes(self.to_document()))

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a `cadastre.usage/1` document. Raises FieldRefusal, UsageRefusal, CaipRefusal, MoneyRefusal."""
        found = Fields.of(value, "usage report", _KEYS, schema=SCHEMA)
        period = Fields.of(found.members["period"], "period", ("from", "to"))
        return cls(
            license=found.text("license"),
            version=found.integer("version", low=1),
            first=period.text("from"),
            last=period.text("to"),
            use=found.member("use", Use),
            unit=None if found.members["unit"] is None else found.member("unit", RateUnit),
            quantity=found.amount("quantity"),
            model=Subject.from_document(found.members["model"], "model"),
            run=Subject.from_document(found.members["run"], "run"),
            salt=found.text("salt"),
            corrects=found.digest_or_none("corrects"),
        )


_KEYS = ("license", "version", "period", "use", "unit", "quantity", "model", "run", "salt", "corrects")


def check_report(report: UsageReport, *, uses: frozenset[Use], rate: Rate | None, version: int | None) -> None:
    """Refuse a report of what the license does not grant, or in another unit than it is priced in.

    `version` is the one the license covers, None for all of its term. Raises UsageRefusal.
    """
    if report.use not in uses:
        raise UsageRefusal(
            "usage.use_not_granted", "The license does not grant this use.",
            limit=", ".join(sorted(uses)), actual=report.use.value, todo="License the dataset for this use first.",
        )  # fmt: skip
    if version is not None and report.version != version:
        raise UsageRefusal(
            "usage.version_not_covered", "The license covers another version.", limit=version, actual=report.version
        )
    if rate is not None and report.unit is not rate.unit:
        raise UsageRefusal(
            "usage.unit", "The license is priced in another unit.", limit=rate.unit.value, actual=report.unit or "none",
            todo=f"Report in {rate.unit.value}, counting single {rate.unit.value.partition('-')[0]}.",
        )  # fmt: skip


def in_force(reports: Sequence[UsageReport]) -> tuple[UsageReport, ...]:
    """Return the reports of one license that no later report corrects, in order.

    A correction replaces a report made before it, once. Raises UsageRefusal.
    """
    replaced: set[Sha256] = set()
    seen: set[Sha256] = set()
    for report in reports:
        if report.corrects is not None:
            if report.corrects not in seen:
                raise UsageRefusal(
                    "usage.corrects_unknown", "The report that this one corrects does not come before it.",
                    actual=report.corrects.hex,
                )  # fmt: skip
            if report.corrects in replaced:
                raise UsageRefusal(
                    "usage.corrected_twice", "The report was corrected before.", actual=report.corrects.hex,
                    todo="Correct the correction instead.",
                )  # fmt: skip
            replaced.add(report.corrects)
        if report.digest in seen:
            raise UsageRefusal("usage.report_twice", "The same report stands there twice.", actual=report.digest.hex)
        seen.add(report.digest)
    return tuple(report for report in reports if report.digest not in replaced)


def _day(text: str) -> date:
    if _DATE.fullmatch(text) is not None:
        try:
            return date.fromisoformat(text)
        except ValueError:  # a 30th of February: the pattern fits, the calendar does not
            pass
    raise UsageRefusal("usage.date", "A date is written YYYY-MM-DD.", actual=text[:40])
