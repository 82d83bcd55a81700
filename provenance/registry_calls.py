"""The transactions that evidence itself sends: registrations, versions, packages, terms, splits, hand-overs, anchors.

Payloads are JSON; `0x` is left away from SHA-256 digests, as everywhere outside the chain. `signer` is the key path of
a custodial owner (`owner/{account}`), who signs here; an owner with a wallet brings `signature` instead.

    registry.register         registration {owner, manifest, package, kind, open_derive, derive_bps, splits, parents:
                              [{dataset, license, source}…], deadline}, derivations [null | {signer} | {signature}…]
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
        deadline=said["deadline"],
    )


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
        "deadline": registration.deadline,
    }
    return _call(chain, REGISTRY, "registerWithSig", struct, derivations, signature)


def publish_version(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Publish the next version of a dataset."""
    manifest, package = Sha256.from_hex(payload["manifest"]), Sha256.from_hex(payload["package"])
    kind = PackageKind[payload["kind"].upper()]
    dataset, expected, deadline = payload["dataset"], payload["expected_version"], payload["deadline"]
    data = version_typed_data(
        _domain(chain), dataset=dataset, expected_version=expected, manifest=manifest, package=package, kind=kind,
        deadline=deadline,
    )  # fmt: skip
    signature = _signature(payload, data, ring)
    return _call(
        chain, REGISTRY, "publishVersionWithSig", dataset, expected, manifest.raw, package.raw, int(kind), deadline,
        signature,
    )  # fmt: skip


def make_package(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Record a further package of a version."""
    package, kind = Sha256.from_hex(payload["package"]), PackageKind[payload["kind"].upper()]
    dataset, version, number = payload["dataset"], payload["version"], payload["number"]
    data = package_typed_data(
        _domain(chain), dataset=dataset, version=version, number=number, package=package, kind=kind,
        deadline=payload["deadline"],
    )  # fmt: skip
    signature = _signature(payload, data, ring)
    return _call(
        chain, REGISTRY, "makePackageWithSig", dataset, version, number, package.raw, int(kind), payload["deadline"],
        signature,
    )  # fmt: skip


def set_derive_terms(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Change what children registered from now on owe."""
    dataset, bps, is_open = payload["dataset"], payload["derive_bps"], payload["open_derive"]
    data = derive_terms_typed_data(
        _domain(chain), dataset=dataset, derive_bps=bps, open_derive=is_open, nonce=_nonce(chain, dataset),
        deadline=payload["deadline"],
    )  # fmt: skip
    signature = _signature(payload, data, ring)
    return _call(chain, REGISTRY, "setDeriveTermsWithSig", dataset, bps, is_open, payload["deadline"], signature)


def set_splits(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Change who shares the income that is settled from now on."""
    dataset, splits = payload["dataset"], _splits(payload)
    data = splits_typed_data(
        _domain(chain), dataset=dataset, splits=splits, nonce=_nonce(chain, dataset), deadline=payload["deadline"]
    )
    signature = _signature(payload, data, ring)
    digest = bytes(32) if splits is None else splits.raw
    return _call(chain, REGISTRY, "setSplitsWithSig", dataset, digest, payload["deadline"], signature)


def hand_over(payload: Payload, ring: KeyRing, chain: Chain) -> Call:
    """Hand a dataset over to another address."""
    dataset, to = payload["dataset"], payload["to"]
    data = hand_over_typed_data(
        _domain(chain), dataset=dataset, to=to, nonce=_nonce(chain, dataset), deadline=payload["deadline"]
    )
    signature = _signature(payload, data, ring)
    return _call(chain, REGISTRY, "handOverWithSig", dataset, to, payload["deadline"], signature)


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


def _splits(said: Payload) -> Sha256 | None:
    return None if said["splits"] is None else Sha256.from_hex(said["splits"])


def _nonce(chain: Chain, dataset: int) -> int:
    record: Any = chain.read(REGISTRY, "dataset", dataset)
    return int(record["nonce"])


def _domain(chain: Chain) -> Domain:
    return registry_domain(chain.chain_id, chain.address(REGISTRY))


def _call(chain: Chain, contract: str, function: str, *args: object) -> Call:
    return Call(to=chain.address(contract), data=chain.encode(contract, function, *args))
