import json

import pytest
from eth_abi.abi import encode
from eth_account import Account as Keys
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.offer import (
    COMMERCIAL_BIT,
    NEVER,
    Offer,
    OfferRefusal,
    authorization_typed_data,
    cancellation_typed_data,
    check_acceptable,
    check_derive_share,
    deposit_nonce,
    market_domain,
    order_nonce,
    order_typed_data,
    use_mask,
    use_words,
    uses_of_mask,
)
from marketplace.core.presets import preset
from marketplace.core.terms import Rate, RateUnit, Use
from provenance.core.caip import Account
from provenance.core.canonical import parse_canonical
from provenance.core.refusal import Refusal
from provenance.core.typed_data import Domain
from tests.marketplace_core.cast import BEN, CHAIN, CLEO, MALLORY, MARKET, TUSD, dataset, digest, offer, terms

DOMAIN = market_domain(CHAIN, MARKET)
TRAIN = preset("train-commercial").terms


def independent_digest(typed):
    """The EIP-712 hash by eth-account's own encoder, which reads JSON with numbers."""
    message = json.loads(json.dumps(typed.to_json()))
    kinds = {member["name"]: member["type"] for member in message["types"][message["primaryType"]]}
    for name, kind in kinds.items():
        if kind.startswith("uint"):
            value = message["message"][name]
            message["message"][name] = [int(each) for each in value] if kind.endswith("[]") else int(value)
    signable = encode_typed_data(full_message=message)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def test_an_offer_is_read_back_as_it_was_written():
    for each in (
        offer(TRAIN),
        offer(TRAIN, expires=1_800_000_000, count=5, licensee=Account(CHAIN, CLEO), nonce=2**256 - 1, price=0),
    ):
        assert Offer.from_document(parse_canonical(each.to_bytes())) == each


def test_the_signed_struct_says_what_offer_and_terms_say():
    signed = offer(TRAIN).typed_data(DOMAIN, TRAIN).message
    assert signed["version"] == 1
    assert signed["uses"] == 1 | 2 | 4 | 8 | 16 | COMMERCIAL_BIT
    assert signed["termSeconds"] == 730 * 86_400
    assert (signed["grounds"], signed["cureDays"]) == (15, 44)
    assert (signed["expiry"], signed["maxLicenses"], signed["unitPrice"]) == (NEVER, 0, 0)
    assert signed["document"] == offer(TRAIN).digest.raw


def test_all_versions_no_end_and_no_revocation_are_zeros_on_chain():
    open_terms = preset("open-cc-by-4.0").terms
    signed = offer(open_terms, price=0).typed_data(DOMAIN, open_terms).message
    assert (signed["version"], signed["termSeconds"], signed["grounds"], signed["cureDays"]) == (0, 0, 0, 0)


def test_a_metered_price_is_shown_on_chain():
    metered = terms(rate=Rate(RateUnit.RUN, 2_000_000), report_use=True)
    assert offer(metered).typed_data(DOMAIN, metered).message["unitPrice"] == 2_000_000


def test_terms_swapped_under_an_offer_are_refused():
    with pytest.raises(OfferRefusal, match="not the terms"):
        offer(TRAIN).typed_data(DOMAIN, preset("derive").terms)


@pytest.mark.parametrize(
    "typed",
    [
        offer(TRAIN).typed_data(DOMAIN, TRAIN),
        order_typed_data(DOMAIN, offer_hash=b"o" * 32, payer=BEN, licensee=CLEO, order=b"x" * 32, valid_before=9),
        cancellation_typed_data(DOMAIN, dataset=12, nonce=7, deadline=9),
        authorization_typed_data(
            Domain("Test USD", CHAIN, TUSD), payer=BEN, market=MARKET, value=5, valid_before=9, nonce=b"n" * 32
        ),
    ],
    ids=lambda typed: typed.struct.name,
)
def test_another_implementation_of_eip_712_computes_the_same_hash(typed):
    assert typed.digest == independent_digest(typed)


def test_a_signature_names_its_signer_and_no_other():
    keys = Keys.from_key(b"\x01" * 32)
    typed = offer(TRAIN).typed_data(DOMAIN, TRAIN)
    signature = bytes(keys.unsafe_sign_hash(typed.digest).signature)
    typed.check_signer(signature, keys.address.lower())
    with pytest.raises(Refusal) as refusal:
        typed.check_signer(signature, MALLORY)
    assert refusal.value.code == "signature.signer"


def test_a_signature_for_one_offer_chain_or_market_is_none_for_another():
    keys = Keys.from_key(b"\x01" * 32)
    signature = bytes(keys.unsafe_sign_hash(offer(TRAIN).typed_data(DOMAIN, TRAIN).digest).signature)
    others = [
        offer(TRAIN, price=1).typed_data(DOMAIN, TRAIN),
        offer(TRAIN).typed_data(market_domain(1, MARKET), TRAIN),
        offer(TRAIN).typed_data(market_domain(CHAIN, TUSD), TRAIN),
    ]
    for other in others:
        with pytest.raises(Refusal):
            other.check_signer(signature, keys.address.lower())


def test_payment_is_bound_to_offer_licensee_order_chain_and_market():
    nonce = order_nonce(DOMAIN, offer_hash=b"o" * 32, licensee=CLEO, order=b"x" * 32)
    assert nonce == keccak(
        encode(["uint256", "address", "bytes32", "address", "bytes32"], [CHAIN, MARKET, b"o" * 32, CLEO, b"x" * 32])
    )
    assert nonce != order_nonce(DOMAIN, offer_hash=b"o" * 32, licensee=MALLORY, order=b"x" * 32)
    assert deposit_nonce(DOMAIN, account=BEN, reference=b"r" * 32) == keccak(
        encode(["uint256", "address", "address", "bytes32"], [CHAIN, MARKET, BEN, b"r" * 32])
    )
    with pytest.raises(OfferRefusal):
        order_nonce(DOMAIN, offer_hash=b"o", licensee=CLEO, order=b"x" * 32)


@given(st.frozensets(st.sampled_from(Use)), st.booleans())
def test_uses_become_a_mask_and_back(uses, commercial):
    assert uses_of_mask(use_mask(uses, commercial=commercial)) == (uses, commercial)


def test_a_mask_with_an_unknown_bit_is_refused():
    with pytest.raises(OfferRefusal, match="without a meaning"):
        uses_of_mask(128)
    assert use_words({Use.DERIVE, Use.PRETRAIN}, commercial=True) == ["commercial", "derive", "pretrain"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"price": -1}, "amount.negative"),
        ({"price": 2**64}, "amount.too_large"),
        ({"fee_bps": 501}, "offer.fee"),
        ({"hold_seconds": 365 * 86_400 + 1}, "offer.hold"),
        ({"count": 0}, "offer.count"),
        ({"version": 0}, "offer.version"),
        ({"nonce": 2**256}, "offer.nonce"),
        ({"token": dataset(1)}, "offer.names"),
    ],
)
def test_an_offer_that_the_contract_would_refuse_is_not_made(change, code):
    with pytest.raises(Refusal) as refusal:
        offer(TRAIN, **change)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "change", [{"price": 5}, {"price": "05"}, {"nonce": "-1"}, {"expires": "never"}, {"extra": None}]
)
def test_a_document_that_is_not_of_the_schema_is_refused(change):
    with pytest.raises(Refusal):
        Offer.from_document(offer(TRAIN).to_document() | change)


def test_an_offer_can_be_accepted_until_its_last_second():
    expiring = offer(TRAIN, expires=1_000, count=2, licensee=Account(CHAIN, CLEO))
    accept = {"now": 1_000, "licensee": Account(CHAIN, CLEO), "sold": 1, "withdrawn": False}
    check_acceptable(expiring, **accept)
    for change, code in (
        ({"now": 1_001}, "offer.expired"), ({"sold": 2}, "offer.sold_out"), ({"withdrawn": True}, "offer.withdrawn"),
        ({"licensee": Account(CHAIN, MALLORY)}, "offer.for_other"),
    ):  # fmt: skip
        with pytest.raises(OfferRefusal) as refusal:
            check_acceptable(expiring, **(accept | change))
        assert refusal.value.code == code


def test_the_share_for_derived_datasets_must_be_the_registrys():
    check_derive_share(TRAIN, 1_000)
    with pytest.raises(OfferRefusal, match="registry"):
        check_derive_share(TRAIN, 500)


def test_an_edit_is_another_offer():
    assert offer(TRAIN).digest != offer(TRAIN, manifest=digest("other")).digest
