"""Reads about content: progress of a submission, what is public of a version, where a digest or CID leads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Max, Q

from provenance.limits import preview_dir
from provenance.models import (
    Act,
    ContentAct,
    DatasetRecord,
    FileState,
    Match,
    PackageRecord,
    PinRow,
    PinState,
    Submission,
    SubmissionState,
    SubmittedFile,
    VersionRecord,
)
from provenance.queries import QueryRefusal, dataset_by_caip

STAGES = ("upload", "hash", "scan", "fingerprint", "preview", "gate", "seal", "pin", "register")
FILE_STAGES = ("hash", "scan", "fingerprint", "preview", "seal")


@dataclass(frozen=True, slots=True)
class Stage:
    """How far one step is: `done` of `total` in `unit` (bytes, files, copies, steps); `rate` per second, at the end."""

    name: str
    state: str
    done: int
    total: int
    unit: str
    started: str | None = None
    ended: str | None = None
    rate: int | None = None


@dataclass(frozen=True, slots=True)
class PublicPreview:
    """A preview as anybody may see it. `image` is the id to ask `preview_image` for, None where there is none."""

    path: str
    media_type: str
    content: Mapping[str, Any]
    image: UUID | None


def dataset_record(caip: str) -> DatasetRecord | None:
    """Return the dataset with this CAIP-19 id, or None."""
    try:
        return dataset_by_caip(caip)
    except QueryRefusal:
        return None


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version on chain with the number of packages made for it."""

    record: VersionRecord
    packages_made: int


def version_record(caip: str, version: int) -> RegisteredVersion | None:
    """Return a registered version, or None."""
    dataset = dataset_record(caip)
    found = dataset and dataset.version_records.filter(version=version).first()
    if not dataset or not found:
        return None
    made = dataset.package_records.filter(version=version).aggregate(last=Max("package"))["last"]
    return RegisteredVersion(found, made or 1)


def source_submission(dataset: str, version: int) -> Submission | None:
    """Return the submission that a version was published from, if it was published here."""
    return Submission.objects.filter(
        dataset=dataset, version=version, purpose="version",
        state__in=(SubmissionState.REGISTERED, SubmissionState.FINAL),
    ).first()  # fmt: skip


def is_published_here(dataset: str, package: str) -> bool:
    """Say whether an open package (digest of its document) was published here for this very dataset.

    On chain anybody may register the digest of somebody else's package, sealed or withheld, as their own.
    """
    return Submission.objects.filter(
        dataset=dataset, package=package, visibility="open",
        state__in=(SubmissionState.REGISTERED, SubmissionState.FINAL),
    ).exists()  # fmt: skip


def progress(submission: Submission) -> list[Stage]:
    """Return every stage of a submission in order, as its page shows them live."""
    files = list(submission.files.only("size", "received", "state", "stage", "stored_size"))
    total = sum(file.size for file in files)
    received = sum(file.received for file in files)
    stages = [Stage("upload", _state(received, total, begun=received > 0), received, total, "bytes")]
    stages += [_summed(name, files) for name in FILE_STAGES]
    return sorted(stages + _own_stages(submission), key=lambda stage: STAGES.index(stage.name))


def matches_for_uploader(submission: Submission) -> Iterable[Match]:
    """Return the matches with the uploader's own record names. Never show these rows to anybody else."""
    return submission.matches.order_by("-stops", "-share_bps", "id")


def public_previews(dataset: str, version: int) -> list[PublicPreview]:
    """Return what the creator confirmed to be shown of a version: nothing unless they did, or once it is withheld."""
    submission = source_submission(dataset, version)
    if submission is None or not submission.shows_preview or delivery_stopped(dataset, version):
        return []
    return [
        PublicPreview(file.path, file.media_type, file.preview or {}, file.id if _has_image(file) else None)
        for file in submission.files.exclude(preview=None).order_by("path")
    ]


def preview_image(file: UUID, *, viewer: UUID | None) -> bytes | None:
    """Return a thumbnail (WebP) if it is public or `viewer` uploaded it, else None."""
    row = SubmittedFile.objects.select_related("submission").filter(id=file).first()
    if row is None or not _has_image(row):
        return None
    submission = row.submission
    public = (
        submission.state in (SubmissionState.REGISTERED, SubmissionState.FINAL)
        and submission.shows_preview
        and not delivery_stopped(submission.dataset, submission.version)
    )
    if not public and submission.party != viewer:
        return None
    try:
        return (preview_dir() / f"{row.id}.webp").read_bytes()
    except FileNotFoundError:
        return None


def delivery_stopped(dataset: str, version: int) -> ContentAct | None:
    """Return the act that withholds or erases a version, erased before withheld, or None."""
    acts = list(ContentAct.objects.filter(Q(version=0) | Q(version=version), dataset=dataset).order_by("pk"))
    return next((act for act in acts if act.act == Act.ERASED), acts[0] if acts else None)


def latest_package(dataset: str, version: int) -> PackageRecord | None:
    """Return the newest package of a version on chain, the one that new licenses are granted."""
    record = dataset_record(dataset)
    return record.package_records.filter(version=version).order_by("-package").first() if record else None


def public_files(submission: Submission) -> list[SubmittedFile]:
    """Return the files of open data in the order of the manifest; of sealed data none, their names are private."""
    if submission.visibility != "open":
        return []
    return sorted(submission.files.all(), key=lambda file: file.path.encode())


def datasets_with_sha256(digest: str) -> list[str]:
    """Return the datasets (CAIP-19) of *open* data that hold a file with this digest.

    Digests of sealed plaintext are never confirmed by address: whoever has the file may ask the look-up.
    """
    return sorted(
        SubmittedFile.objects.filter(
            sha256=digest, submission__visibility="open",
            submission__state__in=(SubmissionState.REGISTERED, SubmissionState.FINAL),
        )
        .exclude(submission__dataset="")
        .values_list("submission__dataset", flat=True)
        .distinct()
    )  # fmt: skip


def datasets_with_cid(cid: str) -> list[str]:
    """Return the datasets (CAIP-19) whose package has this root, or whose open data holds this file."""
    registered = (SubmissionState.REGISTERED, SubmissionState.FINAL)
    roots = Submission.objects.filter(package_root=cid, state__in=registered).values_list("dataset", flat=True)
    files = SubmittedFile.objects.filter(
        stored_cid=cid, submission__visibility="open", submission__state__in=registered
    ).values_list("submission__dataset", flat=True)
    return sorted({dataset for dataset in (*roots, *files) if dataset})


def broken_pins() -> list[PinRow]:
    """Return the copies that are missing, with their causes, for the operator's dashboard."""
    return list(PinRow.objects.filter(~Q(cause="")).order_by("store", "cid")[:500])


def _summed(name: str, files: Iterable[SubmittedFile]) -> Stage:
    parts = [(file.stage or {}).get(name) for file in files]
    known = [part for part in parts if part]
    started = min((part["started"] for part in known if part.get("started")), default=None)
    ends = [part["ended"] for part in known if part.get("ended")]
    finished = bool(parts) and len(ends) == len(parts)
    in_bytes = name in {"hash", "seal"}
    done = sum(part["done"] if in_bytes else part["state"] == "done" for part in known)
    total = sum(file.size for file in files) if in_bytes else len(parts)
    failed = any(part["state"] == "failed" for part in known)
    state = "failed" if failed else "done" if finished else "running" if known else "waiting"
    ended = max(ends) if finished and ends else None
    return Stage(
        name, state, done, total, "bytes" if in_bytes else "files", started, ended, _rate(done, started, ended)
    )


def _own_stages(submission: Submission) -> list[Stage]:
    gate = (submission.stage or {}).get("gate")
    return [
        Stage(name="gate", unit="steps", **gate) if gate else Stage("gate", "waiting", 0, 1, "steps"),
        _pins(submission),
        _registration(submission),
    ]


def _pins(submission: Submission) -> Stage:
    rows = PinRow.objects.filter(cid=submission.package_root) if submission.package_root else PinRow.objects.none()
    states = list(rows.values_list("state", flat=True))
    seen = states.count(PinState.PINNED)
    state = "waiting" if not states else "done" if seen == len(states) else "running"
    if PinState.BROKEN in states:
        state = "failed"
    return Stage("pin", state, seen, max(len(states), 1), "copies")


def _registration(submission: Submission) -> Stage:
    steps = (SubmissionState.REGISTERING, SubmissionState.REGISTERED, SubmissionState.FINAL)
    if submission.state not in steps:
        return Stage("register", "waiting", 0, 2, "steps")
    done = steps.index(SubmissionState(submission.state))
    started = submission.confirmed.isoformat() if submission.confirmed else None
    return Stage("register", "done" if done == len(steps) - 1 else "running", done, 2, "steps", started)


def _state(done: int, total: int, *, begun: bool) -> str:
    if total and done == total:
        return "done"
    return "running" if begun else "waiting"


def _rate(done: int, started: str | None, ended: str | None) -> int | None:
    if not started or not ended:
        return None
    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    return int(done / seconds) if seconds > 0 else None


def _has_image(file: SubmittedFile) -> bool:
    return bool(file.preview and file.preview.get("image")) and file.state != FileState.QUARANTINED
