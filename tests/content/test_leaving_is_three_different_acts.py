import hashlib

import pytest

from provenance import look_up, takedowns
from provenance.content_queries import delivery_stopped, preview_image, public_previews
from provenance.core.cid import Cid
from provenance.core.refusal import Refusal
from provenance.models import (
    ContentKey,
    Document,
    FingerprintRow,
    IntakeStatement,
    KeyState,
    PinRow,
    Submission,
    SubmissionState,
    SubmittedFile,
)
from tests.content.conftest import ADA, BEN, MALLORY, NOW
from tests.content.pictures import altered, photo

pytestmark = pytest.mark.django_db

FILES = {"a.jpg": photo(1), "b.jpg": photo(2)}


def published(world, visibility="sealed"):
    submission = world.publish(FILES, visibility=visibility)
    world.repair()
    return submission


def blocks(var):
    return [path for path in (var / "blocks" / "blocks").rglob("*") if path.is_file()]


def told(kind):
    return IntakeStatement.objects.filter(type=kind).count()


def test_withholding_stops_delivery_and_keeps_everything(world, var):
    submission = published(world)
    kept = len(blocks(var))
    for _ in range(2):
        takedowns.withhold(by=BEN, dataset=submission.dataset, reason="court-order", order="ab" * 32, now=NOW)
    assert delivery_stopped(submission.dataset, 1).act == "withheld"
    assert told("content.withheld") == 1
    assert ContentKey.objects.get().state == KeyState.MADE
    assert submission.files.count() == 2
    takedowns.release_ended(world.stores, now=NOW)
    assert len(blocks(var)) == kept
    assert PinRow.objects.filter(submission=submission).exists()


def test_withholding_one_version_leaves_the_others(world):
    submission = published(world)
    takedowns.withhold(by=BEN, dataset=submission.dataset, version=2, reason="malware", now=NOW)
    assert delivery_stopped(submission.dataset, 1) is None
    assert delivery_stopped(submission.dataset, 2) is not None


def test_withheld_open_data_is_no_longer_announced_or_previewed(world):
    submission = published(world, "open")
    assert len(public_previews(submission.dataset, 1)) == 2
    root = Cid.parse(submission.package_root)
    world.repair()
    assert world.store.announced(root)
    takedowns.withhold(by=BEN, dataset=submission.dataset, reason="law", now=world.clock())
    world.repair()
    assert not world.store.announced(root)
    assert public_previews(submission.dataset, 1) == []


@pytest.mark.parametrize("visibility", ["sealed", "open"])
def test_erasing_destroys_keys_salts_names_fingerprints_previews_and_blocks(
    world, var, visibility, django_capture_on_commit_callbacks
):
    submission = published(world, visibility)
    assert [path for path in (var / "previews").iterdir() if path.is_file()]
    with django_capture_on_commit_callbacks(execute=True):
        takedowns.erase(by=ADA, dataset=submission.dataset, reason="owner-request", now=NOW)
    takedowns.release_ended(world.stores, now=world.clock())
    assert not SubmittedFile.objects.exists()
    assert not FingerprintRow.objects.exists()
    assert not [path for path in (var / "previews").iterdir() if path.is_file()]
    for key in ContentKey.objects.all():
        assert (key.state, key.wrapped) == (KeyState.DESTROYED, None)
    rest = b"".join(path.read_bytes() for path in blocks(var))
    assert b".jpg" not in rest
    assert (told("content.withheld"), told("content.erased")) == (1, 1)
    tombstone = Submission.objects.get()
    assert (tombstone.state, tombstone.sketch_salt) == (SubmissionState.FINAL, "")
    assert tombstone.manifest
    if visibility == "open":
        assert not Document.objects.filter(sha256=submission.manifest).exists(), "it named every file"
    else:
        assert Document.objects.filter(sha256=submission.manifest).exists()


def test_what_was_erased_is_no_longer_found_or_compared_with(world):
    submission = published(world)
    assert world.submit({"c.jpg": altered(FILES["a.jpg"])}, by=MALLORY).state == SubmissionState.STOPPED
    takedowns.erase(by=ADA, dataset=submission.dataset, reason="owner-request", now=NOW)
    digest = hashlib.sha256(FILES["a.jpg"]).hexdigest()
    assert look_up.look_up_digest(digest, now=NOW).result == "none"
    assert world.submit({"d.jpg": altered(FILES["a.jpg"])}, by=BEN).state == SubmissionState.AWAITING_CONFIRM


def test_blocks_that_another_dataset_needs_survive_an_erasure(world):
    first = world.publish({"same.bin": b"shared " * 1000, "a.txt": b"mine alone, all of it"}, visibility="open")
    second = world.publish({"same.bin": b"shared " * 1000}, visibility="open")
    world.repair()
    takedowns.erase(by=ADA, dataset=first.dataset, reason="owner-request", now=world.clock())
    takedowns.release_ended(world.stores, now=world.clock())
    assert world.store.has(Cid.parse(second.files.get().stored_cid))
    assert not world.store.has(Cid.parse(first.package_root))


def test_a_reason_outside_of_the_trails_words_is_refused(world):
    submission = published(world)
    with pytest.raises(Refusal) as refused:
        takedowns.withhold(by=BEN, dataset=submission.dataset, reason="I felt like it", now=NOW)
    assert refused.value.code == "takedown.reason"
    with pytest.raises(Refusal):
        takedowns.erase(by=BEN, dataset="eip155:1/erc721:0x" + "9" * 40 + "/1", reason="law", now=NOW)


def test_previews_of_sealed_data_are_the_uploaders_until_they_are_confirmed_to_be_public(world):
    sealed = published(world)
    file = sealed.files.first()
    assert public_previews(sealed.dataset, 1) == []
    assert preview_image(file.id, viewer=MALLORY) is None
    assert preview_image(file.id, viewer=None) is None
    assert preview_image(file.id, viewer=ADA).startswith(b"RIFF")
    Submission.objects.filter(id=sealed.id).update(preview_public=True)
    assert preview_image(file.id, viewer=None).startswith(b"RIFF")
    assert len(public_previews(sealed.dataset, 1)) == 2
