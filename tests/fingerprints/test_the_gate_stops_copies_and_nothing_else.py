import pytest

from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.gate import (
    THRESHOLDS,
    Comparison,
    Result,
    Thresholds,
    Total,
    compare,
    decide,
    recheck,
    require_current,
)
from provenance.fingerprints.index import SimilarityIndex
from provenance.fingerprints.matches import Closeness, Part, RecordMatch
from provenance.fingerprints.registry import Kind
from tests.fingerprints.makers import encoded, indexed, picture, prose

ADA, BEN, CLEO, MALLORY = "ada", "ben", "cleo", "mallory"


def match(file: int, dataset="photos", closeness=Closeness.NEAR, kind=Kind.IMAGE, part=Part.IMAGE, **figures):
    figures = {"ordinal": 0, "other_file": file, "distance": 4, "units": 1, "other_units": 1} | figures
    return RecordMatch(
        file=file, kind=kind, part=part, dataset=dataset, owner=ADA, other_ordinal=0, closeness=closeness, **figures
    )


def judge(*matches, images=100, theirs=100, totals=None, **options):
    totals = totals or {Kind.IMAGE: Total(images, 1000 * images)}
    units = {(m.dataset, m.kind): theirs for m in matches}
    return decide(Comparison(7, matches, totals, units), **options)


def test_nothing_found_is_none():
    result = judge()
    assert (result.result, result.findings, result.closest, result.version) == (Result.NONE, (), None, 7)


def test_exactly_the_threshold_is_shown_and_one_more_stops():
    at = judge(*(match(n) for n in range(20)))
    above = judge(*(match(n) for n in range(21)))
    assert (at.result, at.closest.share_bps, at.closest.stops) == (Result.SHOWN, 2_000, False)
    assert (above.result, above.closest.share_bps, above.closest.near) == (Result.STOPPED, 2_100, 21)
    assert above.stopping == (above.closest,)


def test_a_share_is_counted_against_one_dataset_not_against_all():
    spread = [match(n, dataset=f"set {n % 5}") for n in range(60)]
    assert judge(*spread).result is Result.SHOWN
    assert judge(*spread, match(99, dataset="set 0"), *(match(100 + n, dataset="set 0") for n in range(8))).result is (
        Result.STOPPED
    )


def test_a_record_counts_once_by_its_closest_match():
    doubled = judge(*(match(n, other_file=o) for n in range(15) for o in range(3)), match(0, closeness=Closeness.EXACT))
    assert (doubled.closest.exact, doubled.closest.near, doubled.closest.share_bps) == (1, 14, 1_500)


def test_a_large_set_that_holds_a_small_one_whole_is_shown_with_how_much_of_it():
    result = judge(*(match(n) for n in range(100)), images=5_000, theirs=100)
    assert (result.result, result.closest.share_bps, result.closest.covers_bps) == (Result.SHOWN, 200, 10_000)


def test_a_small_set_inside_a_large_one_stops():
    result = judge(*(match(n) for n in range(20)), images=20, theirs=100_000)
    assert (result.result, result.closest.share_bps, result.closest.covers_bps) == (Result.STOPPED, 10_000, 2)


def test_an_answered_dataset_is_shown_and_the_others_still_stop():
    matches = [*(match(n) for n in range(50)), *(match(n, dataset="other") for n in range(50))]
    answered = judge(*matches, answered={"photos"})
    assert answered.result is Result.STOPPED
    assert {f.dataset: (f.stops, f.answered) for f in answered.findings} == {
        "other": (True, False),
        "photos": (False, True),
    }
    assert judge(*matches, answered={"photos", "other"}).result is Result.SHOWN


def test_a_license_text_beside_many_photographs_does_not_stop_them():
    license_text = match(1, kind=Kind.TEXT, part=Part.SEGMENT, units=300, closeness=Closeness.EXACT)
    photographs = {Kind.IMAGE: Total(100, 1_000_000)}
    assert judge(license_text, totals=photographs | {Kind.TEXT: Total(300, 2_000)}).result is Result.SHOWN
    assert judge(license_text, totals={Kind.TEXT: Total(300, 2_000)}).result is Result.STOPPED


def test_of_several_ways_to_cover_a_text_the_larger_counts_and_they_are_not_added():
    segments = [match(1, kind=Kind.TEXT, part=Part.SEGMENT, ordinal=n, units=100) for n in range(3)]
    excerpt = match(1, kind=Kind.TEXT, part=Part.DOCUMENT, units=250)
    totals = {Kind.TEXT: Total(1_000, 6_000)}
    assert judge(*segments, excerpt, totals=totals).closest.share_bps == 3_000
    assert judge(*segments[:2], excerpt, totals=totals).closest.share_bps == 2_500


def test_review_matches_that_chance_explains_do_not_count():
    some = [match(n, closeness=Closeness.REVIEW, distance=50) for n in range(30)]
    assert judge(*some, theirs=100).result is Result.STOPPED
    beside_many = judge(*some, theirs=20_000)
    assert (beside_many.result, beside_many.closest.share_bps, beside_many.closest.review) == (Result.SHOWN, 0, 30)
    assert judge(*(match(n) for n in range(30)), theirs=20_000).result is Result.STOPPED


def test_at_most_a_thousand_records_are_named_and_all_files():
    result = judge(*(match(n, distance=n % 30) for n in range(1_500)), images=1_500, theirs=1_500)
    assert len(result.closest.records) == 1_000
    assert len(result.closest.files) == 1_500
    assert result.closest.records[0].distance == 0


def test_an_empty_submission_does_not_pass():
    with pytest.raises(FingerprintRefusal) as refusal:
        decide(Comparison(1, (), {}, {}))
    assert refusal.value.code == "gate.empty"


def test_thresholds_have_a_digest_that_changes_with_them():
    assert THRESHOLDS.digest == Thresholds().digest
    assert Thresholds(image_bps=2_001).digest != THRESHOLDS.digest
    assert set(THRESHOLDS.document) == {"text_bps", "image_bps", "table_bps", "file_bps", "minor_bps"}


@pytest.fixture(scope="module")
def photographs():
    return [indexed(n, encoded(picture(n, 256, 192))) for n in range(10)]


def altered(number: int, seed: int):
    return indexed(number, encoded(picture(seed, 256, 192).resize((180, 135)), "JPEG", quality=50))


def test_resized_and_renamed_photographs_of_another_account_are_stopped(photographs):
    index = SimilarityIndex.empty().added(version=1, owner=ADA, dataset="photos", files=photographs)
    copies = [altered(100 + n, n) for n in range(8)]
    result = decide(compare(index, copies, exclude_owner=MALLORY))
    assert (result.result, result.closest.dataset, result.closest.owner) == (Result.STOPPED, "photos", ADA)
    assert {m.file: m.other_file for m in result.closest.records} == {100 + n: n for n in range(8)}
    assert decide(compare(index, copies, exclude_owner=ADA)).result is Result.NONE


def test_two_sets_that_share_two_percent_both_pass():
    files = [indexed(n, prose(250, n).encode()) for n in range(98)]
    common = indexed(98, prose(250, 98).encode())
    first = [*files[:49], common]
    second = [*files[49:], common]
    index = SimilarityIndex.empty()
    for version, (owner, mine) in enumerate(((ADA, first), (BEN, second)), start=1):
        result = decide(compare(index, mine, exclude_owner=owner))
        assert result.result in {Result.NONE, Result.SHOWN}
        index = index.added(version=version, owner=owner, dataset=owner, files=mine)
    assert result.result is Result.SHOWN
    assert 100 < result.closest.share_bps < 300


def test_of_two_copies_at_the_same_moment_the_later_one_is_stopped(photographs):
    before = SimilarityIndex.empty().added(
        version=7, owner=CLEO, dataset="prose", files=[indexed(50, prose(300, 1).encode())]
    )
    copies = [altered(100 + n, n) for n in range(10)]
    first = compare(before, photographs, exclude_owner=ADA)
    second = compare(before, copies, exclude_owner=MALLORY)
    assert decide(second).result is Result.NONE
    require_current(first, before.version)
    after = before.added(version=8, owner=ADA, dataset="photos", files=photographs)
    with pytest.raises(FingerprintRefusal) as refusal:
        require_current(second, after.version)
    assert (refusal.value.code, refusal.value.limit, refusal.value.actual) == ("gate.stale", 8, 7)
    again = recheck(second, after, copies, exclude_owner=MALLORY)
    require_current(again, after.version)
    assert decide(again).result is Result.STOPPED


def test_a_recheck_keeps_what_was_found_before_and_refuses_an_older_index(photographs):
    index = SimilarityIndex.empty().added(version=1, owner=ADA, dataset="photos", files=photographs)
    copies = [altered(100 + n, n) for n in range(5)]
    found = compare(index, copies, exclude_owner=MALLORY)
    later = index.added(version=2, owner=BEN, dataset="prose", files=[indexed(50, prose(300, 1).encode())])
    again = recheck(found, later, copies, exclude_owner=MALLORY)
    assert (again.version, again.matches) == (2, found.matches)
    assert decide(again).closest == decide(found).closest
    with pytest.raises(FingerprintRefusal):
        recheck(again, index, copies, exclude_owner=MALLORY)
