import logging
import threading

import pytest
from django.db import connection

from provenance import bootstrap, content_tasks, packaging, pinning
from provenance.content_queries import broken_pins
from provenance.core.cid import Cid
from provenance.core.refusal import Refusal
from provenance.models import (
    ContentKey,
    Document,
    FileState,
    FingerprintRow,
    IndexState,
    Intent,
    PinRow,
    Submission,
    SubmissionState,
)
from tests.content.pictures import photo, prose, table

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {"a.jpg": photo(1), "b.jpg": photo(2), "c.txt": prose(1), "d.csv": table(1), "e.bin": b"x" * 3_000_000}


@pytest.fixture
def store(settings, var):
    """The store that tasks find through the composition root."""
    settings.CADASTRE_BLOCK_DIR = var / "task-blocks"
    return bootstrap.content_store()


def uploaded(world):
    submission = world.open()
    for path, data in FILES.items():
        world.add(submission, path, data)
    world.seal(submission)
    return submission


def at_once(task, times=3):
    """Run a task in several threads at the same moment; what it raises fails the test."""
    failures = []

    def run():
        try:
            task()
        except BaseException as error:  # noqa: BLE001  # shown to the test's own thread
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_three_workers_at_once_do_everything_once(world, store, caplog):
    submission = uploaded(world)
    for _ in range(6):
        at_once(content_tasks.work)
        world.sign_keys()
        submission.refresh_from_db()
        if submission.state == SubmissionState.AWAITING_CONFIRM:
            break
    assert submission.state == SubmissionState.AWAITING_CONFIRM
    assert set(submission.files.values_list("state", "attempts")) == {(FileState.STORED, 0)}
    assert (ContentKey.objects.count(), IndexState.objects.get().version) == (1, 1)
    assert Document.objects.count() == 2
    assert FingerprintRow.objects.values("file", "part").distinct().count() == FingerprintRow.objects.count()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_the_sweep_finds_what_no_message_told_of(world, store):
    submission = uploaded(world)
    content_tasks.sweep_content()
    world.sign_keys()
    content_tasks.sweep_content()
    submission.refresh_from_db()
    assert submission.state == SubmissionState.AWAITING_CONFIRM


def test_copies_are_made_and_audited_by_tasks_that_run_at_once(world, store):
    submission = uploaded(world)
    for _ in range(2):
        content_tasks.work()
        world.sign_keys()
    submission.refresh_from_db()
    at_once(content_tasks.tend_copies)
    root = Cid.parse(submission.package_root)
    assert str(pinning.copies_of(root)) == "1 of 1 copies"
    assert list(store.pins()) == [root]
    assert broken_pins() == []
    PinRow.objects.update(due=submission.created)
    at_once(content_tasks.tend_copies)
    assert pinning.copies_of(root).seen == 1


def test_one_poisoned_submission_does_not_keep_the_others_waiting(world, store, monkeypatch, caplog):
    poisoned = uploaded(world)
    sound = world.open()
    world.add(sound, "only.txt", prose(7))
    world.seal(sound)
    finish = packaging.finish_package

    def poison(submission, *arguments, **more):
        if submission.id == poisoned.id:
            raise RuntimeError("poison")
        return finish(submission, *arguments, **more)

    monkeypatch.setattr(packaging, "finish_package", poison)
    for _ in range(2):
        content_tasks.work()
        world.sign_keys()
    states = dict(Submission.objects.values_list("id", "state"))
    assert states == {poisoned.id: SubmissionState.SEALING, sound.id: SubmissionState.AWAITING_CONFIRM}
    assert "poison" in caplog.text
    monkeypatch.undo()
    content_tasks.work()
    poisoned.refresh_from_db()
    assert poisoned.state == SubmissionState.AWAITING_CONFIRM


def test_confirming_twice_at_once_registers_once(world, store):
    submission = uploaded(world)
    for _ in range(2):
        content_tasks.work()
        world.sign_keys()
    submission.refresh_from_db()
    outcomes = []

    def confirm():
        try:
            world.confirm(Submission.objects.get(id=submission.id))
            outcomes.append("confirmed")
        except Refusal as refusal:
            outcomes.append(refusal.code)

    at_once(confirm, times=4)
    assert outcomes.count("confirmed") == 1
    assert set(outcomes) <= {"confirmed", "submission.state", "submission.moved"}
    assert Intent.objects.count() == 1
