"""The transactions that evidence itself sends: registrations, versions, packages, terms, splits, hand-overs, anchors.

Payloads are JSON; `0x` is left away from SHA-256 digests, as everywhere outside the chain. `signer` is the key path of
a custodial owner (`owner/{account}`), who signs here; an owner with a wallet brings `signature` instead.

    registry.register         registration {owner, manifest, package, kind, open_derive, derive_bps, splits, parents:
                              [{dataset, license, source}…], max_stack_bps, deadline},
                              derivations [null | {signer} | {signature}…]
    registry.version          dataset, expected_version, manifest, package, kind, deadline
    registry.package          dataset, version, number, package, kind, deadline
    registry.set_derive_terms dataset, derive_bps, open_derive, deadline
    registry.set_splits       dataset, splits (null: the owner takes all), deadline
    registry.hand_over        dataset, to, deadline
    anchor                    origin (SHA-256 of the origin line), size, root, snapshot

`kind` is `open` or `sealed`, `deadline` Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from provenance import outbox
from provenance.core.digest import Sha256
from provenance.core.refusal import Refusal
from provenance.core.registration import (
    PackageKind,
    Parent,
    Registration,
    derive_terms_typed_data,
    hand_over_typed_data,
    package_typed_data,
    registry_domain,
    splits_typed_data,
    version_typed_data,
)
from provenance.core.typed_data import Domain, TypedData
from provenance.ports import Call, Chain, KeyRing

REGISTRY, ANCHOR = "DatasetRegistry", "EvidenceAnchor"
ANCHOR_LANE = "anchor"

# Python's JSON: what a payload holds was checked by `canonical_bytes` when it was enqueued.
Payload = Mapping[str, Any]


class CallPayloadRefusal(Refusal):
    """A payload does not say what the transaction needs."""


def register_kinds() -> None:
    """Make the kinds known to the outbox."""
    kinds: Mapping[str, Callable[[Payload, KeyRing, Chain], Call]] = {
        "registry.register": register,
        "registry.version": publish_version,
        "registry.package": make_package,
        "registry.set_derive_terms": set_derive_terms,
        "registry.set_splits": set_splits,
        "registry.hand_over": hand_over,
    }
    for name, builder in kinds.items():
        outbox.register(name, _checked(builder))
    outbox.register("anchor", _checked(anchor), lane=ANCHOR_LANE)


def registration_of(payload: Payload) -> Registration:
    """Return the registration that a payload of `registry.register` describes. Raises RegistrationRefusal."""
    said = payload["registration"]
    return Registration(
        owner=said["owner"],
        manifest=Sha256.from_hex(said["manifest"]),
        package=Sha256.from_hex(said["package"]),
        kind=PackageKind[said["kind"].upper()],
        open_derive=said["open_derive"],
        derive_bps=said["derive_bps"],
        splits=_splits(said),
        parents=tuple(
            Parent(parent["dataset"], parent["license"], parent.get("source", 0)) for parent in said["parents"]
        ),
        max_stack_bps=said["max_stack_bps"],
        deadline=said["deadline"],
    )


def owner_consent(kind: str, payload: Payload, domain: Domain, *, nonce: int = 0) -> TypedData:
    """Return what the owner signs for an intent of this kind; a wallet needs it before the intent is wanted.

    `nonce`: the dataset's own, for terms, splits and hand-overs. Raises KeyError for other kinds, and Refusal.
    """
    return _CONSENTS[kind](payload, domain, nonce)


def dataset_nonce(chain: Chain, dataset: int) -> int:
    """Return the number that the next signed change of terms, splits or owner names."""
    record: Any = chain.read(REGISTRY, "dataset", dataset)
    return int(record["nonce"])


def register(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Register a dataset; the owner signs, the relayer pays."""
    registration = registration_of(payload)
    domain = _domain(chain)
    signature = _signature(payload, registration.typed_data(domain), ring, expected=registration.owner)
    wanted = payload.get("derivations") or []
    derivations = [
        b"" if by is None else _signature(by, registration.derivation(domain, parent), ring)
        for by, parent in zip(wanted, registration.parents, strict=True)
    ] if wanted else []  # fmt: skip
    struct = {
        "owner": registration.owner,
        "manifest": registration.manifest.raw,
        "package": registration.package.raw,
        "packageKind": int(registration.kind),
        "openDerive": registration.open_derive,
        "deriveBps": registration.derive_bps,
        "splits": bytes(32) if registration.splits is None else registration.splits.raw,
        "parents": [parent.dataset for parent in registration.parents],
        "parentLicenses": [parent.reference for parent in registration.parents],
        "maxStackBps": registration.max_stack_bps,
        "deadline": registration.deadline,
    }
    return _call(chain, REGISTRY, "registerWithSig", struct, derivations, signature)


def publish_version(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Publish the next version of a dataset."""
    signature = _consented("registry.version", payload, ring, chain)
    manifest, package = Sha256.from_hex(payload["manifest"]), Sha256.from_hex(payload["package"])
    return _call(
        chain, REGISTRY, "publishVersionWithSig", payload["dataset"], payload["expected_version"], manifest.raw,
        package.raw, int(_kind(payload)), payload["deadline"], signature,
    )  # fmt: skip


def make_package(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Record a further package of a version."""
    signature = _consented("registry.package", payload, ring, chain)
    return _call(
        chain, REGISTRY, "makePackageWithSig", payload["dataset"], payload["version"], payload["number"],
        Sha256.from_hex(payload["package"]).raw, int(_kind(payload)), payload["deadline"], signature,
    )  # fmt: skip


def set_derive_terms(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Change what children registered from now on owe."""
    signature = _consented("registry.set_derive_terms", payload, ring, chain)
    return _call(
        chain, REGISTRY, "setDeriveTermsWithSig", payload["dataset"], payload["derive_bps"], payload["open_derive"],
        payload["deadline"], signature,
    )  # fmt: skip


def set_splits(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Change who shares the income that is settled from now on."""
    signature = _consented("registry.set_splits", payload, ring, chain)
    splits = _splits(payload)
    digest = bytes(32) if splits is None else splits.raw
    return _call(chain, REGISTRY, "setSplitsWithSig", payload["dataset"], digest, payload["deadline"], signature)


def hand_over(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Hand a dataset over to another address."""
    signature = _consented("registry.hand_over", payload, ring, chain)
    return _call(chain, REGISTRY, "handOverWithSig", payload["dataset"], payload["to"], payload["deadline"], signature)


def anchor(payload: Payload, _ring: KeyRing, chain: Chain) -> Call:
    """Anchor a tree head. The sender is who anchors: no signature besides the transaction's."""
    digests = [Sha256.from_hex(payload[name]).raw for name in ("origin", "root", "snapshot")]
    return _call(chain, ANCHOR, "anchor", digests[0], payload["size"], digests[1], digests[2])


def _checked(builder: Callable[[Payload, KeyRing, Chain], Call]) -> outbox.Builder:
    def build(payload: Mapping[str, object], ring: KeyRing, chain: Chain) -> Call:
        try:
            return builder(payload, ring, chain)
        except (KeyError, TypeError, ValueError) as error:
            # A malformed payload fails its own intent; raised further it would stop the whole lane.
            raise CallPayloadRefusal(
                "outbox.payload", f"The transaction's payload is malformed: {type(error).__name__} {error}."
            ) from error

    return build


def _signature(by: Payload, data: TypedData, ring: KeyRing, *, expected: str | None = None) -> bytes:
    if by.get("signature"):
        return bytes.fromhex(by["signature"].removeprefix("0x"))
    path = by["signer"]
    if expected is not None and ring.address(path) != expected:
        raise CallPayloadRefusal(
            "outbox.owner", "The custodial key is not the owner's.", limit=expected, actual=ring.address(path)
        )
    return bytes.fromhex(ring.sign_typed_data(path, data.to_json()).signature.removeprefix("0x"))


def _consented(kind: str, payload: Payload, ring: KeyRing, chain: Chain) -> bytes:
    # A wallet's signature stands in the payload: which nonce it signed is its own business, the registry judges.
    nonce = dataset_nonce(chain, payload["dataset"]) if kind in _NUMBERED and not payload.get("signature") else 0
    return _signature(payload, owner_consent(kind, payload, _domain(chain), nonce=nonce), ring)


def _version_consent(payload: Payload, domain: Domain, _nonce: int) -> TypedData:
    return version_typed_data(
        domain, dataset=payload["dataset"], expected_version=payload["expected_version"],
        manifest=Sha256.from_hex(payload["manifest"]), package=Sha256.from_hex(payload["package"]),
        kind=_kind(payload), deadline=payload["deadline"],
    )  # fmt: skip


def _package_consent(payload: Payload, domain: Domain, _nonce: int) -> TypedData:
    return package_typed_data(
        domain, dataset=payload["dataset"], version=payload["version"], number=payload["number"],
        package=Sha256.from_hex(payload["package"]), kind=_kind(payload), deadline=payload["deadline"],
    )  # fmt: skip


def _derive_terms_consent(payload: Payload, domain: Domain, nonce: int) -> TypedData:
    return derive_terms_typed_data(
        domain, dataset=payload["dataset"], derive_bps=payload["derive_bps"], open_derive=payload["open_derive"],
        nonce=nonce, deadline=payload["deadline"],
    )  # fmt: skip


def _splits_consent(payload: Payload, domain: Domain, nonce: int) -> TypedData:
    return splits_typed_data(
        domain, dataset=payload["dataset"], splits=_splits(payload), nonce=nonce, deadline=payload["deadline"]
    )


def _hand_over_consent(payload: Payload, domain: Domain, nonce: int) -> TypedData:
    return hand_over_typed_data(
        domain, dataset=payload["dataset"], to=payload["to"], nonce=nonce, deadline=payload["deadline"]
    )


_NUMBERED = frozenset({"registry.set_derive_terms", "registry.set_splits", "registry.hand_over"})
_CONSENTS: Mapping[str, Callable[[Payload, Domain, int], TypedData]] = {
    "registry.register": lambda payload, domain, _: registration_of(payload).typed_data(domain),
    "registry.version": _version_consent,
    "registry.package": _package_consent,
    "registry.set_derive_terms": _derive_terms_consent,
    "registry.set_splits": _splits_consent,
    "registry.hand_over": _hand_over_consent,
}


def _kind(payload: Payload) -> PackageKind:
    return PackageKind[payload["kind"].upper()]


def _splits(said: Payload) -> Sha256 | None:
    return None if said["splits"] is None else Sha256.from_hex(said["splits"])


def _domain(chain: Chain) -> Domain:
    return registry_domain(chain.chain_id, chain.address(REGISTRY))


def _call(chain: Chain, contract: str, function: str, *args: object) -> Call:
    return Call(to=chain.address(contract), data=chain.encode(contract, function, *args))
