"""Bytes on their way in: the server side of tus 1.0 without its HTTP.

1. `add_file` reserves the announced size in the party's quota, exactly, and makes an empty scratch file.
2. `append_bytes` writes at the offset that the row says, under a lock on the scratch file, and moves the offset by
   compare-and-set; whatever arrived before a dropped connection stays and is resumed from.
3. `remove_file` and `expire_abandoned` give the quota back, once.

Nothing here reads what the bytes are. Archives are never opened.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import F

from provenance import registered_index
from provenance.core.refusal import Figure, Refusal
from provenance.limits import content_limits, free_bytes, scratch_dir
from provenance.models import FileState, Submission, SubmissionState, SubmittedFile, UploadQuota
from provenance.paths import PathRefusal, ancestors_of, shown, submitted_path
from provenance.transitions import StateMoved, move, own_file, own_submission, require_state

CHECKSUMS = ("sha256", "sha1", "md5")

_PIECE = 1_048_576
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_STATUS = {
    "upload.disk_full": 507,
    "upload.quota": 507,
    "upload.offset": 409,
    "upload.busy": 423,
    "upload.checksum": 460,
    "upload.checksum_unknown": 400,
    "upload.too_long": 413,
    "upload.too_large": 413,
    "upload.finished": 409,
    "upload.lost": 410,
}


class UploadRefusal(Refusal):
    """Bytes or a file are not accepted. `status` is the HTTP status that tus and RFC 9110 give for it."""

    def __init__(
        self, code: str, message: str, *, limit: Figure = None, actual: Figure = None, todo: str | None = None
    ) -> None:
        super().__init__(code, message, limit=limit, actual=actual, todo=todo)
        self.status = _STATUS.get(code, 422)


class Readable(Protocol):
    """A request body: returns up to n bytes, none at its end."""

    def read(self, size: int, /) -> bytes: ...


def add_file(
    *, by: UUID, submission: UUID, path: str, size: int, now: datetime, sha256: str | None = None
) -> SubmittedFile:
    """Announce a file of `size` bytes and reserve its quota; its id is the id of its upload.

    `sha256` is what the client hashed, if it did: compared with what arrives. Raises UploadRefusal, PathRefusal,
    SubmissionRefusal.
    """
    row = own_submission(by, submission)
    require_state(row, SubmissionState.UPLOADING, what="Adding a file")
    limits = content_limits()
    path = submitted_path(path, limit=limits.path_bytes)
    _check_size(path, size)
    if sha256 is not None and _DIGEST.fullmatch(sha256) is None:
        raise UploadRefusal(
            "upload.sha256", "The announced SHA-256 is not 64 lower-case hex digits.", actual=sha256[:80]
        )
    _check_disk(size)
    _check_place(row, path)
    file = SubmittedFile(
        id=uuid4(), submission=row, path=path, size=size, claimed_sha256=sha256 or "", created=now, changed=now,
        state=FileState.UPLOADING if size else FileState.UPLOADED,
    )  # fmt: skip
    file.scratch = f"{row.id}/{file.id}"
    target = scratch_path(file)
    _make_scratch(target)
    try:
        with transaction.atomic():
            _hold_quota(by, size)
            file.save(force_insert=True)
            _touch(row, now)
    except IntegrityError as error:
        target.unlink(missing_ok=True)
        raise _duplicate(path) from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return file


def append_bytes(
    *,
    by: UUID,
    file: UUID,
    offset: int,
    data: bytes | Readable,
    now: datetime,
    checksum: tuple[str, bytes] | None = None,
) -> SubmittedFile:
    """Write `data` at `offset`, which must be where the upload stands; return the row with its new offset.

    `checksum` is (algorithm, digest) of exactly this piece; a piece that does not match, or breaks off, leaves the
    offset where it was. Without one, whatever arrived is kept when the connection or the disk gives out, so that the
    upload goes on from there. Raises UploadRefusal, and what `data.read` raises.
    """
    row = own_file(by, file)
    if row.state != FileState.UPLOADING:
        raise UploadRefusal(
            "upload.finished", f"The upload of {shown(row.path)} is already complete.", limit=row.size,
            actual=row.received,
        )  # fmt: skip
    digest = _checksum(checksum)
    with _locked(row) as descriptor:
        row.refresh_from_db(fields=["received", "state"])
        if offset != row.received:
            raise UploadRefusal(
                "upload.offset", f"The upload of {shown(row.path)} stands at another offset.",
                limit=row.received, actual=offset, todo="Ask for the offset and go on from there.",
            )  # fmt: skip
        writing = _Writing(descriptor, offset, row.size, digest)
        try:
            writing.take(data)
            _check_digest(checksum, writing, row)
        except OSError as error:
            _keep(row, offset, 0 if checksum else writing.count, now)
            if error.errno in _FULL:
                raise _disk_full(row.size - offset) from error
            raise
        except UploadRefusal:
            raise
        except BaseException:
            _keep(row, offset, 0 if checksum else writing.count, now)
            raise
        _keep(row, offset, writing.count, now)
    return row


def remove_file(*, by: UUID, file: UUID, now: datetime) -> None:
    """Take a file out of a submission, with its bytes and its quota, while files are added or the checks are stopped.

    Raises SubmissionRefusal.
    """
    row = own_file(by, file)
    require_state(row.submission, SubmissionState.UPLOADING, SubmissionState.STOPPED, what="Removing a file")
    drop_file(row)
    _touch(row.submission, now)


def drop_file(file: SubmittedFile) -> None:
    """Delete a file's row, scratch and quota. Whoever calls has checked that it may go."""
    with transaction.atomic():
        free_scratch(file)
        SubmittedFile.objects.filter(id=file.id).delete()


def free_scratch(file: SubmittedFile) -> bool:
    """Forget a file's plaintext on this machine and give its quota back; say whether it was this call that did."""
    if not file.scratch:
        return False
    with transaction.atomic():
        if SubmittedFile.objects.filter(id=file.id, scratch=file.scratch).update(scratch="") != 1:
            return False
        UploadQuota.objects.filter(party=file.submission.party).update(held=F("held") - file.size)
        path = scratch_path(file)
        transaction.on_commit(lambda: _unlink(path))
    file.scratch = ""
    return True


def expire_abandoned(*, now: datetime) -> int:
    """End submissions that nobody came back to, and free what they hold; return how many.

    Uploads and stopped ones end when `expires` has passed. The rows stay, so that their page can say what happened.
    """
    ended = 0
    waiting = (
        SubmissionState.UPLOADING, SubmissionState.STOPPED, SubmissionState.AWAITING_CONFIRM, SubmissionState.PASSED,
    )  # fmt: skip
    for row in Submission.objects.filter(state__in=waiting, expires__lte=now):
        with contextlib.suppress(StateMoved):
            end_submission(row, to_state=SubmissionState.EXPIRED, now=now)
            ended += 1
    return ended


def end_submission(submission: Submission, *, to_state: SubmissionState, now: datetime) -> None:
    """End a submission that will not be registered: scratch, quota and its place in the copy check are freed."""
    with transaction.atomic():
        move(submission, from_state=SubmissionState(submission.state), to_state=to_state, now=now)
        # Released, not kept: who never publishes must not keep others from publishing.
        registered_index.remove(submission)
        submission.fingerprints.all().delete()
        for file in submission.files.exclude(scratch=""):
            file.submission = submission
            free_scratch(file)


def scratch_path(file: SubmittedFile) -> Path:
    """Return where a file's plaintext lies while it is on its way."""
    return scratch_dir() / file.scratch


class _Writing:
    """One append: writes pieces through, counts what is on disk, refuses more than was announced."""

    def __init__(self, descriptor: int, offset: int, size: int, digest: object | None) -> None:
        self.count = 0
        self._descriptor = descriptor
        self._offset = offset
        self._size = size
        self.digest = digest

    def take(self, data: bytes | Readable) -> None:
        for piece in _pieces(data):
            if self._offset + self.count + len(piece) > self._size:
                raise UploadRefusal(
                    "upload.too_long", "More bytes arrive than were announced.", limit=self._size,
                    actual=self._offset + self.count + len(piece), todo="Announce the file with its real size.",
                )  # fmt: skip
            self._write(piece)
            if self.digest is not None:
                self.digest.update(piece)  # type: ignore[attr-defined]  # hashlib names no public type for it
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            # Blocks are allocated late: only now does a full disk say so, and nothing of this piece is certain.
            self.count = 0
            raise

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            written = os.pwrite(self._descriptor, view, self._offset + self.count)
            self.count += written
            view = view[written:]


def _pieces(data: bytes | Readable) -> Iterator[bytes]:
    if isinstance(data, bytes):
        if data:
            yield data
        return
    while piece := data.read(_PIECE):
        yield piece


@contextlib.contextmanager
def _locked(row: SubmittedFile) -> Iterator[int]:
    # The kernel lets go of this lock when its process dies, so a killed server never leaves an upload stuck.
    if not row.scratch:
        raise _lost(row)
    try:
        descriptor = os.open(scratch_path(row), os.O_RDWR)
    except FileNotFoundError as error:
        raise _lost(row) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UploadRefusal(
                "upload.busy", f"Another connection is sending {shown(row.path)}.",
                todo="Wait until it has ended, ask for the offset, go on from there.",
            ) from error  # fmt: skip
        yield descriptor
    finally:
        os.close(descriptor)


def _lost(row: SubmittedFile) -> UploadRefusal:
    return UploadRefusal(
        "upload.lost", f"The bytes of {shown(row.path)} are no longer here.", todo="Open a new submission and add it."
    )


def _keep(row: SubmittedFile, offset: int, count: int, now: datetime) -> None:
    if not count:
        return
    received = offset + count
    state = FileState.UPLOADED if received == row.size else FileState.UPLOADING
    kept = SubmittedFile.objects.filter(id=row.id, received=offset, state=FileState.UPLOADING).update(
        received=received, state=state, changed=now
    )
    if kept != 1:
        raise UploadRefusal("upload.offset", "The upload moved meanwhile.", actual=offset, todo="Ask for the offset.")
    row.received, row.state = received, state
    _touch(row.submission, now)


def _touch(submission: Submission, now: datetime) -> None:
    Submission.objects.filter(id=submission.id).update(changed=now, expires=now + content_limits().abandoned_after)


def _checksum(checksum: tuple[str, bytes] | None) -> object | None:
    if checksum is None:
        return None
    if checksum[0] not in CHECKSUMS:
        raise UploadRefusal(
            "upload.checksum_unknown", "The checksum algorithm is not supported.",
            limit=", ".join(CHECKSUMS), actual=checksum[0][:40],
        )  # fmt: skip
    return hashlib.new(checksum[0], usedforsecurity=False)


def _check_digest(checksum: tuple[str, bytes] | None, writing: _Writing, row: SubmittedFile) -> None:
    if checksum is None or writing.digest is None:
        return
    actual: bytes = writing.digest.digest()  # type: ignore[attr-defined]
    if actual != checksum[1]:
        raise UploadRefusal(
            "upload.checksum", f"A piece of {shown(row.path)} arrived altered.", limit=checksum[1].hex(),
            actual=actual.hex(), todo="Send this piece again.",
        )  # fmt: skip


def _check_size(path: str, size: int) -> None:
    limit = content_limits().file_bytes
    if size < 0:
        raise UploadRefusal("upload.size", f"The size of {shown(path)} is negative.", limit=0, actual=size)
    if size > limit:
        raise UploadRefusal(
            "upload.too_large", f"{shown(path)} is too large.", limit=limit, actual=size,
            todo="Split it into several files.",
        )  # fmt: skip


def _check_disk(size: int) -> None:
    directory = scratch_dir()
    directory.mkdir(parents=True, exist_ok=True)
    room = free_bytes(directory) - content_limits().disk_reserve
    if size > room:
        raise UploadRefusal(
            "upload.disk_full", "This server has no room for the file now.", limit=max(room, 0), actual=size,
            todo="Try again later; nothing that was uploaded is lost.",
        )  # fmt: skip


def _disk_full(size: int) -> UploadRefusal:
    return UploadRefusal(
        "upload.disk_full", "This server's disk is full.", limit=free_bytes(scratch_dir()), actual=size,
        todo="Resume later; what has arrived is kept.",
    )  # fmt: skip


def _check_place(submission: Submission, path: str) -> None:
    limit = content_limits().files
    files = SubmittedFile.objects.filter(submission=submission)
    if (count := files.count()) >= limit:
        raise UploadRefusal(
            "upload.too_many_files", "The submission has too many files.", limit=limit, actual=count + 1,
            todo="Pack records into fewer files, such as Parquet or JSON Lines.",
        )  # fmt: skip
    if files.filter(path=path).exists():
        raise _duplicate(path)
    # SQLite's LIKE takes A for a, which are two names here.
    inside = (file for file in files.filter(path__startswith=f"{path}/")[:100] if file.path.startswith(f"{path}/"))
    clash = files.filter(path__in=ancestors_of(path)).first() or next(inside, None)
    if clash is not None:
        raise PathRefusal(
            "path.file_and_folder", f"{shown(path)} and {shown(clash.path)} make one name both a file and a folder.",
            todo="Rename one of them.",
        )  # fmt: skip


def _duplicate(path: str) -> UploadRefusal:
    return UploadRefusal(
        "upload.duplicate", f"{shown(path)} is already in the list.", todo="Remove the first one, or rename this one."
    )


def _hold_quota(party: UUID, size: int) -> None:
    limit = content_limits().party_bytes
    UploadQuota.objects.get_or_create(party=party)
    if UploadQuota.objects.filter(party=party, held__lte=limit - size).update(held=F("held") + size) != 1:
        held = UploadQuota.objects.get(party=party).held
        raise UploadRefusal(
            "upload.quota", "The account has no room left for unpublished files.", limit=limit, actual=held + size,
            todo="Publish or remove other submissions first.",
        )  # fmt: skip


def _make_scratch(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        if error.errno in _FULL:
            raise _disk_full(0) from error
        raise


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()
