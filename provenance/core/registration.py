"""What owners sign for the dataset registry: registration, version, package, and the changes of terms and owner.

The type strings are those of docs/chain.md. A signature is bound to chain and contract by its domain, to the owner by
the registration itself, so that nobody registers somebody else's manifest under another name with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal
from provenance.core.typed_data import Domain, StructType, TypedData

PARENTS_LIMIT = 16
BPS = 10_000
NO_DIGEST = bytes(32)

_REGISTRATION = StructType(
    "Registration(address owner,bytes32 manifest,bytes32 package,uint8 packageKind,bool openDerive,uint16 deriveBps,"
    "bytes32 splits,uint256[] parents,uint256[] parentLicenses,uint16 maxStackBps,uint256 deadline)"
)
_DERIVATION = StructType("Derivation(uint256 license,address owner,bytes32 manifest)")
_VERSION = StructType(
    "Version(uint256 dataset,uint32 expectedVersion,bytes32 manifest,bytes32 package,uint8 packageKind,"
    "uint256 deadline)"
)
_PACKAGE = StructType(
    "Package(uint256 dataset,uint32 version,uint32 number,bytes32 package,uint8 kind,uint256 deadline)"
)
_DERIVE_TERMS = StructType(
    "DeriveTerms(uint256 dataset,uint16 deriveBps,bool openDerive,uint256 nonce,uint256 deadline)"
)
_SPLITS = StructType("Splits(uint256 dataset,bytes32 splits,uint256 nonce,uint256 deadline)")
_HAND_OVER = StructType("HandOver(uint256 dataset,address to,uint256 nonce,uint256 deadline)")


class RegistrationRefusal(Refusal):
    """A registration that the registry would refuse, stopped before it is signed."""


class PackageKind(IntEnum):
    """How the bytes of a version are stored, as the registry numbers it."""

    OPEN = 0
    SEALED = 1


@dataclass(frozen=True, slots=True)
class Parent:
    """A dataset that the new one is built from, and the license that permits it.

    `license` is None where none is needed: the parent is open, or has the same owner. `source` indexes the registry's
    list of markets.
    """

    dataset: int
    license: int | None = None
    source: int = 0

    @property
    def reference(self) -> int:
        """The license reference `(source << 64) | license`, 0 where no license is needed."""
        return 0 if self.license is None else self.source << 64 | self.license


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Everything that registers a dataset. `splits` None: the owner takes all; `deadline`: Unix seconds, inclusive.

    `max_stack_bps`: the most that it may owe to all its ancestors, as its owner has seen it. The registry takes the
    shares that parents ask for when it is mined; without a bound one of them could raise its share just before.
    """

    owner: str
    manifest: Sha256
    package: Sha256
    kind: PackageKind
    open_derive: bool
    derive_bps: int
    splits: Sha256 | None
    parents: tuple[Parent, ...]
    max_stack_bps: int
    deadline: int

    def __post_init__(self) -> None:
        if len(self.parents) > PARENTS_LIMIT:
            raise RegistrationRefusal(
                "registration.parents", "A dataset has too many parents.", limit=PARENTS_LIMIT,
                actual=len(self.parents), todo="Build an intermediate dataset from some of them first.",
            )  # fmt: skip
        datasets = [parent.dataset for parent in self.parents]
        if datasets != sorted(set(datasets)):
            raise RegistrationRefusal("registration.parents_order", "Parents are sorted by number, each once.")
        if not 0 <= self.derive_bps <= BPS:
            raise RegistrationRefusal(
                "registration.derive_bps", "The share owed by derivatives is 0 to 100 %.", limit=BPS,
                actual=self.derive_bps,
            )  # fmt: skip
        if not 0 <= self.max_stack_bps <= BPS:
            raise RegistrationRefusal(
                "registration.max_stack_bps", "What a dataset may owe to its ancestors is 0 to 100 %.", limit=BPS,
                actual=self.max_stack_bps,
            )  # fmt: skip

    def typed_data(self, domain: Domain) -> TypedData:
        """Return what the owner signs. Raises TypedDataRefusal."""
        return TypedData(
            domain,
            _REGISTRATION,
            {
                "owner": self.owner,
                "manifest": self.manifest.raw,
                "package": self.package.raw,
                "packageKind": int(self.kind),
                "openDerive": self.open_derive,
                "deriveBps": self.derive_bps,
                "splits": NO_DIGEST if self.splits is None else self.splits.raw,
                "parents": tuple(parent.dataset for parent in self.parents),
                "parentLicenses": tuple(parent.reference for parent in self.parents),
                "maxStackBps": self.max_stack_bps,
                "deadline": self.deadline,
            },
        )

    def derivation(self, domain: Domain, parent: Parent) -> TypedData:
        """Return what the licensee of the license for `parent` signs, if that is not the owner.

        Raises RegistrationRefusal, TypedDataRefusal.
        """
        if parent.license is None:
            raise RegistrationRefusal(
                "registration.no_license", "No license is named for this parent.", actual=parent.dataset
            )
        return TypedData(
            domain,
            _DERIVATION,
            {"license": parent.reference, "owner": self.owner, "manifest": self.manifest.raw},
        )


def registry_domain(chain: int, registry: str) -> Domain:
    """Return the EIP-712 domain of a dataset registry."""
    return Domain("Cadastre Registry", chain, registry)


def version_typed_data(
    domain: Domain,
    *,
    dataset: int,
    expected_version: int,
    manifest: Sha256,
    package: Sha256,
    kind: PackageKind,
    deadline: int,
) -> TypedData:
    """Return what the owner signs to publish version `expected_version + 1`."""
    return TypedData(
        domain,
        _VERSION,
        {
            "dataset": dataset,
            "expectedVersion": expected_version,
            "manifest": manifest.raw,
            "package": package.raw,
            "packageKind": int(kind),
            "deadline": deadline,
        },
    )


def package_typed_data(
    domain: Domain, *, dataset: int, version: int, number: int, package: Sha256, kind: PackageKind, deadline: int
) -> TypedData:
    """Return what the owner signs to add package `number` (2 or more) to a version."""
    return TypedData(
        domain,
        _PACKAGE,
        {
            "dataset": dataset,
            "version": version,
            "number": number,
            "package": package.raw,
            "kind": int(kind),
            "deadline": deadline,
        },
    )


def derive_terms_typed_data(
    domain: Domain, *, dataset: int, derive_bps: int, open_derive: bool, nonce: int, deadline: int
) -> TypedData:
    """Return what the owner signs to change what children registered from now on owe."""
    return TypedData(
        domain,
        _DERIVE_TERMS,
        {"dataset": dataset, "deriveBps": derive_bps, "openDerive": open_derive, "nonce": nonce, "deadline": deadline},
    )


def splits_typed_data(domain: Domain, *, dataset: int, splits: Sha256 | None, nonce: int, deadline: int) -> TypedData:
    """Return what the owner signs to change who shares the income; None: the owner takes all."""
    return TypedData(
        domain,
        _SPLITS,
        {
            "dataset": dataset,
            "splits": NO_DIGEST if splits is None else splits.raw,
            "nonce": nonce,
            "deadline": deadline,
        },
    )


def hand_over_typed_data(domain: Domain, *, dataset: int, to: str, nonce: int, deadline: int) -> TypedData:
    """Return what the owner signs to hand the dataset over to another address."""
    return TypedData(domain, _HAND_OVER, {"dataset": dataset, "to": to, "nonce": nonce, "deadline": deadline})
