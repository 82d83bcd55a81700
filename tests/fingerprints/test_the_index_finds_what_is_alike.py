import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.fingerprints import hamming, keys
from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.index import SimilarityIndex
from provenance.fingerprints.matches import Closeness, IndexedFile, Part
from provenance.fingerprints.records import TextSegment
from provenance.fingerprints.registry import Kind, pack, unpack
from provenance.fingerprints.text import BANDS, band_keys
from tests.fingerprints.makers import encoded, indexed, picture, prose

ADA, BEN, MALLORY = "ada", "ben", "mallory"


def csv(rows: int, seed: int) -> bytes:
    chance = random.Random(seed)
    return b"a,b,c\n" + b"".join(
        f"{chance.random()},{chance.randrange(10**9)},n{chance.randrange(10**6)}\n".encode() for _ in range(rows)
    )


@pytest.fixture(scope="module")
def photos():
    return [indexed(n, encoded(picture(n, 320, 240))) for n in range(6)]


@pytest.fixture(scope="module")
def index(photos):
    return (
        SimilarityIndex.empty()
        .added(version=1, owner=ADA, dataset="photos", files=photos)
        .added(version=2, owner=ADA, dataset="prose", files=[indexed(10 + n, prose(900, n).encode()) for n in range(5)])
        .added(version=3, owner=BEN, dataset="tables", files=[indexed(20 + n, csv(800, n)) for n in range(3)])
        .added(version=4, owner=BEN, dataset="blobs", files=[indexed(30, bytes(range(256)) * 4)])
    )


def found(index, *files, owner=MALLORY, since=0):
    return [
        (match.dataset, match.part, match.closeness, match.other_file)
        for searched in index.search(files, exclude_owner=owner, since=since)
        for match in searched.matches
    ]


def test_the_same_file_is_found_exactly_in_every_kind(index):
    for data, dataset, kind in (
        (encoded(picture(2, 320, 240)), "photos", Part.IMAGE),
        (prose(900, 3).encode(), "prose", Part.SEGMENT),
        (csv(800, 1), "tables", Part.ROWS),
    ):
        matches = found(index, indexed(99, data))
        assert {name for name, *_ in matches} == {dataset}
        assert {part for _, part, closeness, _ in matches if closeness is Closeness.EXACT} >= {Part.FILE, kind}
    assert found(index, indexed(99, bytes(range(256)) * 4)) == [("blobs", Part.FILE, Closeness.EXACT, 30)]


def test_altered_files_are_found_near(index):
    small = indexed(99, encoded(picture(4, 320, 240).resize((200, 150)), "JPEG", quality=60))
    assert found(index, small) == [("photos", Part.IMAGE, Closeness.NEAR, 4)]
    text = prose(900, 2).split()
    text[100] = text[400] = "changed"
    assert ("prose", Part.SEGMENT, Closeness.NEAR, 12) in found(index, indexed(99, " ".join(text).encode()))
    lines = csv(800, 2).splitlines(keepends=True)
    assert found(index, indexed(99, b"".join([lines[0], *lines[200:600]])))[0] == (
        "tables",
        Part.ROWS,
        Closeness.NEAR,
        22,
    )


def test_other_files_are_not_found(index):
    others = [encoded(picture(77, 320, 240)), prose(900, 77).encode(), csv(800, 77), b"other bytes \0" * 10]
    assert found(index, *(indexed(90 + n, data) for n, data in enumerate(others))) == []


def test_the_owner_does_not_match_itself(index, photos):
    assert found(index, *photos, owner=ADA) == []
    assert len(found(index, *photos, owner=BEN)) == 2 * len(photos)


def test_short_and_plain_records_never_match(index):
    more = index.added(
        version=5,
        owner=ADA,
        dataset="plain",
        files=[
            indexed(40, b"yes"),
            indexed(41, b"", Kind.TEXT),
            indexed(42, encoded(picture(1, 64, 48).point(lambda v: 128))),
        ],
    )
    plain = encoded(picture(2, 60, 50).point(lambda v: 127))
    assert found(more, indexed(98, b"yes"), indexed(99, b"", Kind.TEXT), indexed(97, plain)) == []


def test_only_what_was_added_since_a_version_is_searched(index, photos):
    copy = indexed(99, encoded(picture(0, 320, 240)))
    assert found(index, copy, since=1) == []
    later = index.added(version=9, owner=BEN, dataset="late", files=[copy])
    assert {name for name, *_ in found(later, copy, since=4)} == {"late"}
    assert {name for name, *_ in found(later, copy)} == {"late", "photos"}
    assert found(later, copy, since=9) == []


def test_versions_never_fall(index):
    with pytest.raises(FingerprintRefusal) as refusal:
        index.added(version=3, owner=ADA, dataset="old", files=[])
    assert (refusal.value.code, refusal.value.limit, refusal.value.actual) == ("index.version", 4, 3)


def test_an_index_is_a_value(index, photos):
    before = found(index, photos[0])
    index.added(version=9, owner=BEN, dataset="late", files=photos)
    index.without("photos")
    assert (index.version, found(index, photos[0])) == (4, before)


def test_records_of_other_figures_are_refused_not_compared(index):
    file = indexed(99, prose(300, 1).encode())
    foreign = [TextSegment(b"\0\0\0\1", r.ordinal, r.words, r.exact, r.signature) for r in unpack(file.parts[0])
               if isinstance(r, TextSegment)]  # fmt: skip
    other = IndexedFile(99, Kind.TEXT, file.size, file.sha256, (pack(foreign),))
    for use in (
        lambda: list(index.search([other], exclude_owner=MALLORY)),
        lambda: index.added(version=9, owner=ADA, dataset="x", files=[other]),
    ):
        with pytest.raises(FingerprintRefusal) as refusal:
            use()
        assert refusal.value.code == "fingerprint.algorithm"


def test_what_is_saved_is_what_is_loaded(index, photos, tmp_path):
    index.save(tmp_path / "index")
    index.save(tmp_path / "index")
    loaded = SimilarityIndex.load(tmp_path / "index")
    assert loaded.version == index.version
    queries = [*photos, indexed(50, prose(900, 1).encode()), indexed(51, csv(800, 0))]
    assert found(loaded, *queries) == found(index, *queries)
    more = loaded.added(version=7, owner=BEN, dataset="more", files=[indexed(60, prose(500, 60).encode())])
    assert found(more, indexed(61, prose(500, 60).encode()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index"]


def test_an_index_of_other_algorithms_is_refused_and_a_missing_one_is_empty(index, tmp_path):
    assert SimilarityIndex.load(tmp_path / "none").version == 0
    index.save(tmp_path / "index")
    head = tmp_path / "index" / "index.json"
    head.write_text(head.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(FingerprintRefusal) as refusal:
        SimilarityIndex.load(tmp_path / "index")
    assert refusal.value.code == "index.format"


def test_saved_arrays_hold_no_objects(index, tmp_path):
    index.save(tmp_path / "index")
    for file in (tmp_path / "index").rglob("*.npy"):
        assert np.load(file, allow_pickle=False).dtype.kind in "ui"


def test_an_erased_dataset_is_in_no_array_any_more(index, photos):
    erased = index.without("photos")
    assert found(erased, *photos) == []
    assert erased.version == index.version
    assert all(
        not np.isin(segment.columns["batch"], [0]).any()
        for shelf in erased.shelves.values()
        for segment in shelf.segments
    )
    assert erased.batches.units_of("photos", Kind.IMAGE) == 0
    assert found(erased, indexed(50, prose(900, 1).encode())) == found(index, indexed(50, prose(900, 1).encode()))


def test_compacting_changes_no_answer(index, photos):
    queries = [*photos, indexed(50, prose(900, 1).encode()), indexed(51, csv(800, 0))]
    assert found(index.compacted(), *queries) == found(index, *queries)


def test_many_additions_make_few_segments():
    index = SimilarityIndex.empty()
    for n in range(60):
        index = index.added(version=n + 1, owner=ADA, dataset=f"d{n}", files=[indexed(n, prose(200, n).encode())])
    assert index.shelves["segments"].size >= 60
    assert len(index.shelves["segments"].segments) <= 6
    assert {name for name, *_ in found(index, indexed(99, prose(200, 31).encode()))} == {"d31"}


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=60), st.lists(st.integers(0, 60), min_size=1, max_size=20))
def test_sorted_keys_find_exactly_the_rows_of_a_key(hashes, wanted):
    entries = keys.build(np.array(hashes, dtype=np.uint64), np.arange(len(hashes), dtype=np.uint64))
    which, rows = keys.find(entries, np.array(wanted, dtype=np.uint64))
    assert sorted(zip(which.tolist(), rows.tolist(), strict=True)) == sorted(
        (q, r) for q, want in enumerate(wanted) for r, have in enumerate(hashes) if have == want
    )


def test_a_key_of_very_many_rows_gives_the_earliest():
    entries = keys.build(np.zeros(10_000, dtype=np.uint64), np.arange(10_000, dtype=np.uint64))
    _, rows = keys.find(entries, np.zeros(1, dtype=np.uint64))
    assert rows.tolist() == list(range(keys.MOST_PER_KEY))


def test_every_hash_within_31_bits_is_found_by_buckets():
    chance = np.random.default_rng(7)
    hashes = chance.integers(0, 1 << 64, (40_000, 4), dtype=np.uint64)
    buckets = hamming.build(hashes)
    for distance in [0, 1, 15, 16, 30, 31] * 20:
        row = int(chance.integers(0, 40_000))
        wanted = hashes[row].copy()
        for bit in chance.choice(256, distance, replace=False).tolist():
            wanted[bit // 64] ^= np.uint64(1 << bit % 64)
        rows, distances = hamming.find(hashes, buckets, wanted, 31)
        everything, truth = hamming.find(hashes, None, wanted, 31)
        assert (rows.tolist(), distances.tolist()) == (everything.tolist(), truth.tolist())
        assert distance in distances[rows == row]


def test_two_segments_with_jaccard_similarity_of_eight_tenths_share_a_band_nine_times_of_ten():
    chance = np.random.default_rng(8)
    hits = 0
    for _ in range(1000):
        one = chance.integers(0, 65_536, 128, dtype=np.uint16)
        other = np.where(chance.random(128) < 0.8, one, chance.integers(0, 65_536, 128, dtype=np.uint16))
        slots = np.stack([one, other]).astype("<u2").view("<u8")
        bands = band_keys(slots)
        assert bands.shape == (2, BANDS)
        hits += bool((bands[0] == bands[1]).any())
    assert 880 < hits < 960


def test_a_row_of_text_costs_less_than_200_bytes_to_search(index):
    segments = index.shelves["segments"].segments
    searched = sum(
        s.entries.nbytes + sum(s.columns[name].nbytes for name in ("batch", "file", "ordinal")) for s in segments
    )
    assert searched / index.shelves["segments"].size <= 200
