"""From a confirmed submission to a final registration on chain, and to the statements about its content.

1. `begin`, in the transaction of the confirmation: documents become public and wanted in every store, the owner's
   attestation of rights is asked for, the intent is put into the outbox, and `fingerprint.computed` and `gate.passed`
   enter the intake. Only now: nothing about a draft that nobody confirmed enters a log that forgets nothing.
2. `follow`: when the owner has signed, `rights.attested` enters the intake. When the follower has read the
   registration, the submission is registered. When the intent failed, it waits for the creator again, with the cause.
3. `finish`: when the registration is final, plaintext leaves this machine and open data is announced.

The statements about the registration itself are the follower's: they are facts of the chain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from provenance import bootstrap, outbox, pinning, similarity
from provenance.content_queries import dataset_record
from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.entry import PersonSignature, rights_attestation
from provenance.core.file_record import FILE_LIST_SCHEMA
from provenance.core.manifest import Manifest
from provenance.core.refusal import Refusal
from provenance.core.registration import registry_domain
from provenance.core.typed_data import TypedData
from provenance.intake import submit_statement
from provenance.models import (
    ChainEvent,
    Deployment,
    Document,
    FingerprintRow,
    Intent,
    IntentState,
    PackageRecord,
    Purpose,
    SignatureRequest,
    SignatureState,
    Submission,
    SubmissionState,
    VersionRecord,
)
from provenance.queries import active_deployment, deployment_of
from provenance.registry_calls import owner_consent, registration_of
from provenance.signing import request_signature
from provenance.transitions import SubmissionRefusal, move
from provenance.uploads import free_scratch

VALID = timedelta(days=1)
# Two ways lead here, refused before it was sent and reverted when it was mined: both leave the error in the cause.
_ROSE = re.compile(r"RegistryStackAboveAgreed \(stackBps (?P<asked>\d+), maxStackBps (?P<agreed>\d+)\)")


class RegisteringRefusal(Refusal):
    """A submission cannot be registered as it is."""


@dataclass(frozen=True, slots=True)
class Consents:
    """What an owner with a wallet signs before confirming.

    `derivations`: by parent (CAIP-19), what the licensee of the license for it signs when that is not the owner.
    """

    registration: TypedData
    attestation: TypedData
    derivations: Mapping[str, TypedData]


def begin(submission: Submission, *, now: datetime) -> None:
    """Do step 1, in the caller's transaction. Raises Refusal."""
    stores = list(bootstrap.content_stores())
    deployment = _deployment(submission)
    for digest in _public_documents(submission):
        Document.objects.filter(sha256=digest).update(public=True)
        pinning.want_pins(cid=Cid.of_digest(Sha256.from_hex(digest)), stores=stores, now=now, announced=True)
    if submission.purpose == Purpose.VERSION:
        similarity.tell_results(submission, now=now)
        if submission.wallet is None:
            request_signature(
                party=submission.party, key_path=_key_path(submission), typed_data=attestation(submission), now=now
            )
        _attest_if_signed(submission, now)
    attempt = Intent.objects.filter(key__startswith=_key(submission, "")).count() + 1
    intent = outbox.enqueue(
        key=_key(submission, str(attempt)), party=submission.party, deployment=deployment, valid_until=now + VALID,
        now=now, **_intent(submission, deployment, _deadline(submission, now)),
    )  # fmt: skip
    Submission.objects.filter(id=submission.id).update(intent_key=intent.key)
    submission.intent_key = intent.key


def follow(submission: Submission, *, now: datetime) -> None:
    """Do step 2 as far as chain and signer have come. Raises StateMoved."""
    deployment = _deployment(submission)
    if submission.purpose == Purpose.VERSION:
        _attest_if_signed(submission, now)
    dataset = _registered_as(submission, deployment)
    if dataset:
        with transaction.atomic():
            FingerprintRow.objects.filter(submission=submission).update(dataset=dataset)
            move(
                submission, from_state=SubmissionState.REGISTERING, to_state=SubmissionState.REGISTERED, now=now,
                dataset=dataset, refusal=None,
            )  # fmt: skip
        return
    intent = Intent.objects.filter(key=submission.intent_key).first()
    if intent is not None and intent.state in {IntentState.FAILED, IntentState.EXPIRED}:
        refusal = _why(intent)
        move(
            submission, from_state=SubmissionState.REGISTERING, to_state=SubmissionState.AWAITING_CONFIRM, now=now,
            refusal=refusal.as_problem(), confirmed=None,
        )  # fmt: skip


def finish(submission: Submission, *, now: datetime) -> None:
    """Do step 3 once the chain's finality covers the registration; back to `follow` if a reorg took it away."""
    deployment = _deployment(submission)
    place = _place(submission, deployment)
    if place is None:
        # The lane sends the stored bytes again; the number that the chain gives may be another one this time.
        dataset = "" if _is_new_dataset(submission) else submission.dataset
        move(
            submission, from_state=SubmissionState.REGISTERED, to_state=SubmissionState.REGISTERING, now=now,
            dataset=dataset,
        )  # fmt: skip
        return
    if place > deployment.finalized:
        return
    with transaction.atomic():
        move(submission, from_state=SubmissionState.REGISTERED, to_state=SubmissionState.FINAL, now=now)
        for file in submission.files.exclude(scratch=""):
            file.submission = submission
            free_scratch(file)
        if submission.visibility == "open":
            pinning.want_announced(cid=Cid.parse(submission.package_root), now=now)


def attestation(submission: Submission) -> TypedData:
    """Return what the owner signs for `rights.attested`; a wallet needs it before it confirms."""
    deployment = _deployment(submission)
    domain = registry_domain(deployment.chain_id, deployment.registry)
    owner = Account.parse(submission.owner)
    return rights_attestation(domain, owner.address, Sha256.from_hex(submission.manifest))


def consents(submission: Submission, *, deadline: int) -> Consents:
    """Return what a wallet signs to register a submission as it stands; `deadline` in Unix seconds. Raises Refusal."""
    deployment = _deployment(submission)
    domain = registry_domain(deployment.chain_id, deployment.registry)
    intent = _intent(submission, deployment, deadline)
    kind, payload = intent["kind"], intent["payload"]
    derivations: dict[str, TypedData] = {}
    if kind == "registry.register":
        registration = registration_of(payload)
        for entry, parent in zip(_sorted_parents(submission), registration.parents, strict=True):
            if parent.license is not None:
                derivations[entry["dataset"]] = registration.derivation(domain, parent)
    return Consents(owner_consent(kind, payload, domain), attestation(submission), derivations)


def check_wallet(submission: Submission, *, now: datetime) -> None:
    """Refuse a confirmation that the owner's wallet has not signed. Raises SubmissionRefusal, TypedDataRefusal."""
    wallet = submission.wallet or {}
    deadline = int(wallet["deadline"])
    if not int(now.timestamp()) < deadline <= int((now + VALID).timestamp()):
        raise SubmissionRefusal(
            "submission.wallet_deadline", "The wallet's signature is too old, or lasts too long.",
            limit=int(VALID.total_seconds()), actual=deadline - int(now.timestamp()),
            todo="Look at the review again and sign what it offers now.",
        )  # fmt: skip
    owner = Account.parse(submission.owner).address
    wanted = consents(submission, deadline=deadline)
    for typed, name in ((wanted.registration, "registration"), (wanted.attestation, "attestation")):
        typed.check_signer(bytes.fromhex(str(wallet[name]).removeprefix("0x")), owner)


def _why(intent: Intent) -> SubmissionRefusal:
    rose = _ROSE.search(intent.cause)
    if rose is not None:
        asked, agreed = int(rose["asked"]), int(rose["agreed"])
        return SubmissionRefusal(
            "submission.share_rose",
            "What it was built from asks for a larger share of its income than when you confirmed: "
            f"{asked / 100:g} %, no longer {agreed / 100:g} %.", limit=agreed, actual=asked,
            todo="Nothing is lost and nothing was registered. Look at the review again and confirm what it shows now, "
            "or build it without that data.",
        )  # fmt: skip
    return SubmissionRefusal(
        intent.code or "submission.registration_failed",
        f"The registration did not take place: {intent.cause or intent.state}.",
        todo="Nothing is lost and nothing was published on chain. Confirm again, or change what the cause names.",
    )


def _public_documents(submission: Submission) -> list[str]:
    manifest = Manifest.parse(Document.objects.get(sha256=submission.manifest).content)
    lists = [digest.hex for digest in manifest.file_lists or ()]
    known = Document.objects.filter(sha256__in=lists, schema=FILE_LIST_SCHEMA).count()
    if known != len(set(lists)):
        raise RegisteringRefusal("submission.documents", "A list of files is missing.", limit=len(lists), actual=known)
    return [submission.manifest, submission.package, *lists]


def _intent(submission: Submission, deployment: Deployment, deadline: int) -> dict[str, Any]:
    wallet = submission.wallet or {}
    payload: dict[str, Any] = {
        "manifest": submission.manifest,
        "package": submission.package,
        "kind": submission.visibility,
        "deadline": deadline,
    }
    consent = {"signature": wallet["registration"]} if wallet else {"signer": _key_path(submission)}
    if _is_new_dataset(submission):
        parents = _parents(submission, deployment)
        registration = {
            **payload,
            "owner": Account.parse(submission.owner).address,
            "open_derive": submission.open_derive,
            "derive_bps": submission.derive_bps,
            "splits": submission.splits or None,
            "parents": [parent for parent, _ in parents],
            "max_stack_bps": submission.max_stack_bps,
        }
        derivations = [consent for _, consent in parents] if any(consent for _, consent in parents) else []
        return {
            "kind": "registry.register",
            "payload": {"registration": registration, "derivations": derivations, **consent},
        }
    number = Asset.parse(submission.dataset, AssetKind.DATASET).number
    if submission.purpose == Purpose.PACKAGE:
        del payload["manifest"]
        made = {"dataset": number, "version": submission.version, "number": submission.package_number}
        return {"kind": "registry.package", "payload": {**payload, **made, **consent}}
    made = {"dataset": number, "expected_version": submission.version - 1}
    return {"kind": "registry.version", "payload": {**payload, **made, **consent}}


def _deadline(submission: Submission, now: datetime) -> int:
    return int((submission.wallet or {}).get("deadline") or (now + VALID).timestamp())


def _sorted_parents(submission: Submission) -> list[dict[str, Any]]:
    return sorted(submission.parents, key=lambda entry: Asset.parse(entry["dataset"], AssetKind.DATASET).number or 0)


def _parents(submission: Submission, deployment: Deployment) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    parents = []
    for entry in _sorted_parents(submission):
        asset = Asset.parse(entry["dataset"], AssetKind.DATASET)
        if (asset.chain, asset.contract) != (deployment.chain_id, deployment.registry):
            raise RegisteringRefusal(
                "submission.parent_elsewhere", "A parent is registered in another registry.", actual=str(asset),
                todo="Ask its owner to register it here.",
            )  # fmt: skip
        permit = Asset.parse(entry["license"], AssetKind.LICENSE) if entry.get("license") else None
        parent = {
            "dataset": asset.number,
            "license": permit.number if permit else None,
            "source": _source(deployment, permit) if permit else 0,
        }
        parents.append((parent, entry.get("derivation")))
    return parents


def _source(deployment: Deployment, permit: Asset) -> int:
    for event in ChainEvent.objects.filter(deployment=deployment, name="LicenseSourceAdded"):
        if str(event.args.get("market", "")).lower() == permit.contract:
            return event.number("source")
    if permit.contract == deployment.market:
        return 0
    raise RegisteringRefusal(
        "submission.license_elsewhere", "The registry does not know the market of a parent's license.",
        actual=str(permit),
    )  # fmt: skip


def _attest_if_signed(submission: Submission, now: datetime) -> None:
    data = attestation(submission)
    signature = (submission.wallet or {}).get("attestation") or _custodial(submission, data)
    if not signature:
        return
    owner = Account.parse(submission.owner)
    manifest = Manifest.parse(Document.objects.get(sha256=submission.manifest).content)
    subject = f"sha256:{submission.manifest}"
    submit_statement(
        type="rights.attested", subject=subject, fact=f"rights.attested:{subject}:{owner.address}", time=now,
        body={"manifest": submission.manifest, "owner": submission.owner, "bases": list(manifest.bases)},
        signatures=[PersonSignature("owner", owner, data.digest, bytes.fromhex(signature.removeprefix("0x")))],
    )  # fmt: skip


def _custodial(submission: Submission, data: TypedData) -> str:
    found = SignatureRequest.objects.filter(
        key_path=_key_path(submission), digest="0x" + data.digest.hex(), state=SignatureState.SIGNED
    ).first()
    return found.signature if found else ""


def _registered_as(submission: Submission, deployment: Deployment) -> str:
    """The dataset's CAIP-19 id once the follower has read what this submission wanted, else an empty text."""
    if submission.purpose == Purpose.PACKAGE:
        return submission.dataset if _package(submission) else ""
    found = _version(submission, deployment)
    return found.dataset.caip if found else ""


def _place(submission: Submission, deployment: Deployment) -> int | None:
    if submission.purpose == Purpose.PACKAGE:
        package = _package(submission)
        return package.block_number if package else None
    version = _version(submission, deployment)
    return version.block_number if version else None


def _version(submission: Submission, deployment: Deployment) -> VersionRecord | None:
    # The manifest names its owner: the same digest registered by anybody else is not this submission.
    found = VersionRecord.objects.filter(
        deployment=deployment, version=submission.version, manifest=submission.manifest
    ).select_related("dataset__deployment")
    if submission.version > 1:
        record = dataset_record(submission.dataset)
        return found.filter(dataset=record).first() if record else None
    return found.filter(dataset__creator=Account.parse(submission.owner).address).first()


def _package(submission: Submission) -> PackageRecord | None:
    record = dataset_record(submission.dataset)
    if record is None:
        return None
    return record.package_records.filter(
        version=submission.version, package=submission.package_number, digest=submission.package
    ).first()


def _is_new_dataset(submission: Submission) -> bool:
    return submission.version == 1 and submission.purpose == Purpose.VERSION


def _deployment(submission: Submission) -> Deployment:
    if submission.dataset:
        asset = Asset.parse(submission.dataset, AssetKind.DATASET)
        return deployment_of(asset.chain, asset.contract)
    return active_deployment()


def _key_path(submission: Submission) -> str:
    return f"owner/{submission.party}"


def _key(submission: Submission, attempt: str) -> str:
    return f"publish:{submission.id}:{submission.purpose}:{attempt}"
