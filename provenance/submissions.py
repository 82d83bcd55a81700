"""What a creator does with a submission: open, describe, add files, close the list, answer the copy check, confirm.

Bytes are in `uploads`, what happens by itself in `publication`. Every function names its actor (`by`, a party), is one
transaction, and moves the state by compare-and-set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from provenance import publication, registering, similarity
from provenance.answers import answer_match, check_again, review_match
from provenance.content_queries import dataset_record, version_record
from provenance.core.caip import Account
from provenance.description import check_description, checked_parents, missing_description
from provenance.limits import content_limits
from provenance.models import FileState, Purpose, Submission, SubmissionState
from provenance.paths import shown
from provenance.publication import advance
from provenance.transitions import SubmissionRefusal, move, own_submission, require_state
from provenance.uploads import (
    UploadRefusal,
    add_file,
    append_bytes,
    end_submission,
    expire_abandoned,
    remove_file,
)

__all__ = [
    "SubmissionRefusal",
    "UploadRefusal",
    "add_file",
    "advance",
    "answer_match",
    "append_bytes",
    "confirm",
    "describe_submission",
    "expire_abandoned",
    "missing_description",
    "open_package",
    "open_submission",
    "recheck_submission",
    "remove_file",
    "review_match",
    "seal_file_list",
    "withdraw_submission",
]

DESCRIBABLE = (
    SubmissionState.UPLOADING,
    SubmissionState.CHECKING,
    SubmissionState.STOPPED,
    SubmissionState.HELD,
    SubmissionState.PASSED,
    SubmissionState.SEALING,
    SubmissionState.PACKAGED,
    SubmissionState.AWAITING_CONFIRM,
)
_PACKAGING = (SubmissionState.SEALING, SubmissionState.PACKAGED, SubmissionState.AWAITING_CONFIRM)
_CHECKED = (SubmissionState.PASSED, *_PACKAGING)


def open_submission(
    *, by: UUID, owner: str, now: datetime, visibility: str = "sealed", dataset: str = ""
) -> Submission:
    """Begin a new dataset, or with `dataset` (CAIP-19) its next version, which `owner` (CAIP-10) will register.

    Raises SubmissionRefusal when the dataset does not exist or belongs to somebody else.
    """
    row = Submission(
        id=uuid4(), party=by, owner=_account(owner), visibility=_visibility(visibility), created=now, changed=now,
        expires=now + content_limits().abandoned_after, collected={"from": None, "to": None},
    )  # fmt: skip
    if dataset:
        record = dataset_record(dataset)
        if record is None or record.deployment.account_caip(record.owner) != row.owner:
            raise SubmissionRefusal(
                "submission.dataset_unknown", "There is no such dataset of this owner.", actual=dataset[:160],
                todo="Check the dataset's address and which account owns it.",
            )  # fmt: skip
        row.dataset, row.version, row.previous = dataset, record.versions + 1, record.manifest
        row.parents = [
            {"dataset": record.deployment.dataset_caip(edge.parent), "license": None, "derivation": None}
            for edge in record.parent_edges.order_by("parent")
        ]
    row.save(force_insert=True)
    return row


def open_package(*, by: UUID, dataset: str, version: int, now: datetime) -> Submission:
    """Begin a new package of a registered version: after a leaked key, or for a better cipher.

    The same files are uploaded again and must be the same bytes, because no worker may open the old package; then a
    new content key is made. Version, licenses and proofs stay as they are. The owner signs it with the custodial key;
    of a dataset that a wallet owns the registry takes a package from that wallet alone. Raises SubmissionRefusal.
    """
    source = Submission.objects.filter(
        party=by, dataset=dataset, version=version, purpose=Purpose.VERSION,
        state__in=(SubmissionState.REGISTERED, SubmissionState.FINAL),
    ).first()  # fmt: skip
    record = version_record(dataset, version)
    if source is None or record is None:
        raise SubmissionRefusal(
            "submission.dataset_unknown", "There is no such version that this account published here.",
            actual=f"{dataset} v{version}"[:200], todo="Check the dataset's address and the version's number.",
        )  # fmt: skip
    owner = record.record.dataset.owner
    if source.wallet is not None or owner != Account.parse(source.owner).address:
        raise SubmissionRefusal(
            "submission.package_wallet", "A wallet owns this dataset, and the register cannot sign a package for it.",
            limit=Account.parse(source.owner).address, actual=owner,
            todo="Publish a new version, which the wallet signs; its package has a key of its own.",
        )  # fmt: skip
    copied = (
        "owner", "title", "creator", "description", "kind", "visibility", "languages", "collected", "rights", "parents",
        "dataset", "version", "previous", "manifest", "files_root", "preview_public",
    )  # fmt: skip
    return Submission.objects.create(
        party=by, purpose=Purpose.PACKAGE, repackages=source, package_number=record.packages_made + 1, created=now,
        changed=now, expires=now + content_limits().abandoned_after, **{name: getattr(source, name) for name in copied},
    )  # fmt: skip


def describe_submission(*, by: UUID, submission: UUID, now: datetime, **fields: Any) -> Submission:
    """Set what the manifest will say; only the fields that are given change.

    Fields: title, creator, description, kind, visibility, languages, collected, rights, parents (list of CAIP-19 ids
    or of {"dataset", "license"}), preview_public. Until it is confirmed everything may change; what was packaged is
    then described anew, without sealing the files again. Raises SubmissionRefusal, ManifestRefusal.
    """
    row = own_submission(by, submission)
    require_state(row, *DESCRIBABLE, what="Describing the data")
    if row.purpose == Purpose.PACKAGE:
        raise SubmissionRefusal(
            "submission.fixed", "A new package leaves the version as it was registered.",
            todo="Publish a new version to change its description.",
        )  # fmt: skip
    _refuse_unknown(fields)
    changes = dict(fields)
    if "parents" in changes:
        changes["parents"] = checked_parents(row, changes["parents"])
    if "visibility" in changes and _visibility(changes["visibility"]) != row.visibility:
        require_state(row, SubmissionState.UPLOADING, what="Changing between open and sealed")
    for name, value in changes.items():
        setattr(row, name, value)
    check_description(row)
    with transaction.atomic():
        _after_describing(row, changes, now)
    return row


def seal_file_list(*, by: UUID, submission: UUID, now: datetime) -> Submission:
    """Say that no more files come; the checks begin. Raises SubmissionRefusal when there is nothing to publish."""
    row = own_submission(by, submission)
    require_state(row, SubmissionState.UPLOADING, what="Closing the list of files")
    files = row.files.all()
    if not files.exists():
        raise SubmissionRefusal(
            "submission.no_files", "The submission is empty: it holds no files.", limit=1, actual=0,
            todo="Add at least one file with data.",
        )  # fmt: skip
    waiting = files.filter(state=FileState.UPLOADING)
    if (unfinished := waiting.first()) is not None:
        raise SubmissionRefusal(
            "submission.incomplete", f"{waiting.count()} files have not arrived whole, {shown(unfinished.path)} first.",
            limit=unfinished.size, actual=unfinished.received, todo="Resume these uploads or remove the files.",
        )  # fmt: skip
    if not files.filter(size__gt=0).exists():
        raise SubmissionRefusal(
            "submission.only_empty_files", "Every file of the submission is empty.", limit=1, actual=0,
            todo="Add at least one file with data.",
        )  # fmt: skip
    with transaction.atomic():
        move(row, from_state=SubmissionState.UPLOADING, to_state=SubmissionState.CHECKING, now=now, expires=None)
        publication.ring_work()
    return row


def recheck_submission(*, by: UUID, submission: UUID, now: datetime) -> Submission:
    """Run the checks again after what stopped them has been removed or answered. Raises SubmissionRefusal."""
    row = own_submission(by, submission)
    require_state(row, SubmissionState.STOPPED, what="Checking again")
    with transaction.atomic():
        check_again(row, now)
    return row


def confirm(
    *,
    by: UUID,
    submission: UUID,
    manifest: str,
    now: datetime,
    derive_bps: int = 0,
    open_derive: bool = False,
    splits: str = "",
    max_stack_bps: int = 0,
    permits: Mapping[str, Mapping[str, Any]] | None = None,
    wallet: Mapping[str, Any] | None = None,
) -> Submission:
    """Publish exactly what the review page showed: the manifest with this digest. From here on it is permanent.

    `derive_bps` and `open_derive` are what derivatives owe and whether they need a license, `splits` the digest of
    the splits document; `max_stack_bps`: the most that the dataset may owe to all its ancestors, as the review showed
    it; `permits`: by parent {"license": CAIP-19, "derivation": {"signer": key path} or
    {"signature": 0x…} or null}, for parents that need one; `wallet`: {"deadline", "registration", "attestation"} of an
    owner who signs themselves (`registering.attestation`), None for a custodial one. Raises SubmissionRefusal when the
    review is out of date, OutboxRefusal when the relay budget is used up.
    """
    row = own_submission(by, submission)
    require_state(row, SubmissionState.AWAITING_CONFIRM, what="Confirming")
    if row.manifest != manifest:
        raise SubmissionRefusal(
            "submission.changed_since_review", "The description changed after the review page was shown.",
            limit=row.manifest, actual=manifest[:80],
            todo="Look at the review page again and confirm what it shows now.",
        )  # fmt: skip
    if not 0 <= derive_bps <= 10_000:
        raise SubmissionRefusal(
            "submission.derive_bps", "The share owed by derivatives is not between 0 and 100 %.",
            limit=10_000, actual=derive_bps,
        )  # fmt: skip
    if not 0 <= max_stack_bps <= 10_000:
        raise SubmissionRefusal(
            "submission.stack", "What it was built from asks for more than all that it earns.", limit=10_000,
            actual=max_stack_bps, todo="Build it from fewer datasets, or from some that ask for less.",
        )  # fmt: skip
    _set_out(row, derive_bps, splits, max_stack_bps, permits, open_derive=open_derive)
    row.wallet = dict(wallet) if wallet else None
    if row.wallet is not None:
        registering.check_wallet(row, now=now)
    with transaction.atomic():
        publication.begin_registering(row, now=now)
    return row


def owner_consents(
    *,
    by: UUID,
    submission: UUID,
    deadline: int,
    derive_bps: int = 0,
    open_derive: bool = False,
    splits: str = "",
    max_stack_bps: int = 0,
    permits: Mapping[str, Mapping[str, Any]] | None = None,
) -> registering.Consents:
    """Return what a wallet signs so that `confirm` with the same words takes it; `deadline` in Unix seconds.

    Raises SubmissionRefusal, RegisteringRefusal.
    """
    row = own_submission(by, submission)
    require_state(row, SubmissionState.AWAITING_CONFIRM, what="Confirming")
    _set_out(row, derive_bps, splits, max_stack_bps, permits, open_derive=open_derive)
    return registering.consents(row, deadline=deadline)


def withdraw_submission(*, by: UUID, submission: UUID, now: datetime) -> Submission:
    """Give up a submission that is not being registered; everything it holds is freed. Raises SubmissionRefusal."""
    row = own_submission(by, submission)
    require_state(row, *DESCRIBABLE, what="Withdrawing")
    end_submission(row, to_state=SubmissionState.WITHDRAWN, now=now)
    return row


def _set_out(
    row: Submission,
    derive_bps: int,
    splits: str,
    max_stack_bps: int,
    permits: Mapping[str, Mapping[str, Any]] | None,
    *,
    open_derive: bool,
) -> None:
    given = permits or {}
    row.parents = [{**parent, **given.get(parent["dataset"], {})} for parent in row.parents]
    row.derive_bps, row.open_derive, row.splits = derive_bps, open_derive, splits
    row.max_stack_bps = max_stack_bps


def _after_describing(row: Submission, changes: Mapping[str, Any], now: datetime) -> None:
    state = SubmissionState(row.state)
    compared = state in (SubmissionState.STOPPED, SubmissionState.HELD, *_CHECKED)
    forgotten = similarity.forget_unfounded(row) if compared and {"parents", "rights"} & changes.keys() else 0
    if compared and ("parents" in changes or forgotten):
        similarity.unreserve(row)
        to_state = SubmissionState.CHECKING
    else:
        to_state = SubmissionState.PASSED if state in _PACKAGING else state
    if state in _PACKAGING:
        changes = {**changes, "manifest": "", "package": "", "package_root": ""}
    move(row, from_state=state, to_state=to_state, now=now, **changes)
    if to_state != state:
        publication.ring_work()


_FIELDS = {
    "title", "creator", "description", "kind", "visibility", "languages", "collected", "rights", "parents",
    "preview_public",
}  # fmt: skip


def _refuse_unknown(fields: Mapping[str, Any]) -> None:
    if unknown := sorted(set(fields) - _FIELDS):
        raise SubmissionRefusal(
            "submission.field", "There is no such field.", limit=", ".join(sorted(_FIELDS)), actual=", ".join(unknown)
        )


def _visibility(value: str) -> str:
    if value not in {"open", "sealed"}:
        raise SubmissionRefusal(
            "submission.visibility", "Data is either open or sealed.", limit="open, sealed", actual=str(value)[:40]
        )
    return value


def _account(owner: str) -> str:
    if re.fullmatch(r"eip155:[1-9][0-9]{0,18}:0x[0-9a-f]{40}", owner) is None:
        raise SubmissionRefusal(
            "submission.owner", "The owner is not a CAIP-10 account of an EVM chain in lower case.",
            limit="eip155:<chain>:0x<40 hex digits>", actual=owner[:160],
        )  # fmt: skip
    return owner
