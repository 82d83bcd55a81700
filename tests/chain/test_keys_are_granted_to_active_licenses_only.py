"""The signer's other work: signatures that were asked for, content keys, and grants that the chain must permit."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pyrage
import pytest
from eth_account import Account

from provenance import bootstrap
from provenance.adapters.keystore import SeedKeyRing
from provenance.core.digest import Sha256
from provenance.core.registration import registry_domain, splits_typed_data
from provenance.models import (
    ContentAct,
    ContentKey,
    DatasetRecord,
    Deployment,
    Document,
    GrantRow,
    GrantState,
    IntakeStatement,
    KeyState,
    PackageRecord,
    SignatureRequest,
    SignatureState,
    Submission,
)
from provenance.ports import CallRefused, ChainDown, Header, KeyRefusal
from provenance.signing import recipient_commitment, request_signature, sign_due

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RING = SeedKeyRing(bytes(range(1, 33)))
PACKAGE = "ab" * 32
ADA = UUID("7f0c1d52-9a1e-4c5b-8a44-2a5a5d7b3f10")


@dataclass
class _Market:
    """What the chain says about licenses at its final block."""

    licenses: dict[int, dict[str, Any]]
    down: bool = False

    def header(self, at: str) -> Header:
        assert at == "finalized"
        if self.down:
            raise ChainDown("chain.down", "The chain's node is unreachable.")
        return Header(number=10, hash="0x" + "10" * 32, parent="0x" + "09" * 32, timestamp=1_000_000)

    def read(self, contract: str, function: str, number: int, *, at: object) -> dict[str, Any]:
        assert (contract, function, at) == ("Market", "license", 10)
        if number not in self.licenses:
            raise CallRefused("chain.LicensesUnknown", "The contract refused: LicensesUnknown.")
        return self.licenses[number]


def _license(**changes: Any) -> dict[str, Any]:
    return {"licensee": "0x" + "55" * 20, "dataset": 1, "end": 0, "uses": 1, "status": 1} | changes


@pytest.fixture
def deployment() -> Deployment:
    return Deployment.objects.create(
        chain_id=31337, registry="0x" + "11" * 20, market="0x" + "22" * 20, anchor="0x" + "33" * 20, first_block=1,
        created_at=NOW,
    )  # fmt: skip


@pytest.fixture
def market(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> _Market:
    place = {"tx": "0x" + "44" * 32, "block_number": 5, "block_hash": "0x" + "05" * 32}
    for token, digest in ((1, PACKAGE), (2, "cd" * 32)):
        record = DatasetRecord.objects.create(
            deployment=deployment, token=token, owner="0x" + "66" * 20, creator="0x" + "66" * 20, derive_bps=0,
            manifest="ef" * 32, registered_at=NOW, **place,
        )  # fmt: skip
        PackageRecord.objects.create(
            deployment=deployment, dataset=record, token=token, version=1, package=1, digest=digest, kind="sealed",
            **place,
        )  # fmt: skip
    chain = _Market({5: _license()})
    monkeypatch.setattr(bootstrap, "chain", lambda _deployment: chain)
    return chain


@pytest.fixture
def content_key(deployment: Deployment) -> ContentKey:
    dataset = deployment.dataset_caip(1)
    submission = Submission.objects.create(party=ADA, dataset=dataset, created=NOW, changed=NOW)
    key = ContentKey.objects.create(submission=submission, package=PACKAGE, created=NOW, changed=NOW)
    sign_due(RING, NOW)
    key.refresh_from_db()
    return key


@pytest.fixture
def cleo() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


def _want(deployment: Deployment, recipient: object, *, number: int = 5, package: str = PACKAGE) -> GrantRow:
    return GrantRow.objects.create(
        license=deployment.license_caip(number), package=package, recipient=str(recipient), created=NOW, changed=NOW
    )


def test_a_wanted_content_key_is_made_once_and_kept_wrapped(content_key: ContentKey) -> None:
    assert content_key.state == KeyState.MADE
    line = RING.unwrap_identity(bytes(content_key.wrapped or b""))
    assert str(pyrage.x25519.Identity.from_str(line).to_public()) == content_key.recipient
    assert line.encode() not in bytes(content_key.wrapped or b"")
    before = bytes(content_key.wrapped or b"")
    sign_due(RING, NOW)
    content_key.refresh_from_db()
    assert bytes(content_key.wrapped or b"") == before


def test_an_active_final_license_gets_the_content_key(
    deployment: Deployment, market: _Market, content_key: ContentKey, cleo: pyrage.x25519.Identity
) -> None:
    grant = _want(deployment, cleo.to_public())
    assert sign_due(RING, NOW) == 1
    assert sign_due(RING, NOW) == 0
    grant.refresh_from_db()
    assert grant.state == GrantState.GRANTED
    row = Document.objects.get(sha256=grant.document)
    assert not row.public
    document = json.loads(row.content)
    assert document["schema"] == "cadastre.grant/1"
    sealed = base64.b64decode(document["sealed_key"])
    line = pyrage.decrypt(sealed, [cleo]).decode().strip()
    ciphertext = pyrage.encrypt(b"Ada's photograph", [pyrage.x25519.Recipient.from_str(content_key.recipient)])
    assert pyrage.decrypt(ciphertext, [pyrage.x25519.Identity.from_str(line)]) == b"Ada's photograph"

    statement = json.loads(IntakeStatement.objects.get(type="key.granted").statement)
    assert statement["subject"] == grant.license
    assert statement["body"] == {
        "package": PACKAGE, "grant": grant.document,
        "recipient": recipient_commitment(grant.recipient, sealed),
    }  # fmt: skip
    assert grant.recipient not in IntakeStatement.objects.get(type="key.granted").statement


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"status": 2}, "refunded or revoked"),
        ({"status": 3}, "refunded or revoked"),
        ({"end": 1_000_000}, "expired"),
        ({"dataset": 2}, "another dataset"),
    ],
)
def test_a_license_that_does_not_entitle_gets_nothing(  # fixtures
    deployment: Deployment, market: _Market, content_key: ContentKey, cleo: pyrage.x25519.Identity,
    changes: dict[str, int], cause: str,
) -> None:  # fmt: skip
    market.licenses[5] = _license(**changes)
    grant = _want(deployment, cleo.to_public())
    sign_due(RING, NOW)
    grant.refresh_from_db()
    assert (grant.state, grant.document) == (GrantState.REFUSED, "")
    assert cause in grant.cause
    assert not Document.objects.exists()
    assert not IntakeStatement.objects.exists()


def test_the_last_second_of_the_term_still_entitles(
    deployment: Deployment, market: _Market, content_key: ContentKey, cleo: pyrage.x25519.Identity
) -> None:
    market.licenses[5] = _license(end=1_000_001)
    _want(deployment, cleo.to_public())
    sign_due(RING, NOW)
    assert GrantRow.objects.get().state == GrantState.GRANTED


def test_what_is_not_final_yet_waits_and_says_so(
    deployment: Deployment, market: _Market, content_key: ContentKey, cleo: pyrage.x25519.Identity
) -> None:
    grant = _want(deployment, cleo.to_public(), number=6)
    assert sign_due(RING, NOW) == 0
    grant.refresh_from_db()
    assert (grant.state, grant.cause) == (GrantState.WANTED, "The license is not final yet.")
    market.down = True
    assert sign_due(RING, NOW) == 0
    market.down = False
    market.licenses[6] = _license()
    assert sign_due(RING, NOW) == 1
    grant.refresh_from_db()
    assert (grant.state, grant.cause) == (GrantState.GRANTED, "")


def test_a_package_or_key_that_is_not_there_yet_is_waited_for(
    deployment: Deployment, market: _Market, cleo: pyrage.x25519.Identity
) -> None:
    grants = [_want(deployment, cleo.to_public()), _want(deployment, cleo.to_public(), package="00" * 32)]
    assert sign_due(RING, NOW) == 0
    causes = [GrantRow.objects.get(pk=grant.pk).cause for grant in grants]
    assert causes == ["The content key is not known here yet.", "The package is not registered yet."]


@pytest.mark.parametrize("act", ["withheld", "erased"])
def test_what_is_withheld_or_erased_is_not_delivered(
    deployment: Deployment, market: _Market, content_key: ContentKey, cleo: pyrage.x25519.Identity, act: str
) -> None:
    ContentAct.objects.create(dataset=deployment.dataset_caip(1), version=1, act=act, reason="law", by=ADA, created=NOW)
    grant = _want(deployment, cleo.to_public())
    sign_due(RING, NOW)
    grant.refresh_from_db()
    assert grant.state == GrantState.REFUSED
    assert "no longer delivered" in grant.cause


def test_a_destroyed_key_and_a_recipient_that_is_none_are_refused(
    deployment: Deployment, market: _Market, content_key: ContentKey, cleo: pyrage.x25519.Identity
) -> None:
    odd = _want(deployment, "mallory@example.org")
    sign_due(RING, NOW)
    odd.refresh_from_db()
    assert odd.state == GrantState.REFUSED
    ContentKey.objects.update(state=KeyState.DESTROYED, wrapped=None)
    grant = _want(deployment, cleo.to_public())
    sign_due(RING, NOW)
    grant.refresh_from_db()
    assert grant.state == GrantState.REFUSED
    assert "destroyed" in grant.cause


def test_a_signature_that_was_asked_for_is_made_once_by_the_custodial_key(deployment: Deployment) -> None:
    typed = splits_typed_data(
        registry_domain(31337, deployment.registry), dataset=1, splits=Sha256(bytes(32)), nonce=0, deadline=2**40
    )
    request = request_signature(party=ADA, key_path=f"owner/{ADA}", typed_data=typed, now=NOW)
    assert request_signature(party=ADA, key_path=f"owner/{ADA}", typed_data=typed.to_json(), now=NOW) == request
    assert sign_due(RING, NOW) == 1
    assert sign_due(RING, NOW) == 0
    request.refresh_from_db()
    assert request.state == SignatureState.SIGNED
    assert request.digest == "0x" + typed.digest.hex()
    assert typed.signer(bytes.fromhex(request.signature[2:])) == request.signer == RING.address(f"owner/{ADA}")
    assert Account.from_key(RING.export_key(f"owner/{ADA}")).address.lower() == request.signer


def test_a_request_for_a_key_that_is_none_or_for_altered_data_is_refused(deployment: Deployment) -> None:
    typed = splits_typed_data(
        registry_domain(31337, deployment.registry), dataset=1, splits=None, nonce=0, deadline=2**40
    )
    with pytest.raises(KeyRefusal):
        request_signature(party=ADA, key_path=f"owner/{ADA}", typed_data={"types": {}}, now=NOW)
    request_signature(party=ADA, key_path=f"wallet/{uuid4()}", typed_data=typed, now=NOW)
    altered = request_signature(party=ADA, key_path=f"owner/{ADA}", typed_data=typed, now=NOW)
    SignatureRequest.objects.filter(pk=altered.pk).update(
        typed_data={**altered.typed_data, "message": {**altered.typed_data["message"], "dataset": "2"}}
    )
    sign_due(RING, NOW)
    assert set(SignatureRequest.objects.values_list("state", "signature")) == {(SignatureState.REFUSED, "")}
    assert SignatureRequest.objects.exclude(cause="").count() == 2
