import io
import os
import resource
import zipfile

import polars as pl
import pytest
from PIL import Image

from provenance import ingest, packaging, publication, submissions, uploads
from provenance.adapters.scanner import EICAR, SignatureScanner
from provenance.core.refusal import Refusal
from provenance.core.unixfs.file import hash_file
from provenance.models import (
    DatasetRecord,
    Document,
    FileState,
    FingerprintRow,
    Intent,
    PinRow,
    Submission,
    SubmissionState,
    SubmittedFile,
)
from provenance.ports import ScannerRefusal
from tests.content.conftest import ADA, OWNERS
from tests.content.pictures import photo, prose
from tests.content.test_previews_show_little_and_nothing_hidden import bomb

pytestmark = pytest.mark.django_db

GIB = 1 << 30


def nothing_registered():
    return not (Document.objects.exists() or PinRow.objects.exists() or Intent.objects.exists())


def refused_file(world, path, data, **more):
    """Submit one file that is refused; return the submission and the file."""
    submission = world.submit({path: data}, **more)
    assert submission.state == SubmissionState.STOPPED
    assert submission.refusal["code"] == "submission.bad_files"
    assert nothing_registered()
    file = submission.files.get(path=path)
    said = {name: submission.refusal.get(name) for name in ("limit", "actual")}
    assert said == {name: file.refusal.get(name) for name in said}, "the figures are those of the file"
    return submission, file


def test_an_empty_folder_is_refused(world):
    submission = world.open()
    with pytest.raises(Refusal) as refused:
        world.seal(submission)
    assert (refused.value.code, refused.value.limit, refused.value.actual) == ("submission.no_files", 1, 0)
    submission.refresh_from_db()
    assert submission.state == SubmissionState.UPLOADING, "files can still be added"


def test_files_of_zero_bytes_alone_are_refused_and_work_among_others(world):
    submission = world.open()
    world.add(submission, "empty.txt", b"")
    with pytest.raises(Refusal) as refused:
        world.seal(submission)
    assert refused.value.code == "submission.only_empty_files"
    world.add(submission, "full.txt", prose(1))
    world.seal(submission)
    assert world.work(submission).state == SubmissionState.AWAITING_CONFIRM


@pytest.mark.parametrize(
    ("path", "data"),
    [("t.csv", b"name,year\n"), ("t.parquet", None), ("blank.txt", b"  \n\n \n"), ("t.tsv", b"a\tb\r\n")],
)
def test_a_table_of_zero_rows_and_a_text_of_no_words_are_refused(world, path, data):
    if data is None:
        out = io.BytesIO()
        pl.DataFrame({"a": []}, schema={"a": pl.Int64}).write_parquet(out)
        data = out.getvalue()
    submission = world.submit({path: data})
    assert (submission.state, submission.refusal["code"]) == (SubmissionState.STOPPED, "submission.no_records")
    assert nothing_registered()


def test_a_table_of_zero_rows_works_beside_one_with_rows(world):
    submission = world.submit({"empty.csv": b"a,b\n", "full.csv": b"a,b\n1,2\n3,4\n"})
    assert submission.state == SubmissionState.AWAITING_CONFIRM
    assert submission.totals["records"] == 2


def test_a_picture_of_169_megapixels_is_refused_with_both_figures_and_the_others_can_go_on(world, tmp_path):
    data = bomb(tmp_path / "bomb.png", 13_000, 13_000).read_bytes()
    submission = world.submit({"bomb.png": data, "photo.jpg": photo(1)})
    file = submission.files.get(path="bomb.png")
    assert (file.state, file.refusal["code"]) == (FileState.REFUSED, "image.too_large")
    assert (file.refusal["limit"], file.refusal["actual"]) == (128_000_000, 169_000_000)
    assert "bomb.png" in submission.refusal["title"]
    uploads.remove_file(by=ADA, file=file.id, now=world.clock())
    submissions.recheck_submission(by=ADA, submission=submission.id, now=world.clock())
    assert world.work(submission).state == SubmissionState.AWAITING_CONFIRM


def test_a_zip_with_dots_is_refused_with_what_to_do_and_nothing_is_written_outside(world, tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../../../evil", "owned")
    before = sorted(tmp_path.parent.iterdir())
    _, file = refused_file(world, "data.zip", out.getvalue())
    assert file.refusal["code"] == "media.archive"
    assert "add the folder" in file.refusal["todo"]
    assert sorted(tmp_path.parent.iterdir()) == before


def test_a_zip_bomb_is_only_ever_its_few_bytes(world):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 50_000_000)
    assert len(out.getvalue()) < 100_000
    _, file = refused_file(world, "bomb.zip", out.getvalue())
    assert file.refusal["actual"] == "zip"


def test_a_broken_picture_is_refused_by_name(world):
    _, file = refused_file(world, "broken.jpg", photo(1)[:200])
    assert file.refusal["code"].startswith(("image.", "fingerprint."))


def test_malware_and_secrets_are_quarantined_before_anything_is_stored(world, var):
    key = b"-----BEGIN OPENSSH " + b"PRIVATE KEY-----\n" + b"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAAB" * 3
    for name, data in (("virus.com", EICAR), ("id.txt", prose(1, 99) + b"\n" + key)):
        _, file = refused_file(world, name, data)
        assert file.state == FileState.QUARANTINED
        assert not FingerprintRow.objects.filter(file=file).exists()
    assert not (var / "blocks" / "blocks").exists() or not [
        path for path in (var / "blocks" / "blocks").rglob("*") if path.is_file()
    ]


def test_a_scanner_that_does_not_answer_lets_files_wait_and_not_pass(world):
    submission = world.open()
    world.add(submission, "a.txt", prose(1))
    world.seal(submission)

    class Down:
        name = "down"

        def scan(self, path):
            raise ScannerRefusal("scanner.down", "The virus scanner is unreachable.")

    ingest.inspect_due(clock=world.clock, limit=9, scanner=Down())
    file = submission.files.get()
    assert (file.state, file.refusal["code"]) == (FileState.UPLOADED, "scanner.down")
    world.clock.now = world.clock.now.replace(hour=13)
    assert world.work(submission).state == SubmissionState.AWAITING_CONFIRM


def test_bytes_that_arrive_altered_are_refused_by_the_digest_that_the_client_announced(world):
    submission = world.open()
    world.add(submission, "a.txt", prose(1), sha256="ab" * 32)
    world.seal(submission)
    world.work(submission)
    assert submission.files.get().refusal["code"] == "ingest.sha256"


def test_a_file_that_kills_every_worker_is_refused_in_the_end_and_others_go_on(world, monkeypatch):
    submission = world.open()
    world.add(submission, "poison.txt", prose(1))
    world.add(submission, "sound.txt", prose(2))
    world.seal(submission)
    real = ingest.read_once

    class Killed(BaseException):
        pass

    def read(path, name, **more):
        if name == "poison.txt":
            raise Killed
        return real(path, name, **more)

    monkeypatch.setattr(ingest, "read_once", read)
    for _ in range(8):
        for file in submission.files.filter(state=FileState.UPLOADED):
            try:
                ingest.inspect_file(file, clock=world.clock, scanner=SignatureScanner())
            except Killed:
                continue
        world.clock.now = world.clock.now.replace(hour=world.clock.now.hour + 1)
    states = dict(submission.files.values_list("path", "state"))
    assert states == {"poison.txt": FileState.REFUSED, "sound.txt": FileState.INSPECTED}
    assert submission.files.get(path="poison.txt").refusal["code"] == "ingest.failed"


@pytest.mark.parametrize(
    "parent",
    ["eip155:31337/erc721:0x" + "11" * 20 + "/99", "eip155:1/erc721:0x" + "99" * 20 + "/1", "not an id", "", None, 7],
)
def test_parents_that_do_not_exist_are_refused_by_name(world, parent):
    submission = world.open()
    with pytest.raises(Refusal) as refused:
        submissions.describe_submission(by=ADA, submission=submission.id, now=world.clock(), parents=[parent])
    assert refused.value.code == "submission.parent_unknown"
    assert refused.value.actual == str(parent)


def test_a_seventeenth_parent_is_refused(world):
    for token in range(1, 18):
        DatasetRecord.objects.create(
            deployment=world.deployment, token=token, owner="0x" + "b2" * 20, creator="0x" + "b2" * 20, derive_bps=0,
            manifest="ab" * 32, tx="0x", block_number=1, block_hash="0x", registered_at=world.clock(),
        )  # fmt: skip
    names = [world.deployment.dataset_caip(token) for token in range(1, 18)]
    submission = world.open()
    submissions.describe_submission(by=ADA, submission=submission.id, now=world.clock(), parents=names[:16])
    with pytest.raises(Refusal) as refused:
        submissions.describe_submission(by=ADA, submission=submission.id, now=world.clock(), parents=names)
    assert (refused.value.limit, refused.value.actual) == (16, 17)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "x" * 201),
        ("creator", "x" * 101),
        ("description", "x" * 4001),
        ("title", 7),
        ("title", "nul\0"),
        ("title", "line\nbreak"),
        ("title", "Photographs\u200b"),
        ("creator", "\u200fAda"),
        ("description", "half \ud83d an emoji"),
        ("kind", "sculpture"),
        ("languages", ["not a language!"]),
        ("collected", {"from": "2026-02-30", "to": None}),
        ("collected", {"from": "2026-02-02", "to": "2026-01-01"}),
        ("rights", [{"source": "them", "basis": "licensed"}]),
        ("rights", [{"source": "me", "basis": "because"}]),
        ("rights", ["mine"]),
        ("visibility", "hidden"),
        ("colour", "red"),
    ],
)
def test_a_description_that_no_manifest_may_say_is_refused_and_not_kept(world, field, value):
    submission = world.open()
    with pytest.raises(Refusal):
        submissions.describe_submission(by=ADA, submission=submission.id, now=world.clock(), **{field: value})
    kept = Submission.objects.get(id=submission.id)
    assert (kept.title, kept.visibility, kept.changed) == ("Photographs", "sealed", submission.changed)


def test_an_owner_that_is_no_account_of_a_chain_is_refused(world):
    for owner in ("0x" + "a1" * 20, "eip155:31337:0x" + "A1" * 20, "ada", "solana:x:y"):
        with pytest.raises(Refusal):
            submissions.open_submission(by=ADA, owner=owner, now=world.clock())


def test_a_dataset_of_somebody_else_takes_no_version_of_ours(world):
    submission = world.publish({"a.txt": prose(1)})
    with pytest.raises(Refusal) as refused:
        submissions.open_submission(
            by=ADA, owner="eip155:31337:0x" + "c3" * 20, dataset=submission.dataset, now=world.clock()
        )
    assert refused.value.code == "submission.dataset_unknown"


def test_closing_the_list_with_a_file_under_way_is_refused_with_what_is_missing(world):
    submission = world.open()
    world.add(submission, "whole.txt", b"whole")
    submissions.add_file(by=ADA, submission=submission.id, path="half.txt", size=10, now=world.clock())
    with pytest.raises(Refusal) as refused:
        world.seal(submission)
    assert (refused.value.code, refused.value.limit, refused.value.actual) == ("submission.incomplete", 10, 0)
    assert "half.txt" in str(refused.value)


def test_pictures_of_every_mode_are_taken(world):
    files = {}
    for mode in ("P", "LA", "RGBA", "CMYK", "1", "L"):
        out = io.BytesIO()
        Image.open(io.BytesIO(photo(3))).convert(mode).save(out, "TIFF")
        files[f"{mode}.tiff"] = out.getvalue()
    submission = world.submit(files)
    assert submission.state == SubmissionState.AWAITING_CONFIRM, [file.refusal for file in submission.files.all()]


def test_an_upload_goes_on_beyond_four_gigabytes(world):
    submission = world.open()
    file = submissions.add_file(by=ADA, submission=submission.id, path="huge.bin", size=5 * GIB, now=world.clock())
    os.truncate(uploads.scratch_path(file), 5 * GIB - 5)
    SubmittedFile.objects.filter(id=file.id).update(received=5 * GIB - 5)
    file = submissions.append_bytes(by=ADA, file=file.id, offset=5 * GIB - 5, data=b"12345", now=world.clock())
    assert (file.received, file.state) == (5 * GIB, FileState.UPLOADED)
    with uploads.scratch_path(file).open("rb") as source:
        source.seek(5 * GIB - 5)
        assert source.read() == b"12345"


@pytest.mark.slow
@pytest.mark.bulk
@pytest.mark.parametrize(("visibility", "size"), [("open", GIB + 1), ("sealed", 3 * GIB)])
def test_a_file_of_three_gibibytes_goes_through_with_flat_memory(world, visibility, size):
    submission = submissions.open_submission(by=ADA, owner=OWNERS[ADA], visibility=visibility, now=world.clock())
    submissions.describe_submission(
        by=ADA, submission=submission.id, now=world.clock(), title="Zeros", creator="Ada",
        rights=[{"source": "me", "basis": "own-work"}],
    )  # fmt: skip
    file = submissions.add_file(by=ADA, submission=submission.id, path="zeros.bin", size=size, now=world.clock())
    os.truncate(uploads.scratch_path(file), size)
    SubmittedFile.objects.filter(id=file.id).update(received=size, state=FileState.UPLOADED)
    world.seal(submission)

    class Counting:
        """Checks nothing and keeps nothing but the small blocks that documents and folders are made of."""

        name = "local"
        bytes = 0

        def put_block(self, cid, data):
            self.bytes += len(data)

    store = Counting()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ingest.inspect_due(clock=world.clock, limit=1, scanner=SignatureScanner())
    submission.refresh_from_db()
    for _ in range(2):
        publication.advance(submission, now=world.clock(), stores={"local": store})
    world.sign_keys()
    assert packaging.store_due(store, clock=world.clock) == 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, f"{grown} KiB more"
    stored = submission.files.get()
    assert (stored.state, store.bytes >= size) == (FileState.STORED, True)
    if visibility == "open":
        with uploads.scratch_path(stored).open("rb") as source:
            node = hash_file(lambda view, at: os.preadv(source.fileno(), [view], at), size, threads=1)
        assert stored.stored_cid == str(node.cid)
