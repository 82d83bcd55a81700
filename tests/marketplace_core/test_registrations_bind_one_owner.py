import pytest
from eth_account import Account as Keys
from eth_utils.crypto import keccak

from provenance.core.keccak import _Portable, keccak256
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
from provenance.core.typed_data import SECP256K1_ORDER, Domain, StructType, TypedData
from tests.marketplace_core.cast import ADA, CHAIN, MALLORY, MARKET, REGISTRY, digest
from tests.marketplace_core.test_offers_are_signed_once_and_frozen import independent_digest

DOMAIN = registry_domain(CHAIN, REGISTRY)


def registration(**changes):
    return Registration(
        **(
            {
                "owner": ADA,
                "manifest": digest("manifest"),
                "package": digest("package"),
                "kind": PackageKind.SEALED,
                "open_derive": False,
                "derive_bps": 500,
                "splits": None,
                "parents": (Parent(1), Parent(3, license=7)),
                "max_stack_bps": 1_000,
                "deadline": 1_900_000_000,
            }
            | changes
        )
    )


@pytest.mark.parametrize(
    "typed",
    [
        registration().typed_data(DOMAIN),
        registration(parents=(), splits=digest("splits"), open_derive=True).typed_data(DOMAIN),
        registration().derivation(DOMAIN, Parent(3, license=7, source=1)),
        version_typed_data(
            DOMAIN,
            dataset=1,
            expected_version=1,
            manifest=digest("m"),
            package=digest("p"),
            kind=PackageKind.OPEN,
            deadline=9,
        ),
        package_typed_data(
            DOMAIN, dataset=1, version=1, number=2, package=digest("p"), kind=PackageKind.SEALED, deadline=9
        ),
        derive_terms_typed_data(DOMAIN, dataset=1, derive_bps=500, open_derive=True, nonce=3, deadline=9),
        splits_typed_data(DOMAIN, dataset=1, splits=digest("s"), nonce=3, deadline=9),
        splits_typed_data(DOMAIN, dataset=1, splits=None, nonce=3, deadline=9),
        hand_over_typed_data(DOMAIN, dataset=1, to=MALLORY, nonce=3, deadline=9),
    ],
    ids=lambda typed: typed.struct.name,
)
def test_another_implementation_of_eip_712_computes_the_same_hash(typed):
    assert typed.digest == independent_digest(typed)


def test_a_license_reference_carries_its_market():
    assert Parent(3, license=7, source=1).reference == 1 << 64 | 7
    assert Parent(3).reference == 0


def test_a_derivation_needs_a_license():
    with pytest.raises(Refusal, match="No license"):
        registration().derivation(DOMAIN, Parent(1))


@pytest.mark.parametrize(
    "change",
    [
        {"parents": tuple(Parent(number) for number in range(1, 18))},
        {"parents": (Parent(2), Parent(1))},
        {"parents": (Parent(1), Parent(1))},
        {"derive_bps": 10_001},
        {"max_stack_bps": 10_001},
    ],
)
def test_what_the_registry_would_refuse_is_not_signed(change):
    with pytest.raises(Refusal):
        registration(**change)


def test_sixteen_parents_are_accepted():
    assert registration(parents=tuple(Parent(number) for number in range(1, 17))).typed_data(DOMAIN)


def test_a_stolen_signature_registers_nothing_under_another_owner_registry_or_chain():
    keys = Keys.from_key(b"\x01" * 32)
    mine = registration(owner=keys.address.lower()).typed_data(DOMAIN)
    signature = bytes(keys.unsafe_sign_hash(mine.digest).signature)
    mine.check_signer(signature, keys.address.lower())
    for other in (
        registration(owner=MALLORY).typed_data(DOMAIN),
        registration(owner=keys.address.lower()).typed_data(registry_domain(1, REGISTRY)),
        registration(owner=keys.address.lower()).typed_data(registry_domain(CHAIN, MARKET)),
    ):
        with pytest.raises(Refusal):
            other.check_signer(signature, keys.address.lower())


def test_a_signature_holds_for_no_larger_share_of_the_parents():
    keys = Keys.from_key(b"\x01" * 32)
    owner = keys.address.lower()
    signature = bytes(keys.unsafe_sign_hash(registration(owner=owner).typed_data(DOMAIN).digest).signature)
    registration(owner=owner).typed_data(DOMAIN).check_signer(signature, owner)
    with pytest.raises(Refusal):
        registration(owner=owner, max_stack_bps=1_001).typed_data(DOMAIN).check_signer(signature, owner)


def test_the_other_s_of_a_signature_is_refused():
    keys = Keys.from_key(b"\x01" * 32)
    typed = registration().typed_data(DOMAIN)
    signature = bytes(keys.unsafe_sign_hash(typed.digest).signature)
    twin = (
        signature[:32] + (SECP256K1_ORDER - int.from_bytes(signature[32:64])).to_bytes(32) + bytes([55 - signature[64]])
    )
    with pytest.raises(Refusal) as refusal:
        typed.signer(twin)
    assert refusal.value.code == "signature.high_s"


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\0" * 65, b"\xff" * 65, b"\1" * 64 + b"\x1d"])
def test_bytes_that_are_no_signature_are_refused(signature):
    with pytest.raises(Refusal):
        registration().typed_data(DOMAIN).signer(signature)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256), ("uint8", -1), ("uint8", True), ("uint8", "1"), ("bool", 1), ("address", ADA.upper()),
        ("address", "0x12"), ("bytes32", b"x"), ("bytes32", "0x" + "00" * 32), ("uint256[]", 5), ("uint256[]", "ab"),
        ("string", "x"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_its_type_is_not_signed(kind, value):
    with pytest.raises(Refusal) as refusal:
        TypedData(Domain("X", 1, REGISTRY), StructType(f"Thing({kind} value)"), {"value": value})
    assert refusal.value.code == "typed_data.value"


def test_a_message_with_another_member_is_not_signed():
    with pytest.raises(Refusal, match="members"):
        TypedData(Domain("X", 1, REGISTRY), StructType("Thing(uint8 value)"), {"value": 1, "more": 2})


@pytest.mark.parametrize("data", [b"", b"abc", b"\x00" * 136, b"\xff" * 1_000])
def test_keccak_is_ethereums_whichever_backend_computes_it(data):
    assert keccak256(data) == keccak(data) == _Portable(data).digest()
