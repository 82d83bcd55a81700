"""What no view of the whole finds: turned, covered and cut pictures; tables with a column more, less, or another."""

import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from provenance.fingerprints.gate import Result, compare, decide
from provenance.fingerprints.image import ANGLES, Role, registered_views, sought_views
from provenance.fingerprints.index import SimilarityIndex
from provenance.fingerprints.matches import Closeness, IndexedFile, Part
from provenance.fingerprints.registry import Kind
from tests.fingerprints.makers import encoded, indexed, picture, record_of
from tests.fingerprints.test_fingerprints_are_bytes_for_ever import GOLDEN, SAMPLES

ADA, MALLORY = "ada", "mallory"
PICTURES = {f"picture {seed}": picture(seed) for seed in range(20, 26)}


@pytest.fixture(scope="module")
def pictures():
    index = SimilarityIndex.empty()
    for version, (name, image) in enumerate(PICTURES.items(), start=1):
        index = index.added(version=version, owner=ADA, dataset=name, files=[indexed(version, encoded(image))])
    return index


def matches_of(index, file):
    (found,) = index.search([file], exclude_owner=MALLORY)
    return found.matches


def found(index, data, kind=None):
    """The datasets in which a file is found, and how closely."""
    file = indexed(99, data, kind)
    return {match.dataset: match.closeness for match in matches_of(index, file)}


@pytest.mark.parametrize("angle", [-7, -5, -4, -2, -1.5, 1, 2.5, 3.5, 5, 6.5])
def test_a_picture_turned_by_a_few_degrees_is_found_near(pictures, angle):
    turned = PICTURES["picture 21"].rotate(angle, Image.Resampling.BICUBIC)
    assert found(pictures, encoded(turned, "JPEG", quality=80)) == {"picture 21": Closeness.NEAR}


@pytest.mark.parametrize("change", [ImageOps.mirror, ImageOps.flip, lambda i: i.transpose(Image.Transpose.ROTATE_90)])
def test_a_picture_turned_a_little_and_flipped_is_found(pictures, change):
    turned = change(PICTURES["picture 22"].rotate(4, Image.Resampling.BICUBIC))
    assert found(pictures, encoded(turned, "JPEG", quality=80)) == {"picture 22": Closeness.NEAR}


def test_a_picture_turned_far_is_not_found_and_nothing_else_is(pictures):
    assert found(pictures, encoded(PICTURES["picture 22"].rotate(30, Image.Resampling.BICUBIC))) == {}


def covered(image, *boxes):
    copy = image.copy()
    for box in boxes:
        ImageDraw.Draw(copy).rectangle(box, fill="navy")
    return copy


@pytest.mark.parametrize("quarter", range(4))
def test_one_quarter_left_alone_sends_a_picture_to_review(pictures, quarter):
    left, top = 320 * (quarter % 2), 240 * (quarter // 2)
    copy = Image.effect_noise((640, 480), 90).convert("RGB")
    copy.paste(PICTURES["picture 23"].crop((left, top, left + 320, top + 240)), (left, top))
    assert found(pictures, encoded(ImageOps.mirror(copy))) == {"picture 23": Closeness.REVIEW}


def test_a_box_across_all_quarters_hides_a_picture(pictures):
    assert found(pictures, encoded(covered(PICTURES["picture 23"], (200, 0, 440, 480), (0, 150, 640, 330)))) == {}


@pytest.mark.parametrize("side", range(4))
@pytest.mark.parametrize("percent", [5, 7, 11, 13])
def test_a_strip_cut_off_one_side_does_not_hide_a_picture(pictures, side, percent):
    width, height = 640 * percent // 100, 480 * percent // 100
    box = [(width, 0, 640, 480), (0, 0, 640 - width, 480), (0, height, 640, 480), (0, 0, 640, 480 - height)][side]
    assert found(pictures, encoded(PICTURES["picture 24"].crop(box))) == {"picture 24": Closeness.NEAR}


def test_other_pictures_are_found_by_none_of_these_views(pictures):
    for seed in range(40, 60):
        assert found(pictures, encoded(picture(seed))) == {}


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (2_000, 130), (64, 64), (900, 901)])
def test_pictures_of_any_shape_have_views_that_come_back_from_bytes(size):
    image = picture(1, 640, 480).resize(size)
    record = record_of(encoded(image))
    assert len(record.turned) <= len(ANGLES)
    assert len(record.quarters) == 4
    assert type(record).parse(record.tag, record.body()) == record


def test_views_too_plain_to_match_are_neither_kept_nor_looked_up():
    half = picture(3)
    half.paste("navy", (0, 0, 640, 240))
    record = record_of(encoded(half))
    telling = [quarter for quarter in record.quarters if quarter.quality >= 50]
    assert 0 < len(telling) <= 2
    assert [view for role, view in registered_views(record) if role is Role.QUARTER] == telling
    assert [view for view, wanted, _ in sought_views(record) if wanted == frozenset({Role.QUARTER})] == telling
    plain = record_of(encoded(Image.new("RGB", (400, 300), "navy")))
    assert not [*registered_views(plain), *sought_views(plain)]


@pytest.mark.parametrize("name", ["image", "table"])
def test_what_an_earlier_algorithm_registered_is_still_found(name):
    """The other way round, too: a submission that was fingerprinted before is compared with what came later."""
    kind, data = SAMPLES[name]
    payload = bytes.fromhex(json.loads(Path(GOLDEN).read_text())["earlier"][name])
    earlier = IndexedFile(1, kind, 10**6, bytes(32), (payload,))
    later = indexed(2, data, kind)
    for registered, submitted in ((earlier, later), (later, earlier), (earlier, earlier)):
        index = SimilarityIndex.empty().added(version=1, owner=ADA, dataset="it", files=[registered])
        matches = [m for m in matches_of(index, submitted) if m.part is not Part.FILE]
        assert {match.closeness for match in matches} >= {Closeness.EXACT}


def measures(rows: int, seed: int, columns: int = 5) -> pl.DataFrame:
    """Few distinct values in each column, none of which tells a table from others; their rows do."""
    chance = np.random.default_rng(seed)
    return pl.DataFrame({f"m{n}": chance.integers(40, 80, rows) / 10 for n in range(columns)})


def stopped(registered: bytes, submitted: bytes) -> tuple[Result, int]:
    index = SimilarityIndex.empty().added(version=1, owner=ADA, dataset="it", files=[indexed(1, registered)])
    files = [indexed(2, submitted)]
    result = decide(compare(index, files, exclude_owner=MALLORY))
    return result.result, result.closest.share_bps if result.closest else 0


TABLE = measures(800, 1)
ONE_COLUMN = {
    "first dropped": lambda f: f[:, 1:],
    "last dropped": lambda f: f[:, :-1],
    "one added": lambda f: f.with_columns(label=pl.Series(np.random.default_rng(9).integers(0, 3, f.height))),
    "one in other units": lambda f: f.with_columns(f["m2"] * 2.54),
    "dropped, numbered, shuffled": lambda f: f.drop("m3").sample(fraction=1, shuffle=True, seed=2).with_row_index("n"),
    "dropped, every third row": lambda f: f.drop("m1")[::3],
}


@pytest.mark.parametrize("change", ONE_COLUMN.values(), ids=ONE_COLUMN)
def test_one_column_more_less_or_another_hides_no_rows(change):
    assert stopped(TABLE.write_csv().encode(), change(TABLE).write_csv().encode()) == (Result.STOPPED, 10_000)


def test_a_column_dropped_and_saved_as_parquet_is_found():
    out = io.BytesIO()
    TABLE.drop("m2").write_parquet(out)
    assert stopped(TABLE.write_csv().encode(), out.getvalue()) == (Result.STOPPED, 10_000)


def test_half_of_the_rows_without_a_column_are_half():
    half = pl.concat([TABLE[:400], measures(400, 2)]).drop("m4")
    _, share = stopped(TABLE.write_csv().encode(), half.write_csv().encode())
    assert 4_000 <= share <= 6_000  # of 256 hashes: give or take 6 points


def test_of_other_measures_on_the_same_coarse_grid_no_more_is_found_than_chance_makes():
    result, share = stopped(TABLE.write_csv().encode(), measures(800, 3).write_csv().encode())
    assert result is not Result.STOPPED
    assert share <= 1_000


def test_answers_of_yes_and_no_are_no_copies_of_other_answers():
    answers = [pl.DataFrame(np.random.default_rng(seed).integers(0, 2, (900, 20))) for seed in (1, 2)]
    records = [record_of(frame.write_csv().encode()) for frame in answers]
    assert [record.less for record in records] == [(), ()]


def statistic(seed: int) -> pl.DataFrame:
    """One figure for each day of a year at each hour: two of them have the same days and hours."""
    days = pl.DataFrame({"month": [m for m in range(1, 13) for _ in range(28)], "day": [*range(1, 29)] * 12})
    hours = days.join(pl.DataFrame({"hour": [*range(24)]}), how="cross")
    return hours.with_columns(value=pl.Series(np.random.default_rng(seed).normal(0, 1, hours.height)))


def test_two_statistics_of_the_same_days_are_no_copies():
    assert stopped(statistic(1).write_csv().encode(), statistic(2).write_csv().encode()) == (Result.NONE, 0)
    assert 3 not in {less.position for less in record_of(statistic(1).write_csv().encode()).less}


def test_very_narrow_and_very_wide_tables_have_no_rows_that_lack_a_column():
    assert record_of(measures(300, 4, 2).write_csv().encode()).less == ()
    assert record_of(measures(300, 4, 33).write_csv().encode()).less == ()
    assert len(record_of(measures(300, 4, 32).write_csv().encode()).less) == 32


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(4, 8), st.integers(0, 10**6))
def test_whichever_column_goes_and_however_the_rest_is_arranged_the_rows_stay(data, columns, seed):
    table = measures(120, seed, columns)
    gone = data.draw(st.sampled_from(table.columns))
    order = data.draw(st.permutations([name for name in table.columns if name != gone]))
    copy = table.sample(fraction=1, shuffle=True, seed=seed).select(order)
    whole, part = record_of(table.write_csv().encode(), Kind.TABLE), record_of(copy.write_csv().encode(), Kind.TABLE)
    assert part.sums.raw in {less.sketch.raw for less in whole.less}
