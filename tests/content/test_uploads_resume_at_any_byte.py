import errno
import hashlib
import os
import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from provenance import uploads
from provenance.core.refusal import Refusal
from provenance.models import FileState, Submission, SubmissionState, SubmittedFile, UploadQuota
from provenance.paths import PathRefusal
from tests.content.conftest import ADA, MALLORY, NOW, OWNERS

pytestmark = pytest.mark.django_db


class Dropped(Exception):
    """What a web server raises when the client goes away."""


class Body:
    """A request body that may break off."""

    def __init__(self, data, breaks_after=None, with_error=None):
        self.data, self.left, self.error = data, breaks_after, with_error or Dropped("connection reset")

    def read(self, size):
        if self.left is not None:
            if self.left <= 0:
                raise self.error
            size = min(size, self.left)
            self.left -= size
        piece, self.data = self.data[:size], self.data[size:]
        return piece


@pytest.fixture
def submission():
    return Submission.objects.create(party=ADA, owner=OWNERS[ADA], created=NOW, changed=NOW)


def add(submission, path="photo.jpg", size=10, **more):
    return uploads.add_file(by=ADA, submission=submission.id, path=path, size=size, now=NOW, **more)


def append(file, offset, data, by=ADA, **more):
    return uploads.append_bytes(by=by, file=file.id, offset=offset, data=data, now=NOW, **more)


def held(party=ADA):
    return UploadQuota.objects.get(party=party).held


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1, max_size=300), cuts=st.lists(st.integers(1, 40), max_size=12))
def test_an_upload_dropped_at_any_bytes_arrives_whole(submission, data, cuts):
    file = add(submission, path=str(uuid4()), size=len(data))
    for cut in cuts:
        if file.received == file.size:
            break
        rest = data[file.received :]
        if cut >= len(rest):
            break
        with pytest.raises(Dropped):
            append(file, file.received, Body(rest, breaks_after=cut))
        file.refresh_from_db()
    if file.received < file.size:
        file = append(file, file.received, data[file.received :])
    assert file.state == FileState.UPLOADED
    stored = uploads.scratch_path(file).read_bytes()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(data).digest()


def test_what_arrived_before_the_connection_dropped_is_kept(submission):
    file = add(submission)
    with pytest.raises(Dropped):
        append(file, 0, Body(b"0123456789", breaks_after=4))
    file.refresh_from_db()
    assert (file.received, file.state) == (4, FileState.UPLOADING)


def test_another_offset_than_the_upload_stands_at_is_refused_with_both(submission):
    file = append(add(submission), 0, b"0123")
    with pytest.raises(uploads.UploadRefusal) as refused:
        append(file, 2, b"23456789")
    assert (refused.value.code, refused.value.status) == ("upload.offset", 409)
    assert (refused.value.limit, refused.value.actual) == (4, 2)


def test_more_bytes_than_announced_are_refused_and_leave_the_offset(submission):
    file = add(submission)
    with pytest.raises(uploads.UploadRefusal) as refused:
        append(file, 0, b"0123456789!")
    file.refresh_from_db()
    assert (refused.value.code, refused.value.status, file.received) == ("upload.too_long", 413, 0)


def test_a_piece_with_its_checksum_is_taken_and_an_altered_one_is_not(submission):
    file = add(submission)
    digest = hashlib.sha256(b"01234").digest()
    with pytest.raises(uploads.UploadRefusal) as refused:
        append(file, 0, b"01235", checksum=("sha256", digest))
    file.refresh_from_db()
    assert (refused.value.status, file.received) == (460, 0)
    assert append(file, 0, b"01234", checksum=("sha256", digest)).received == 5


def test_a_piece_with_a_checksum_that_breaks_off_is_not_kept(submission):
    file = add(submission)
    with pytest.raises(Dropped):
        append(file, 0, Body(b"01234", breaks_after=3), checksum=("sha256", hashlib.sha256(b"01234").digest()))
    file.refresh_from_db()
    assert file.received == 0


def test_an_unknown_checksum_is_refused_by_name(submission):
    with pytest.raises(uploads.UploadRefusal) as refused:
        append(add(submission), 0, b"0", checksum=("crc32", b"1234"))
    assert (refused.value.code, refused.value.actual) == ("upload.checksum_unknown", "crc32")


def test_two_connections_at_once_cannot_mix_their_bytes(submission):
    file = add(submission)
    inside = uploads._locked(file)
    with inside, pytest.raises(uploads.UploadRefusal) as refused:
        append(file, 0, b"0123456789")
    assert (refused.value.code, refused.value.status) == ("upload.busy", 423)


@pytest.mark.django_db(transaction=True)
def test_of_ten_connections_with_the_same_piece_one_wins(submission):
    file = add(submission)
    outcomes = []

    def send(letter):
        try:
            outcomes.append(append(file, 0, letter * 10).received)
        except uploads.UploadRefusal as refusal:
            outcomes.append(refusal.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(bytes([65 + n]),)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(10) == 1
    assert set(outcomes) <= {10, "upload.busy", "upload.offset", "upload.finished"}
    assert len(set(uploads.scratch_path(file).read_bytes())) == 1


def test_a_full_disk_is_a_507_that_keeps_what_arrived(submission, monkeypatch):
    file = add(submission, size=8)
    real = os.pwrite
    room = [5]

    def pwrite(descriptor, data, offset):
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(descriptor, data[: room[0]], offset)
        room[0] -= written
        return written

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(uploads.UploadRefusal) as refused:
        append(file, 0, b"01234567")
    assert (refused.value.code, refused.value.status) == ("upload.disk_full", 507)
    assert "Resume" in refused.value.todo
    file.refresh_from_db()
    assert (file.received, file.state) == (5, FileState.UPLOADING)
    monkeypatch.undo()
    assert append(file, 5, b"567").state == FileState.UPLOADED


def test_a_disk_without_room_refuses_a_file_before_its_first_byte(submission, limits):
    limits(disk_reserve=2**60)
    with pytest.raises(uploads.UploadRefusal) as refused:
        add(submission)
    assert (refused.value.code, refused.value.status) == ("upload.disk_full", 507)
    assert not SubmittedFile.objects.exists()


def test_the_quota_holds_exactly_and_is_freed_by_removing(submission, limits):
    limits(party_bytes=20)
    first = add(submission, path="a", size=12)
    add(submission, path="b", size=8)
    with pytest.raises(uploads.UploadRefusal) as refused:
        add(submission, path="c", size=1)
    assert (refused.value.code, refused.value.limit, refused.value.actual) == ("upload.quota", 20, 21)
    uploads.remove_file(by=ADA, file=first.id, now=NOW)
    assert held() == 8
    add(submission, path="c", size=12)
    assert held() == 20


def test_a_refused_file_leaves_no_scratch_behind(submission, limits, var):
    limits(party_bytes=1)
    with pytest.raises(uploads.UploadRefusal):
        add(submission, size=2)
    assert not [path for path in (var / "uploads").rglob("*") if path.is_file()]


@pytest.mark.django_db(transaction=True)
def test_the_quota_holds_under_ten_announcements_at_once(submission, limits):
    limits(party_bytes=30)
    outcomes = []

    def announce(number):
        try:
            add(submission, path=f"f{number}", size=10)
            outcomes.append("added")
        except uploads.UploadRefusal as refusal:
            outcomes.append(refusal.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=announce, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["added"] * 3 + ["upload.quota"] * 7
    assert held() == 30


def test_abandoned_uploads_expire_and_free_their_quota_once(submission, limits, django_capture_on_commit_callbacks):
    limits(abandoned_after=timedelta(days=7))
    file = append(add(submission), 0, b"0123")
    path = uploads.scratch_path(file)
    assert uploads.expire_abandoned(now=NOW + timedelta(days=6)) == 0
    with django_capture_on_commit_callbacks(execute=True):
        assert uploads.expire_abandoned(now=NOW + timedelta(days=8)) == 1
    assert uploads.expire_abandoned(now=NOW + timedelta(days=9)) == 0
    submission.refresh_from_db()
    assert (submission.state, held(), path.exists()) == (SubmissionState.EXPIRED, 0, False)


def test_an_expired_upload_takes_no_more_bytes_and_says_so(submission):
    file = append(add(submission), 0, b"0123")
    uploads.expire_abandoned(now=NOW + timedelta(days=30))
    with pytest.raises(Refusal) as refused:
        append(file, 4, b"456789")
    assert refused.value.code == "upload.lost"


def test_somebody_elses_upload_looks_like_one_that_does_not_exist(submission):
    file = add(submission)
    for attempt in (
        lambda: append(file, 0, b"x", by=MALLORY),
        lambda: uploads.remove_file(by=MALLORY, file=file.id, now=NOW),
        lambda: append(SubmittedFile(id=uuid4()), 0, b"x"),
    ):
        with pytest.raises(Refusal) as refused:
            attempt()
        assert refused.value.code == "upload.not_found"


def test_a_file_of_zero_bytes_is_complete_at_once(submission):
    assert add(submission, size=0).state == FileState.UPLOADED


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../secret", "path.segments"),
        ("a/../../b", "path.segments"),
        ("/etc/passwd", "path.segments"),
        ("a//b", "path.segments"),
        ("./a", "path.segments"),
        ("", "path.empty"),
        ("line\nbreak.txt", "path.control"),
        ("nul\0.txt", "path.control"),
        ("bell\x07.txt", "path.control"),
        ("para\u2029.txt", "path.control"),
        ("photo\u202egpj.exe", "path.control"),
        ("..\\windows", "path.backslash"),
        ("lone\ud800", "path.encoding"),
        ("é" * 513, "path.too_long"),
        ("/".join(["d"] * 129), "path.depth"),
    ],
)
def test_names_that_could_do_harm_are_refused_and_shown_without_harm(submission, path, code):
    with pytest.raises(PathRefusal) as refused:
        add(submission, path=path)
    assert refused.value.code == code
    said = str(refused.value)
    assert not any(ord(character) < 32 or character in "\u202e\u2029" for character in said)
    said.encode("utf-8")
    assert refused.value.todo
    assert not SubmittedFile.objects.exists()


@pytest.mark.parametrize("path", ["🐈‍⬛ cats/naïve 写真.jpg", "a b/c'd\"e.csv", "x" * 1024])
def test_emoji_spaces_and_long_names_work(submission, path):
    assert add(submission, path=path).path == path


def test_names_are_normalized_so_that_one_name_is_one_file(submission):
    assert add(submission, path="cafe\u0301.txt").path == "caf\u00e9.txt"
    with pytest.raises(uploads.UploadRefusal) as refused:
        add(submission, path="caf\u00e9.txt")
    assert refused.value.code == "upload.duplicate"


def test_a_name_cannot_be_file_and_folder(submission):
    add(submission, path="a/b")
    for path in ("a", "a/b/c"):
        with pytest.raises(PathRefusal) as refused:
            add(submission, path=path)
        assert refused.value.code == "path.file_and_folder"
    add(submission, path="ab")
    add(submission, path="A")


def test_a_file_above_the_limit_is_refused_with_limit_and_size(submission, limits):
    limits(file_bytes=100)
    with pytest.raises(uploads.UploadRefusal) as refused:
        add(submission, size=101)
    assert (refused.value.code, refused.value.limit, refused.value.actual) == ("upload.too_large", 100, 101)


def test_a_submission_that_was_sealed_takes_no_more_files(submission):
    Submission.objects.filter(id=submission.id).update(state=SubmissionState.CHECKING)
    with pytest.raises(Refusal) as refused:
        add(submission)
    assert refused.value.code == "submission.state"
