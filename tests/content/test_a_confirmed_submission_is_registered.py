import pytest
from eth_keys import keys

from provenance import registering, registry_calls, submissions
from provenance.content_queries import progress
from provenance.core.refusal import Refusal
from provenance.core.registration import registry_domain
from provenance.models import (
    IntakeStatement,
    Intent,
    IntentState,
    SignatureRequest,
    SignatureState,
    SubmissionState,
)
from tests.content import conftest
from tests.content.conftest import ADA, BEN
from tests.content.pictures import prose

pytestmark = pytest.mark.django_db

KEY = keys.PrivateKey(b"\x07" * 32)
ADDRESS = KEY.public_key.to_address()


@pytest.fixture
def ada(world, monkeypatch):
    """Ada's address is that of a key that the test holds."""
    monkeypatch.setitem(conftest.OWNERS, ADA, f"eip155:31337:{ADDRESS}")
    return world


def signed(data, key=KEY):
    raw = bytearray(key.sign_msg_hash(data.digest).to_bytes())
    raw[64] += 27
    return "0x" + raw.hex()


def test_a_custodial_owner_is_asked_to_attest_and_the_statement_waits_for_the_signature(ada):
    submission = ada.submit({"a.txt": prose(1)})
    ada.confirm(submission)
    request = SignatureRequest.objects.get()
    assert (request.key_path, request.party) == (f"owner/{ADA}", ADA)
    ada.work(submission)
    assert not IntakeStatement.objects.filter(type="rights.attested").exists()
    SignatureRequest.objects.update(state=SignatureState.SIGNED, signature=signed(registering.attestation(submission)))
    for _ in range(2):
        ada.work(submission)
    row = IntakeStatement.objects.get(type="rights.attested")
    assert row.subject == f"sha256:{submission.manifest}"
    assert '"bases":["own-work"]' in row.statement
    assert row.signatures[0]["signer"] == submission.owner


def test_an_owner_with_a_wallet_brings_both_signatures(ada):
    submission = ada.submit({"a.txt": prose(1)})
    deadline = int(ada.clock.now.timestamp()) + 3600
    asked = submissions.owner_consents(by=ADA, submission=submission.id, deadline=deadline)
    wallet = {"deadline": deadline, "registration": signed(asked.registration)}
    wallet["attestation"] = signed(registering.attestation(submission))
    ada.confirm(submission, wallet=wallet)
    assert not SignatureRequest.objects.exists()
    assert IntakeStatement.objects.filter(type="rights.attested").exists()
    payload = Intent.objects.get().payload
    assert payload["signature"] == wallet["registration"]
    assert payload["registration"]["deadline"] == deadline
    assert "signer" not in payload


def test_an_attestation_by_another_key_is_refused_and_nothing_is_confirmed(ada):
    submission = ada.submit({"a.txt": prose(1)})
    deadline = int(ada.clock.now.timestamp()) + 3600
    asked = submissions.owner_consents(by=ADA, submission=submission.id, deadline=deadline)
    other = keys.PrivateKey(b"\x08" * 32)
    good = {"deadline": deadline, "registration": signed(asked.registration), "attestation": signed(asked.attestation)}
    for changed in (
        {"attestation": signed(asked.attestation, other)},
        {"registration": signed(asked.registration, other)},
        {"deadline": deadline + 1},
        {"deadline": int(ada.clock.now.timestamp())},
        {"deadline": deadline + 86_400},
    ):
        with pytest.raises(Refusal):
            ada.confirm(submission, wallet={**good, **changed})
    submission.refresh_from_db()
    assert submission.state == SubmissionState.AWAITING_CONFIRM
    assert not Intent.objects.exists()


def test_the_intent_is_a_registration_that_the_owner_can_sign(ada):
    parent = ada.publish({"p.txt": prose(2)}, by=BEN)
    submission = ada.open()
    submissions.describe_submission(by=ADA, submission=submission.id, now=ada.clock(), parents=[parent.dataset])
    ada.add(submission, "a.txt", prose(1))
    ada.seal(submission)
    ada.work(submission)
    permit = ada.deployment.license_caip(7)
    ada.confirm(
        submission, derive_bps=500, open_derive=True, splits="cd" * 32, max_stack_bps=700,
        permits={parent.dataset: {"license": permit, "derivation": {"signer": "licensee/42"}}},
    )  # fmt: skip
    intent = Intent.objects.get(key=submission.intent_key)
    assert (intent.kind, intent.party) == ("registry.register", ADA)
    registration = registry_calls.registration_of(intent.payload)
    assert registration.owner == ADDRESS
    assert (registration.manifest.hex, registration.package.hex) == (submission.manifest, submission.package)
    assert (registration.kind.name, registration.derive_bps, registration.open_derive) == ("SEALED", 500, True)
    assert registration.max_stack_bps == 700
    assert (registration.parents[0].dataset, registration.parents[0].license) == (1, 7)
    assert intent.payload["derivations"] == [{"signer": "licensee/42"}]
    assert intent.payload["signer"] == f"owner/{ADA}"
    registration.typed_data(registry_domain(31337, ada.deployment.registry))


def test_a_license_of_a_market_that_the_registry_does_not_know_is_refused(ada):
    parent = ada.publish({"p.txt": prose(2)}, by=BEN)
    submission = ada.open()
    submissions.describe_submission(by=ADA, submission=submission.id, now=ada.clock(), parents=[parent.dataset])
    ada.add(submission, "a.txt", prose(1))
    ada.seal(submission)
    ada.work(submission)
    permit = "eip155:31337/erc1155:0x" + "99" * 20 + "/1"
    with pytest.raises(Refusal) as refused:
        ada.confirm(submission, permits={parent.dataset: {"license": permit}})
    assert refused.value.code == "submission.license_elsewhere"
    submission.refresh_from_db()
    assert submission.state == SubmissionState.AWAITING_CONFIRM


def test_a_relay_budget_that_is_used_up_leaves_the_submission_as_it_was(ada, settings):
    settings.CADASTRE_RELAY_ACCOUNT_DAILY = 0
    submission = ada.submit({"a.txt": prose(1)})
    with pytest.raises(Refusal) as refused:
        ada.confirm(submission)
    assert refused.value.code == "relay.account_budget"
    submission.refresh_from_db()
    assert submission.state == SubmissionState.AWAITING_CONFIRM
    assert not IntakeStatement.objects.exists()


def test_a_share_above_the_whole_is_refused(ada):
    submission = ada.submit({"a.txt": prose(1)})
    with pytest.raises(Refusal) as refused:
        ada.confirm(submission, derive_bps=10_001)
    assert (refused.value.limit, refused.value.actual) == (10_000, 10_001)


def test_parents_that_ask_for_more_than_everything_are_refused(ada):
    submission = ada.submit({"a.txt": prose(1)})
    with pytest.raises(Refusal) as refused:
        ada.confirm(submission, max_stack_bps=10_001)
    assert (refused.value.code, refused.value.limit, refused.value.actual) == ("submission.stack", 10_000, 10_001)
    assert ada.confirm(submission, max_stack_bps=10_000).state == SubmissionState.REGISTERING


def test_a_wallet_that_agreed_to_a_smaller_share_has_not_signed_a_larger_one(ada):
    submission = ada.submit({"a.txt": prose(1)})
    deadline = int(ada.clock.now.timestamp()) + 3600
    asked = submissions.owner_consents(by=ADA, submission=submission.id, deadline=deadline, max_stack_bps=500)
    wallet = {"deadline": deadline, "registration": signed(asked.registration)}
    wallet["attestation"] = signed(asked.attestation)
    with pytest.raises(Refusal):
        ada.confirm(submission, wallet=wallet, max_stack_bps=900)
    assert ada.confirm(submission, wallet=wallet, max_stack_bps=500).state == SubmissionState.REGISTERING


@pytest.mark.parametrize(
    "sentence",
    [
        "The contract refused: RegistryStackAboveAgreed (stackBps 925, maxStackBps 500).",
        "The node refused: something else.",
    ],
)
def test_a_registration_that_failed_waits_for_the_creator_with_the_reason(ada, sentence):
    submission = ada.submit({"a.txt": prose(1)})
    ada.confirm(submission, max_stack_bps=500)
    Intent.objects.update(state=IntentState.FAILED, cause=sentence)
    ada.work(submission)
    assert (submission.state, submission.confirmed) == (SubmissionState.AWAITING_CONFIRM, None)
    if "Stack" in sentence:
        assert (submission.refusal["code"], submission.refusal["limit"], submission.refusal["actual"]) == (
            "submission.share_rose", 500, 925,
        )  # fmt: skip
        assert "9.25 %, no longer 5 %" in submission.refusal["title"]
        assert "Look at the review again" in submission.refusal["todo"]
    else:
        assert submission.refusal["code"] == "submission.registration_failed"
        assert sentence in submission.refusal["title"]


def test_pinning_and_registering_are_shown(ada):
    submission = ada.submit({"a.txt": prose(1)})

    def shown():
        return {
            stage.name: (stage.state, stage.done, stage.total)
            for stage in progress(submission)
            if stage.name in {"pin", "register"}
        }

    assert shown() == {"pin": ("running", 0, 1), "register": ("waiting", 0, 2)}
    ada.repair()
    ada.confirm(submission)
    assert shown() == {"pin": ("done", 1, 1), "register": ("running", 0, 2)}
    ada.register(submission, final=False)
    assert shown()["register"] == ("running", 1, 2)
    ada.deployment.finalized = 5
    ada.deployment.save()
    ada.work(submission)
    assert shown()["register"] == ("done", 2, 2)
