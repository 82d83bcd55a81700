import io
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from provenance import answers, ingest, registered_index, similarity, submissions, uploads
from provenance.adapters.scanner import SignatureScanner
from provenance.core.refusal import Refusal
from provenance.fingerprints.registry import sketch_file, sniff_kind
from provenance.models import Answer, FingerprintRow, IndexState, IntakeStatement, Match, Submission, SubmissionState
from tests.content.conftest import ADA, BEN, MALLORY, NOW
from tests.content.pictures import altered, photo, prose, table

pytestmark = pytest.mark.django_db

PHOTOS = {f"photos/{number}.jpg": photo(number) for number in range(6)}
STOLEN = {f"mine/{number}.jpg": altered(data) for number, data in enumerate(PHOTOS.values())}


def answer(world, match, what, evidence="", by=None):
    return answers.answer_match(
        by=by or match.submission.party, match=match.id, answer=what, evidence=evidence, now=world.clock()
    )


def test_the_first_upload_passes_and_is_reserved_for_later_comparisons(world):
    submission = world.submit(PHOTOS)
    assert submission.state == SubmissionState.AWAITING_CONFIRM
    assert (submission.gate_result, submission.index_version, submission.indexed) == ("none", 0, 1)
    assert not submission.matches.exists()


def test_photographs_resized_recompressed_and_renamed_are_stopped_and_the_records_named(world):
    world.publish(PHOTOS)
    copy = world.submit(STOLEN, by=MALLORY, title="My holiday")
    assert copy.state == SubmissionState.STOPPED
    assert copy.refusal["code"] == "gate.copy"
    assert copy.refusal["actual"] == 10_000
    match = copy.matches.get()
    assert (match.kind, match.share_bps, match.matched_title) == ("image", 10_000, "Photographs")
    assert match.matched_dataset.endswith("/1")
    assert {record["path"] for record in match.records} == set(STOLEN)
    assert not any("photos/" in str(record) for record in match.records)


@pytest.mark.parametrize(
    ("kind", "data", "copy"),
    [
        ("text", prose(1), prose(1).upper()),
        ("table", table(1), b"\n".join([b"a;b;c", *sorted(table(1).replace(b",", b";").split(b"\n")[1:-1])])),
        ("file", bytes(range(256)) * 40, bytes(range(256)) * 40),
    ],
)
def test_copies_of_texts_tables_and_other_files_are_stopped(world, kind, data, copy):
    world.publish({"data": data})
    stopped = world.submit({"renamed": copy}, by=MALLORY)
    assert stopped.state == SubmissionState.STOPPED
    assert stopped.matches.get().kind == kind


def test_an_owner_may_publish_the_same_data_again(world):
    world.publish(PHOTOS)
    assert world.submit(PHOTOS).state == SubmissionState.AWAITING_CONFIRM


def test_two_sets_that_share_two_percent_both_get_through_and_it_is_recorded(world):
    shared = photo(1000)
    world.publish({"shared.jpg": shared} | {f"{n}.jpg": photo(n) for n in range(49)})
    second = world.submit({"other.jpg": altered(shared)} | {f"{n}.jpg": photo(100 + n) for n in range(49)}, by=BEN)
    assert second.state == SubmissionState.AWAITING_CONFIRM
    match = second.matches.get()
    assert (match.share_bps, match.stops, second.gate_result) == (200, False, "shown")


def test_unrelated_data_passes_with_nothing_found(world):
    world.publish(PHOTOS)
    other = world.submit({f"{n}.jpg": photo(50 + n) for n in range(5)}, by=BEN)
    assert (other.state, other.gate_result, other.gate_compared) == (SubmissionState.AWAITING_CONFIRM, "none", 1)


def test_what_it_is_built_from_becomes_a_parent_and_passes(world):
    first = world.publish(PHOTOS)
    derived = world.submit(STOLEN, by=BEN)
    answer(world, derived.matches.get(), Answer.BUILT_FROM)
    derived = world.work(derived)
    assert (derived.state, derived.gate_result) == (SubmissionState.AWAITING_CONFIRM, "answered")
    assert [parent["dataset"] for parent in derived.parents] == [first.dataset]


def test_a_parent_that_was_named_before_does_not_stop_and_neither_do_its_ancestors(world):
    first = world.publish(PHOTOS)
    second = world.open(BEN)
    submissions.describe_submission(by=BEN, submission=second.id, now=world.clock(), parents=[first.dataset])
    for path, data in STOLEN.items():
        world.add(second, path, data)
    world.seal(second)
    second = world.work(second)
    assert second.state == SubmissionState.AWAITING_CONFIRM
    assert second.gate_result == "answered"


def test_removing_what_matches_lets_the_rest_pass(world):
    world.publish(PHOTOS)
    mixed = world.submit(STOLEN | {"own/1.jpg": photo(77), "own/2.jpg": photo(78)}, by=BEN)
    answer(world, mixed.matches.get(), Answer.REMOVE)
    mixed = world.work(mixed)
    assert mixed.state == SubmissionState.AWAITING_CONFIRM
    assert sorted(mixed.files.values_list("path", flat=True)) == ["own/1.jpg", "own/2.jpg"]
    assert mixed.totals["files"] == 2


def test_removing_everything_is_refused_and_nothing_is_removed(world):
    world.publish(PHOTOS)
    copy = world.submit(STOLEN, by=MALLORY)
    with pytest.raises(Refusal) as refused:
        answer(world, copy.matches.get(), Answer.REMOVE)
    assert refused.value.code == "match.nothing_left"
    assert copy.files.count() == len(STOLEN)


def test_an_author_waits_for_a_review_and_passes_when_it_is_accepted(world):
    world.publish(PHOTOS, by=MALLORY)
    own = world.submit(STOLEN, by=ADA)
    answer(world, own.matches.get(), Answer.AUTHOR, evidence="https://doi.org/10.5281/zenodo.1234567")
    own.refresh_from_db()
    assert own.state == SubmissionState.HELD
    assert world.work(own).state == SubmissionState.HELD
    answers.review_match(by=BEN, match=own.matches.get().id, accept=True, now=world.clock())
    own = world.work(own)
    assert (own.state, own.gate_result) == (SubmissionState.AWAITING_CONFIRM, "reviewed")


def test_an_author_who_is_not_believed_is_told_and_can_answer_otherwise(world):
    world.publish(PHOTOS)
    copy = world.submit(STOLEN, by=MALLORY)
    answer(world, copy.matches.get(), Answer.AUTHOR, evidence="trust me")
    answers.review_match(by=BEN, match=copy.matches.get().id, accept=False, now=world.clock())
    copy.refresh_from_db()
    assert (copy.state, copy.refusal["code"]) == (SubmissionState.STOPPED, "gate.rejected")
    with pytest.raises(Refusal):
        answers.review_match(by=BEN, match=copy.matches.get().id, accept=True, now=world.clock())
    answer(world, copy.matches.get(), Answer.BUILT_FROM)
    assert world.work(copy).state == SubmissionState.AWAITING_CONFIRM


def photographed(world, rights):
    """Ada's photographs, checked, with these rights stated for them."""
    first = world.open(ADA)
    submissions.describe_submission(by=ADA, submission=first.id, now=world.clock(), rights=rights)
    for path, data in PHOTOS.items():
        world.add(first, path, data)
    world.seal(first)
    world.work(first)


def test_a_common_public_source_is_believed_when_both_sides_name_it_and_reviewed_otherwise(world):
    source = [{"source": "NASA image library", "basis": "open-license", "license": "CC0-1.0"}]
    photographed(world, source)
    second = world.submit(STOLEN, by=BEN)
    answer(world, second.matches.get(), Answer.SAME_SOURCE, evidence="NASA image library")
    second.refresh_from_db()
    assert second.state == SubmissionState.HELD, "only one side states the source"
    submissions.describe_submission(by=BEN, submission=second.id, now=world.clock(), rights=source)
    answer(world, second.matches.get(), Answer.SAME_SOURCE, evidence="nasa  image library")
    second = world.work(second)
    assert (second.state, second.gate_result) == (SubmissionState.AWAITING_CONFIRM, "answered")


@pytest.mark.parametrize("what", [Answer.SAME_SOURCE, Answer.AUTHOR])
def test_an_answer_without_its_evidence_is_refused(world, what):
    world.publish(PHOTOS)
    copy = world.submit(STOLEN, by=MALLORY)
    with pytest.raises(Refusal) as refused:
        answer(world, copy.matches.get(), what, evidence="  ")
    assert refused.value.code == "match.evidence"


def test_somebody_elses_match_cannot_be_answered(world):
    world.publish(PHOTOS)
    copy = world.submit(STOLEN, by=MALLORY)
    with pytest.raises(Refusal) as refused:
        answer(world, copy.matches.get(), Answer.BUILT_FROM, by=BEN)
    assert refused.value.code == "match.not_found"


def test_data_that_is_only_being_published_stops_too_but_its_name_is_not_told(world):
    world.submit(PHOTOS, title="A secret project")
    copy = world.submit(STOLEN, by=MALLORY)
    match = copy.matches.get()
    assert copy.state == SubmissionState.STOPPED
    assert "secret" not in match.matched_title
    assert "secret" not in str(copy.refusal)
    with pytest.raises(Refusal) as refused:
        answer(world, match, Answer.BUILT_FROM)
    assert refused.value.code == "match.not_registered"


def test_who_never_publishes_does_not_keep_others_from_publishing(world):
    squatter = world.submit(STOLEN, by=MALLORY)
    assert squatter.state == SubmissionState.AWAITING_CONFIRM
    assert uploads.expire_abandoned(now=NOW + timedelta(days=15)) == 1
    assert world.submit(PHOTOS).state == SubmissionState.AWAITING_CONFIRM


def test_changing_the_parents_after_the_check_runs_it_again(world):
    first = world.publish(PHOTOS)
    derived = world.submit(STOLEN, by=BEN)
    answer(world, derived.matches.get(), Answer.BUILT_FROM)
    derived = world.work(derived)
    assert derived.state == SubmissionState.AWAITING_CONFIRM
    Match.objects.all().delete()
    submissions.describe_submission(by=BEN, submission=derived.id, now=world.clock(), parents=[])
    derived = world.work(derived)
    assert (derived.state, derived.indexed) == (SubmissionState.STOPPED, None)
    assert derived.matches.get().matched_dataset == first.dataset


def test_built_from_is_no_answer_any_more_once_the_parent_is_taken_out_again(world):
    first = world.publish(PHOTOS)
    copy = world.submit(STOLEN, by=MALLORY)
    answer(world, copy.matches.get(), Answer.BUILT_FROM)
    copy = world.work(copy)
    assert copy.state == SubmissionState.AWAITING_CONFIRM
    submissions.describe_submission(by=MALLORY, submission=copy.id, now=world.clock(), parents=[])
    copy = world.work(copy)
    assert (copy.state, copy.indexed) == (SubmissionState.STOPPED, None)
    match = copy.matches.get()
    assert (match.matched_dataset, match.answer, match.stops) == (first.dataset, "", True)


def test_a_common_source_is_no_answer_any_more_once_the_rights_say_something_else(world):
    source = [{"source": "NASA image library", "basis": "open-license", "license": "CC0-1.0"}]
    own = [{"source": "my own work", "basis": "own-work"}]
    photographed(world, source)
    copy = world.submit(STOLEN, by=MALLORY)
    submissions.describe_submission(by=MALLORY, submission=copy.id, now=world.clock(), rights=source)
    answer(world, copy.matches.get(), Answer.SAME_SOURCE, evidence="NASA image library")
    copy = world.work(copy)
    assert copy.state == SubmissionState.AWAITING_CONFIRM
    submissions.describe_submission(by=MALLORY, submission=copy.id, now=world.clock(), title="Another title")
    copy = world.work(copy)
    assert copy.state == SubmissionState.AWAITING_CONFIRM, "nothing that was answered has changed"
    submissions.describe_submission(by=MALLORY, submission=copy.id, now=world.clock(), rights=own)
    copy = world.work(copy)
    assert (copy.state, copy.matches.get().answer) == (SubmissionState.STOPPED, "")


def test_a_later_version_is_compared_with_others_and_found_under_its_dataset(world):
    first = world.publish(PHOTOS)
    second = world.publish(PHOTOS | {"photos/new.jpg": photo(500)}, dataset=first.dataset)
    assert (second.version, second.dataset) == (2, first.dataset)
    copy = world.submit({"x.jpg": altered(photo(500))}, by=MALLORY)
    match = copy.matches.get()
    assert (copy.state, match.matched_dataset) == (SubmissionState.STOPPED, first.dataset)


def test_another_process_finds_what_was_added_and_not_what_was_removed(world):
    first = world.submit(PHOTOS)
    registered_index._KEPT.index = None
    assert world.submit(STOLEN, by=MALLORY).state == SubmissionState.STOPPED
    submissions.withdraw_submission(by=ADA, submission=first.id, now=world.clock())
    assert world.submit(STOLEN, by=BEN).state == SubmissionState.AWAITING_CONFIRM


def test_the_index_on_disk_is_loaded_and_brought_up_to_date(world, monkeypatch):
    monkeypatch.setattr(registered_index, "SAVE_AFTER", 1)
    first = world.submit(PHOTOS)
    assert similarity.compact_due() == 1
    assert similarity.compact_due() == 0
    registered_index._KEPT.index = None
    assert world.submit(STOLEN, by=MALLORY).state == SubmissionState.STOPPED
    submissions.withdraw_submission(by=ADA, submission=first.id, now=world.clock())
    assert similarity.compact_due() == 1
    registered_index._KEPT.index = None
    assert world.submit(STOLEN, by=BEN).state == SubmissionState.AWAITING_CONFIRM


def test_the_results_enter_the_log_about_the_confirmed_manifest(world):
    submission = world.submit(PHOTOS | {"notes.txt": prose(3)})
    assert not IntakeStatement.objects.exists(), "nobody confirmed anything yet"
    world.confirm(submission)
    told = IntakeStatement.objects.filter(subject=f"sha256:{submission.manifest}")
    assert sorted(told.values_list("type", flat=True)) == [
        "fingerprint.computed", "fingerprint.computed", "gate.passed",
    ]  # fmt: skip
    for row in told:
        assert "photos/" not in row.statement
        assert not any(digest in row.statement for digest in submission.files.values_list("sha256", flat=True))


def near_copies_at_once(world):
    """Two accounts check near-copies at the same moment; returns their states."""
    pair = []
    for by, files in ((ADA, PHOTOS), (MALLORY, STOLEN)):
        row = world.open(by)
        for path, data in files.items():
            world.add(row, path, data)
        world.seal(row)
        pair.append(row)
    ingest.inspect_due(clock=world.clock, limit=100, scanner=SignatureScanner())
    together = threading.Barrier(2, timeout=60)

    def gate(row):
        together.wait()
        try:
            return similarity.gate_submission(Submission.objects.get(id=row.id), now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(gate, pair))
    return sorted(Submission.objects.filter(id__in=[row.id for row in pair]).values_list("state", flat=True))


@pytest.mark.django_db(transaction=True)
def test_of_two_near_copies_checked_at_the_same_moment_one_is_stopped(world):
    assert near_copies_at_once(world) == [SubmissionState.PASSED, SubmissionState.STOPPED]
    assert IndexState.objects.get().version == 1


def test_a_comparison_that_was_overtaken_looks_at_what_was_added_since(world, monkeypatch):
    copy = world.open(MALLORY)
    for path, data in STOLEN.items():
        world.add(copy, path, data)
    world.seal(copy)
    decide, overtaken = similarity.decide, []

    def overtake_then_decide(*arguments, **more):
        if not overtaken:
            overtaken.append(True)
            world.submit(PHOTOS)
        return decide(*arguments, **more)

    monkeypatch.setattr(similarity, "decide", overtake_then_decide)
    copy = world.work(copy)
    assert copy.state == SubmissionState.STOPPED
    assert copy.matches.get().share_bps == 10_000


def test_sketches_come_file_by_file_whatever_is_read_together_and_in_parts(world, monkeypatch):
    monkeypatch.setattr(registered_index, "_FILES_TOGETHER", 2)
    monkeypatch.setattr(ingest, "PART", 400)
    texts = {f"{number}.txt": prose(number, words) for number, words in enumerate((40, 3000, 50, 2500, 60))}
    files = registered_index.SubmittedFiles(world.submit({**texts, "2.bin": bytes(range(256)) * 4}))
    read = {files.files[file.file].path: list(file.records()) for file in files}
    assert list(read) == ["0.txt", "1.txt", "2.bin", "2.txt", "3.txt", "4.txt"]
    assert read.pop("2.bin") == []
    for path, data in texts.items():
        assert read[path] == list(sketch_file(sniff_kind(data), lambda data=data: io.BytesIO(data), len(data)))
    assert FingerprintRow.objects.filter(file__path="1.txt").count() > 1
