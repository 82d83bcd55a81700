"""A license: what was bought, for what, until when; its certificate; and the ways it can end.

The contract is the judge of all of it. What stands here is the same rule in Python, for pages and for auditors.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Self

from marketplace.core.document import read_set, read_time, read_time_or_none, write_time
from marketplace.core.money import check_units
from marketplace.core.offer import ground_bit, use_words
from marketplace.core.terms import Ground, Revocation, Use
from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.canonical import Json, document_bytes
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.refusal import Refusal
from provenance.core.typed_data import Domain, StructType, TypedData

SCHEMA = "cadastre.certificate/1"

_REVOCATION = StructType("Revocation(uint64 license,uint16 ground,bytes32 reason,uint32 round,uint256 deadline)")
_WITHDRAWAL = StructType("RevocationWithdrawal(uint64 license,uint32 round,uint256 deadline)")


class LicenseRefusal(Refusal):
    """A use that a license does not permit, or a certificate that contradicts itself."""


class LicenseStatus(IntEnum):
    """As the contract numbers it. An expired license is still `ACTIVE`: its end lies in the past, and says so."""

    ACTIVE = 1
    REFUNDED = 2
    REVOKED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class License:
    """One license. `version` None: every version published in the term; `end` None: perpetual. Times: Unix seconds."""

    name: Asset
    dataset: Asset
    version: int | None
    licensee: Account
    uses: frozenset[Use]
    commercial: bool
    start: int
    end: int | None
    status: LicenseStatus = LicenseStatus.ACTIVE

    def is_active(self, now: int, use: Use | None = None, *, commercial: bool = False) -> bool:
        """Say whether `use` is permitted at `now`, commercially if asked; without a use, whether anything is."""
        if self.status is not LicenseStatus.ACTIVE or (self.end is not None and now >= self.end):
            return False
        return (use is None or use in self.uses) and (self.commercial or not commercial)

    def check_active(self, now: int, use: Use, *, commercial: bool = False) -> None:
        """Raise LicenseRefusal, naming the cause, unless `use` is permitted at `now`."""
        if self.status is not LicenseStatus.ACTIVE:
            raise LicenseRefusal(
                "license.ended", f"The license was {self.status.name.lower()}.", actual=str(self.name),
                todo="Buy a new license.",
            )  # fmt: skip
        if self.end is not None and now >= self.end:
            raise LicenseRefusal(
                "license.expired", "The license has expired.", limit=write_time(self.end), actual=write_time(now),
                todo="Buy a new license.",
            )  # fmt: skip
        if not self.is_active(now, use, commercial=commercial):
            raise LicenseRefusal(
                "license.use", "The license does not grant this use.",
                limit=", ".join(use_words(self.uses, commercial=self.commercial)),
                actual=", ".join(use_words((use,), commercial=commercial)),
            )  # fmt: skip

    def covers(self, version: int) -> bool:
        """Say whether `version` of the dataset is licensed."""
        return self.version is None or self.version == version


def term_end(start: int, term_days: int | None) -> int | None:
    """Return the first second after the term, or None for a perpetual one."""
    return None if term_days is None else start + term_days * 86_400


def revocation_effective(announced: int, revocation: Revocation) -> int:
    """Return the earliest second at which a revocation announced at `announced` takes effect: notice, then cure."""
    return announced + (revocation.notice_days + revocation.cure_days) * 86_400


class Network(StrEnum):
    """Whether a certificate means anything in law: `test` is a development chain."""

    TEST = "test"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The receipt of a purchase: `cadastre.certificate/1`. Amounts in base units of `token`, times in Unix seconds."""

    license: Asset
    dataset: Asset
    version: int
    manifest: Sha256
    package: Sha256
    offer: Sha256
    terms: Sha256
    price: int
    fee: int
    token: Asset
    uses: frozenset[Use]
    commercial: bool
    licensee: Account
    start: int
    end: int | None
    tx: str
    block: int
    block_hash: str
    network: Network

    def __post_init__(self) -> None:
        check_units(self.price)
        if not 0 <= self.fee <= self.price:
            raise LicenseRefusal("certificate.fee", "The fee is part of the price.", limit=self.price, actual=self.fee)
        if self.end is not None and self.end <= self.start:
            raise LicenseRefusal(
                "certificate.term", "The license ends before it starts.", limit=write_time(self.start),
                actual=write_time(self.end),
            )  # fmt: skip

    def to_document(self) -> dict[str, Json]:
        """Return the `cadastre.certificate/1` document; `uses` has `commercial` among its words where granted."""
        return {
            "schema": SCHEMA,
            "license": str(self.license),
            "dataset": str(self.dataset),
            "version": self.version,
            "manifest": self.manifest.hex,
            "package": self.package.hex,
            "offer": self.offer.hex,
            "terms": self.terms.hex,
            "price": str(self.price),
            "fee": str(self.fee),
            "token": str(self.token),
            "uses": use_words(self.uses, commercial=self.commercial),
            "licensee": str(self.licensee),
            "start": write_time(self.start),
            "end": None if self.end is None else write_time(self.end),
            "tx": self.tx,
            "block": self.block,
            "block_hash": self.block_hash,
            "network": self.network.value,
        }

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document_bytes(self.to_document())

    @property
    def digest(self) -> Sha256:
        """How a license bundle names the certificate."""
        return Sha256.of(self.to_bytes())

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a `cadastre.certificate/1` document.

        Raises FieldRefusal, LicenseRefusal, CaipRefusal, MoneyRefusal, DigestRefusal.
        """
        found = Fields.of(value, "certificate", _KEYS, schema=SCHEMA)
        words = found.sorted_texts("uses")
        granted = Fields("certificate", {"uses": [word for word in words if word != "commercial"]})
        return cls(
            license=found.asset("license", AssetKind.LICENSE),
            dataset=found.asset("dataset", AssetKind.DATASET),
            version=found.integer("version", low=1),
            manifest=found.digest("manifest"),
            package=found.digest("package"),
            offer=found.digest("offer"),
            terms=found.digest("terms"),
            price=found.amount("price"),
            fee=found.amount("fee"),
            token=found.asset("token", AssetKind.TOKEN),
            uses=read_set(granted, "uses", Use),
            commercial="commercial" in words,
            licensee=found.account("licensee"),
            start=read_time(found, "start"),
            end=read_time_or_none(found, "end"),
            tx=found.hash32("tx"),
            block=found.integer("block"),
            block_hash=found.hash32("block_hash"),
            network=found.member("network", Network),
        )


_KEYS = (
    "license", "dataset", "version", "manifest", "package", "offer", "terms", "price", "fee", "token", "uses",
    "licensee", "start", "end", "tx", "block", "block_hash", "network",
)  # fmt: skip


def revocation_typed_data(
    domain: Domain, *, license_number: int, ground: Ground, reason: Sha256, revocation_round: int, deadline: int
) -> TypedData:
    """Return what the dataset's owner signs to announce a revocation; `reason` is the digest of its document."""
    return TypedData(
        domain,
        _REVOCATION,
        {
            "license": license_number,
            "ground": ground_bit(ground),
            "reason": reason.raw,
            "round": revocation_round,
            "deadline": deadline,
        },
    )


def revocation_withdrawal_typed_data(
    domain: Domain, *, license_number: int, revocation_round: int, deadline: int
) -> TypedData:
    """Return what the dataset's owner signs when the cause was cured."""
    return TypedData(domain, _WITHDRAWAL, {"license": license_number, "round": revocation_round, "deadline": deadline})
