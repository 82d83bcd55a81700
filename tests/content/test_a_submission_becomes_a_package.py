import io
import tarfile
from datetime import timedelta

import pyrage
import pytest

from provenance import ingest, packaging, publication, submissions, takedowns
from provenance.adapters.scanner import SignatureScanner
from provenance.content_queries import progress
from provenance.core.canonical import parse_canonical
from provenance.core.cid import Cid
from provenance.core.manifest import Manifest
from provenance.core.package import Package
from provenance.core.private_manifest import PrivateManifest
from provenance.core.refusal import Refusal
from provenance.core.unixfs.reading import read_file, walk_files
from provenance.description import public_manifest
from provenance.leases import LeaseLost, take
from provenance.models import (
    ContentKey,
    DatasetRecord,
    Document,
    FileState,
    IndexState,
    Intent,
    IntentState,
    KeyState,
    PinRow,
    Submission,
    SubmissionState,
    SubmittedFile,
    UploadQuota,
)
from provenance.ports import StoreRefusal
from provenance.uploads import scratch_path
from tests.content.conftest import ADA, BEN, NOW
from tests.content.pictures import photo, prose, table

pytestmark = pytest.mark.django_db

FILES = {
    "photos/🐈 one.jpg": photo(1),
    "photos/two.jpg": photo(2),
    "notes.txt": prose(1, 300),
    "rows.csv": table(1, 50),
    "empty.txt": b"",
}


def manifest_of(submission):
    return Manifest.parse(Document.objects.get(sha256=submission.manifest).content)


def package_of(submission):
    return Package.parse(Document.objects.get(sha256=submission.package).content)


def test_a_sealed_package_holds_nothing_but_age_files_that_its_key_opens(world):
    submission = world.submit(FILES)
    package, manifest = package_of(submission), manifest_of(submission)
    assert (package.kind, package.files, package.root) == ("sealed", 6, Cid.parse(submission.package_root))
    assert package.recipient == ContentKey.objects.get().recipient
    stored = dict(walk_files(package.root, world.store.get_block))
    for name, cid in stored.items():
        assert name.endswith(".age")
        assert b"".join(read_file(cid, world.store.get_block)).startswith(b"age-encryption.org/v1\n")
    opened = world.open_package(submission)
    private = PrivateManifest.parse(opened.pop("manifest.age"))
    manifest.check_files(private.records)
    assert {record.path: opened[record.stored_name] for record in private.records} == FILES
    assert package.stored_bytes == sum(len(b"".join(read_file(cid, world.store.get_block))) for cid in stored.values())


def test_plaintext_of_sealed_data_never_enters_the_store(world, var):
    world.submit(FILES)
    blocks = b"".join(path.read_bytes() for path in (var / "blocks").rglob("*") if path.is_file())
    for data in FILES.values():
        assert not data or data[:40] not in blocks
    assert b"photos/" not in blocks


def test_the_public_manifest_of_sealed_data_names_no_file(world):
    submission = world.submit(FILES)
    text = Document.objects.get(sha256=submission.manifest).content.decode()
    manifest = manifest_of(submission)
    assert (manifest.visibility, manifest.files, manifest.file_lists) == ("sealed", None, None)
    assert manifest.totals.to_document() == {"files": 5, "bytes": sum(map(len, FILES.values())), "records": 53}
    assert manifest.kind == "mixed"
    assert manifest.media_types == ("application/x-empty", "image/jpeg", "text/csv", "text/plain")
    for path in FILES:
        assert path not in text
    for digest in submission.files.values_list("sha256", flat=True):
        assert digest not in text


def test_an_open_package_is_the_folder_itself_and_its_files_are_public(world):
    submission = world.submit(FILES, visibility="open")
    package, manifest = package_of(submission), manifest_of(submission)
    assert (package.kind, package.recipient) == ("open", None)
    stored = {
        path: b"".join(read_file(cid, world.store.get_block))
        for path, cid in walk_files(package.root, world.store.get_block)
    }
    assert stored == FILES
    assert [record.path for record in manifest.files] == sorted(FILES, key=str.encode)
    assert not ContentKey.objects.exists()


def test_the_cid_that_inspection_found_for_open_data_is_the_one_that_is_stored(world):
    submission = world.open(visibility="open")
    world.add(submission, "a.bin", bytes(range(256)) * 5000)
    world.seal(submission)
    ingest.inspect_due(clock=world.clock, limit=9, scanner=SignatureScanner())
    found = submission.files.get().stored_cid
    world.work(submission)
    assert submission.files.get().stored_cid == found


def test_nothing_is_stored_or_pinned_before_the_copy_check_passes(world, var):
    world.publish({"a.jpg": photo(9)})
    before = sorted(path.name for path in (var / "blocks").rglob("*") if path.is_file())
    pins = PinRow.objects.count()
    copy = world.submit({"b.jpg": photo(9)}, by=BEN, visibility="open")
    assert copy.state == SubmissionState.STOPPED
    assert sorted(path.name for path in (var / "blocks").rglob("*") if path.is_file()) == before
    assert PinRow.objects.count() == pins


def test_documents_stay_private_until_they_are_confirmed(world):
    submission = world.submit(FILES)
    assert not Document.objects.filter(public=True).exists()
    world.confirm(submission)
    public = set(Document.objects.filter(public=True).values_list("sha256", flat=True))
    assert public == {submission.manifest, submission.package}


def test_what_is_confirmed_is_what_was_reviewed(world):
    submission = world.submit(FILES)
    reviewed = submission.manifest
    submissions.describe_submission(by=ADA, submission=submission.id, now=world.clock(), title="Another title")
    world.work(submission)
    with pytest.raises(Refusal) as refused:
        submissions.confirm(by=ADA, submission=submission.id, manifest=reviewed, now=world.clock())
    assert refused.value.code == "submission.changed_since_review"
    submission.refresh_from_db()
    assert manifest_of(submission).title == "Another title"
    assert world.confirm(submission).state == SubmissionState.REGISTERING


def test_describing_anew_seals_no_file_again(world):
    submission = world.submit(FILES)
    sealed = dict(submission.files.values_list("path", "stored_cid"))
    submissions.describe_submission(by=ADA, submission=submission.id, now=world.clock(), description="New words")
    world.work(submission)
    assert submission.state == SubmissionState.AWAITING_CONFIRM
    assert dict(submission.files.values_list("path", "stored_cid")) == sealed
    assert PrivateManifest.parse(world.open_package(submission)["manifest.age"]).manifest.hex == submission.manifest


def test_checks_run_while_the_description_is_still_missing_and_then_go_on(world):
    submission = submissions.open_submission(by=ADA, owner="eip155:31337:0x" + "a1" * 20, now=NOW)
    world.add(submission, "a.txt", prose(5))
    world.seal(submission)
    assert world.work(submission).state == SubmissionState.PASSED
    assert submissions.missing_description(submission) == ["title", "creator", "rights"]
    submissions.describe_submission(
        by=ADA, submission=submission.id, now=world.clock(), title="Notes", creator="Ada",
        rights=[{"source": "me", "basis": "own-work"}],
    )  # fmt: skip
    assert world.work(submission).state == SubmissionState.AWAITING_CONFIRM


def test_plaintext_leaves_this_machine_and_the_quota_is_freed_when_the_registration_is_final(
    world, var, django_capture_on_commit_callbacks
):
    submission = world.submit(FILES)
    world.confirm(submission)
    world.register(submission, final=False)
    assert submission.state == SubmissionState.REGISTERED
    assert UploadQuota.objects.get(party=ADA).held == sum(map(len, FILES.values()))
    with django_capture_on_commit_callbacks(execute=True):
        world.deployment.finalized = 9
        world.deployment.save()
        world.work(submission)
    assert submission.state == SubmissionState.FINAL
    assert UploadQuota.objects.get(party=ADA).held == 0
    assert not [path for path in (var / "uploads").rglob("*") if path.is_file()]


def test_every_block_of_a_published_package_is_pinned_and_only_open_data_is_announced(world):
    for visibility in ("open", "sealed"):
        submission = world.publish({"a.bin": visibility.encode() * 9999}, visibility=visibility)
        world.repair()
        world.clock.now += timedelta(minutes=1)
        world.repair()
        root = Cid.parse(submission.package_root)
        assert root in set(world.store.pins())
        assert world.store.announced(root) is (visibility == "open")
        for digest in (submission.manifest, submission.package):
            cid = Cid.of(Document.objects.get(sha256=digest).content)
            assert world.store.announced(cid)


@pytest.mark.parametrize("state", [IntentState.FAILED, IntentState.EXPIRED])
def test_a_registration_that_fails_waits_for_the_creator_with_its_cause_and_can_be_confirmed_again(world, state):
    submission = world.submit(FILES)
    world.confirm(submission)
    first = submission.intent_key
    Intent.objects.filter(key=first).update(
        state=state, code="chain.RegistryStackTooHigh", cause="The stack of shares is 11000 of 10000."
    )
    world.work(submission)
    assert submission.state == SubmissionState.AWAITING_CONFIRM
    assert submission.refusal["code"] == "chain.RegistryStackTooHigh"
    assert "11000 of 10000" in submission.refusal["title"]
    world.confirm(submission)
    assert submission.intent_key != first
    assert Intent.objects.get(key=submission.intent_key).payload["registration"]["manifest"] == submission.manifest
    assert world.register(submission).state == SubmissionState.FINAL


def test_somebody_elses_registration_of_the_same_digest_is_not_ours(world):
    submission = world.submit(FILES)
    world.confirm(submission)
    owner, submission.owner = submission.owner, "eip155:31337:0x" + "c3" * 20
    world.register(submission)
    submission.refresh_from_db()
    assert (submission.owner, submission.state) == (owner, SubmissionState.REGISTERING)


def test_a_reorg_takes_a_registration_back_and_it_is_found_again_under_its_new_number(world):
    submission = world.submit(FILES)
    world.confirm(submission)
    world.register(submission, final=False)
    first = submission.dataset
    world.deployment.datasetrecord_set.all().delete()
    world.work(submission)
    assert (submission.state, submission.dataset) == (SubmissionState.REGISTERING, "")
    other = world.submit({"b.txt": prose(77)}, by=BEN)
    world.confirm(other)
    world.register(other)
    assert world.register(submission).state == SubmissionState.FINAL
    assert (other.dataset, submission.dataset) == (first, first[:-1] + "2")


def test_a_version_after_the_first_names_it_and_keeps_its_parents(world):
    parent = world.publish({"p.txt": prose(1)}, by=BEN)
    first = world.open()
    submissions.describe_submission(by=ADA, submission=first.id, now=world.clock(), parents=[parent.dataset])
    world.add(first, "a.txt", prose(2))
    world.seal(first)
    world.work(first)
    world.confirm(first)
    world.register(first)
    record = world.deployment.datasetrecord_set.get(token=2)
    world.deployment.parentedge_set.create(dataset=record, child=2, parent=1, bps=500)
    second = world.submit({"a.txt": prose(3)}, dataset=first.dataset)
    manifest = manifest_of(second)
    assert (manifest.version, manifest.previous.hex) == (2, first.manifest)
    assert [str(each) for each in manifest.parents] == [parent.dataset]
    with pytest.raises(Refusal) as refused:
        submissions.describe_submission(by=ADA, submission=second.id, now=world.clock(), parents=[])
    assert refused.value.code == "submission.parents_fixed"
    world.confirm(second)
    payload = Intent.objects.get(key=second.intent_key)
    assert (payload.kind, payload.payload["dataset"], payload.payload["expected_version"]) == ("registry.version", 2, 1)


def test_a_new_package_under_the_same_version_has_a_key_of_its_own_and_the_same_manifest(world):
    submission = world.publish(FILES)
    again = submissions.open_package(by=ADA, dataset=submission.dataset, version=1, now=world.clock())
    for path, data in FILES.items():
        world.add(again, path, data)
    world.seal(again)
    world.work(again)
    assert (again.state, again.manifest, again.package_number) == (SubmissionState.REGISTERING, submission.manifest, 2)
    assert again.package != submission.package
    intent = Intent.objects.get(key=again.intent_key)
    assert (intent.kind, intent.payload["number"], intent.payload["package"]) == ("registry.package", 2, again.package)
    assert world.register(again).state == SubmissionState.FINAL
    keys = {key.package_number: key.recipient for key in ContentKey.objects.all()}
    assert keys[1] != keys[2]
    with pytest.raises(pyrage.DecryptError):
        stored = dict(walk_files(Cid.parse(again.package_root), world.store.get_block))
        data = b"".join(read_file(stored["manifest.age"], world.store.get_block))
        pyrage.decrypt(data, [world.identities[submission.id, 1]])
    assert IndexState.objects.get().version == 1, "it is not compared with itself"


def test_a_new_package_of_other_files_is_refused(world):
    submission = world.publish(FILES)
    again = submissions.open_package(by=ADA, dataset=submission.dataset, version=1, now=world.clock())
    for path, data in FILES.items():
        world.add(again, path, data + b"!")
    world.seal(again)
    world.work(again)
    assert (again.state, again.refusal["code"]) == (SubmissionState.STOPPED, "submission.other_files")


@pytest.mark.parametrize("wallet", ["published it", "was handed it"])
def test_a_package_that_only_a_wallet_may_sign_is_refused_before_anything_is_uploaded(world, wallet):
    submission = world.publish(FILES)
    if wallet == "published it":
        Submission.objects.filter(pk=submission.pk).update(wallet={"registration": "0x"})
    else:
        DatasetRecord.objects.update(owner="0x" + "9a" * 20)
    with pytest.raises(Refusal) as refused:
        submissions.open_package(by=ADA, dataset=submission.dataset, version=1, now=world.clock())
    assert refused.value.code == "submission.package_wallet"
    assert Submission.objects.count() == 1


def test_nobody_makes_packages_of_somebody_elses_dataset(world):
    submission = world.publish(FILES)
    with pytest.raises(Refusal) as refused:
        submissions.open_package(by=BEN, dataset=submission.dataset, version=1, now=world.clock())
    assert refused.value.code == "submission.dataset_unknown"


def test_the_stages_of_a_submission_are_shown_with_times_and_rates(world):
    submission = world.submit(FILES)
    stages = {stage.name: stage for stage in progress(submission)}
    assert list(stages) == ["upload", "hash", "scan", "fingerprint", "preview", "gate", "seal", "pin", "register"]
    total = sum(map(len, FILES.values()))
    for name in ("upload", "hash", "seal"):
        assert (stages[name].state, stages[name].done, stages[name].total, stages[name].unit) == (
            "done", total, total, "bytes",
        )  # fmt: skip
    for name in ("scan", "fingerprint", "preview"):
        assert (stages[name].state, stages[name].done, stages[name].total) == ("done", 5, 5)
    assert stages["hash"].started < stages["hash"].ended
    assert stages["hash"].rate > 0
    assert (stages["gate"].state, stages["register"].state) == ("done", "waiting")


def test_a_worker_killed_while_sealing_is_followed_by_another_once_its_lease_is_over(world):
    submission = world.open()
    world.add(submission, "a.bin", b"x" * 100_000)
    world.seal(submission)
    ingest.inspect_due(clock=world.clock, limit=9, scanner=SignatureScanner())
    submission.refresh_from_db()
    for _ in range(3):
        publication.advance(submission, now=world.clock(), stores=world.stores)
        world.sign_keys()
    assert submission.state == SubmissionState.SEALING

    class Killed(BaseException):
        pass

    def die(cid, data):
        raise Killed

    store = type("Dying", (), {"put_block": staticmethod(die)})()
    with pytest.raises(Killed):
        packaging.store_due(store, clock=world.clock)
    assert packaging.store_due(world.store, clock=world.clock) == 0, "the dead worker still holds its lease"
    world.clock.now += timedelta(minutes=3)
    assert packaging.store_due(world.store, clock=world.clock) == 1
    assert world.work(submission).state == SubmissionState.AWAITING_CONFIRM


def test_a_store_without_room_lets_the_file_wait_with_the_cause_and_goes_on_by_itself(world):
    submission = world.open()
    world.add(submission, "a.bin", b"x" * 100_000)
    world.seal(submission)

    class Full:
        name = "full"

        def put_block(self, cid, data):
            raise StoreRefusal("store.full", "The disk of the store is full.", limit=0, actual=100)

    full, world.store = world.store, Full()
    world.stores = {"local": full}
    world.work(submission)
    file = submission.files.get()
    assert (submission.state, file.state, file.refusal["code"]) == (
        SubmissionState.SEALING, FileState.INSPECTED, "store.full",
    )  # fmt: skip
    assert not Document.objects.exists()
    world.store = full
    world.clock.now += timedelta(minutes=1)
    assert world.work(submission).state == SubmissionState.AWAITING_CONFIRM
    assert submission.files.get().refusal is None


def test_plaintext_that_changed_after_the_check_is_not_sealed(world):
    submission = world.open()
    file = world.add(submission, "a.bin", b"x" * 100_000)
    world.seal(submission)
    ingest.inspect_due(clock=world.clock, limit=9, scanner=SignatureScanner())
    scratch_path(file).write_bytes(b"y" * 100_000)
    world.work(submission)
    changed = submission.files.get()
    assert (changed.state, changed.refusal["code"]) == (FileState.REFUSED, "package.changed")
    assert submission.state == SubmissionState.SEALING
    assert not Document.objects.exists()


def test_two_workers_never_work_on_one_file_at_the_same_time(world):
    submission = world.open()
    file = world.add(submission, "a.bin", b"x" * 1000)
    file.refresh_from_db()
    lease = take(file, clock=world.clock)
    assert lease is not None
    assert take(Submission.objects.get().files.get(), clock=world.clock) is None
    world.clock.now += timedelta(minutes=3)
    later = take(Submission.objects.get().files.get(), clock=world.clock)
    with pytest.raises(LeaseLost):
        lease.begin(hash=1000)
    later.begin(hash=1000)


def test_advancing_twice_is_advancing_once(world):
    submission = world.submit(FILES)
    stale = Submission.objects.get(id=submission.id)
    world.confirm(submission)
    with pytest.raises(Refusal):
        submissions.confirm(by=ADA, submission=stale.id, manifest=stale.manifest, now=world.clock())
    assert Intent.objects.count() == 1
    assert not publication.advance(stale, now=world.clock(), stores=world.stores)


def test_a_withdrawn_submission_frees_everything_and_its_key_is_destroyed(world, var):
    submission = world.submit(FILES)
    world.repair()
    submissions.withdraw_submission(by=ADA, submission=submission.id, now=world.clock())
    assert UploadQuota.objects.get(party=ADA).held == 0
    takedowns.release_ended(world.stores, now=world.clock())
    assert not PinRow.objects.filter(submission=submission).exists()
    assert not [path for path in (var / "blocks" / "blocks").rglob("*") if path.is_file()]
    assert ContentKey.objects.get().state == KeyState.DESTROYED


def test_ten_thousand_names_fit_into_documents_of_one_mebibyte(world):
    submission = world.open(visibility="open")
    SubmittedFile.objects.bulk_create(
        SubmittedFile(
            submission=submission, path=f"folder/{number:05d}-" + "n" * 60, size=1, received=1, sha256="ab" * 32,
            media_type="text/plain", records=1, salt="cd" * 16, state=FileState.STORED, created=NOW, changed=NOW,
        )
        for number in range(10_000)
    )  # fmt: skip
    made = public_manifest(submission, list(submission.files.all()))
    assert len(made.documents) > 2
    assert all(len(data) <= 1_048_576 for _, data in made.documents)
    assert len(made.manifest.file_lists) == len(made.documents) - 1
    assert sum(len(parse_canonical(data)["records"]) for _, data in made.documents[1:]) == 10_000


def test_a_tar_is_never_opened(world):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("../../outside")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"bad"))
    submission = world.submit({"data.tar": out.getvalue()})
    assert (submission.state, submission.files.get().refusal["code"]) == (SubmissionState.STOPPED, "media.archive")
