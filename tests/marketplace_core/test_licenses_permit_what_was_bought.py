import dataclasses

import pytest

from marketplace.core.license import (
    Certificate,
    License,
    LicenseRefusal,
    LicenseStatus,
    Network,
    revocation_effective,
    revocation_typed_data,
    revocation_withdrawal_typed_data,
    term_end,
)
from marketplace.core.offer import market_domain
from marketplace.core.payee import acceptance_typed_data, change_typed_data
from marketplace.core.presets import STANDARD_REVOCATION
from marketplace.core.terms import Ground, Use
from marketplace.core.voucher import Voucher
from provenance.core.caip import Account
from provenance.core.canonical import parse_canonical
from provenance.core.refusal import Refusal
from tests.marketplace_core.cast import ADA, CHAIN, CLEO, MARKET, TOKEN, dataset, digest, license_of, tx
from tests.marketplace_core.test_offers_are_signed_once_and_frozen import independent_digest

DOMAIN = market_domain(CHAIN, MARKET)
LICENSE = License(
    name=license_of(5), dataset=dataset(12), version=1, licensee=Account(CHAIN, CLEO),
    uses=frozenset({Use.PRETRAIN, Use.DERIVE}), commercial=False, start=1_000, end=2_000,
)  # fmt: skip


def certificate(**changes):
    return Certificate(
        **(
            {
                "license": license_of(5), "dataset": dataset(12), "version": 1, "manifest": digest("m"),
                "package": digest("p"), "offer": digest("o"), "terms": digest("t"), "price": 240, "fee": 6,
                "token": TOKEN, "uses": frozenset({Use.PRETRAIN}), "commercial": True,
                "licensee": Account(CHAIN, CLEO), "start": 1_000, "end": 2_000, "tx": tx(1), "block": 7,
                "block_hash": tx(2), "network": Network.TEST,
            }
            | changes
        )
    )  # fmt: skip


def test_a_license_permits_its_uses_until_the_second_before_its_end():
    assert LICENSE.is_active(1_999, Use.PRETRAIN)
    assert not LICENSE.is_active(2_000, Use.PRETRAIN)
    assert not LICENSE.is_active(1_500, Use.RETRIEVE)
    assert not LICENSE.is_active(1_500, Use.PRETRAIN, commercial=True)
    assert dataclasses.replace(LICENSE, end=None).is_active(10**12, Use.PRETRAIN)


@pytest.mark.parametrize("status", [LicenseStatus.REFUNDED, LicenseStatus.REVOKED])
def test_a_refunded_or_revoked_license_permits_nothing(status):
    assert not dataclasses.replace(LICENSE, status=status).is_active(1_500)


@pytest.mark.parametrize(
    ("change", "asked", "code"),
    [
        ({}, (2_000, Use.PRETRAIN, False), "license.expired"),
        ({}, (1_500, Use.RETRIEVE, False), "license.use"),
        ({}, (1_500, Use.PRETRAIN, True), "license.use"),
        ({"status": LicenseStatus.REVOKED}, (1_500, Use.PRETRAIN, False), "license.ended"),
    ],
)
def test_a_refused_use_names_its_cause(change, asked, code):
    now, use, commercial = asked
    with pytest.raises(LicenseRefusal) as refusal:
        dataclasses.replace(LICENSE, **change).check_active(now, use, commercial=commercial)
    assert refusal.value.code == code
    LICENSE.check_active(1_500, Use.DERIVE)


def test_a_license_covers_one_version_or_all():
    assert LICENSE.covers(1)
    assert not LICENSE.covers(2)
    assert dataclasses.replace(LICENSE, version=None).covers(2)


def test_a_term_ends_after_its_days_and_a_revocation_after_notice_and_cure():
    assert term_end(1_000, 2) == 1_000 + 172_800
    assert term_end(1_000, None) is None
    assert revocation_effective(0, STANDARD_REVOCATION) == 44 * 86_400


def test_a_certificate_is_read_back_as_it_was_written():
    for each in (certificate(), certificate(end=None, commercial=False, network=Network.LIVE)):
        assert Certificate.from_document(parse_canonical(each.to_bytes())) == each
    assert certificate().to_document()["uses"] == ["commercial", "pretrain"]


@pytest.mark.parametrize("change", [{"fee": 241}, {"end": 1_000}, {"price": -1}])
def test_a_certificate_that_contradicts_itself_is_refused(change):
    with pytest.raises(Refusal):
        certificate(**change)


@pytest.mark.parametrize(
    "change", [{"uses": ["mine"]}, {"network": "moon"}, {"tx": "0x12"}, {"license": str(dataset(1))}, {"start": "now"}]
)
def test_a_document_that_is_not_of_the_schema_is_refused(change):
    with pytest.raises(Refusal):
        Certificate.from_document(certificate().to_document() | change)


@pytest.mark.parametrize(
    "typed",
    [
        revocation_typed_data(
            DOMAIN, license_number=5, ground=Ground.NON_PAYMENT, reason=digest("r"), revocation_round=1, deadline=9
        ),
        revocation_withdrawal_typed_data(DOMAIN, license_number=5, revocation_round=1, deadline=9),
        acceptance_typed_data(DOMAIN, account=ADA, deadline=9),
        change_typed_data(DOMAIN, payee=3, to=CLEO, nonce=1, deadline=9),
        Voucher(5, 100, 200, b"r" * 32).typed_data(DOMAIN),
    ],
    ids=lambda typed: typed.struct.name,
)
def test_another_implementation_of_eip_712_computes_the_same_hash(typed):
    assert typed.digest == independent_digest(typed)
