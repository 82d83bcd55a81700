"""What is fast has to give what is plain: sketches from any batches, tables from any pieces, dashes and zeros."""

import io
import re

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provenance.fingerprints import bottomk, delimited, words
from provenance.fingerprints.bottomk import BottomKBuilder, Size
from provenance.fingerprints.delimited import _has_leading_zeros
from provenance.fingerprints.registry import Kind
from provenance.fingerprints.table import ROWS, VALUES
from tests.fingerprints.makers import record_of


def plainly(hashes: np.ndarray, size: Size) -> tuple[int, bytes]:
    every = np.unique(hashes)
    kept = size.kept(every)
    return (int(every[kept - 1]) if kept < every.size else (1 << 64) - 1), every[:kept].tobytes()


@pytest.mark.parametrize("size", [VALUES, ROWS, Size(floor=16, ceiling=64, sparse_limit=1 << 60)])
@pytest.mark.parametrize("distinct", [1, 3, 200, 255, 256, 257, 1_000, 5_000, 10**9])
@pytest.mark.parametrize("batch", [7, 4_000, 8_192, 8_193, 70_000])
def test_a_sketch_is_the_smallest_hashes_however_they_came(size, distinct, batch):
    chance = np.random.default_rng(distinct + batch)
    values = chance.integers(0, 1 << 64, min(distinct, 40_000), dtype=np.uint64)
    hashes = values[chance.integers(0, values.size, 3_000 if batch == 7 else 90_000)]
    builder = BottomKBuilder(size)
    for at in range(0, hashes.size, batch):
        builder.add(hashes[at : at + batch])
    sketch = builder.finish()
    assert (sketch.limit, sketch.raw) == plainly(hashes, size)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 400), max_size=60), max_size=12), st.sampled_from([0, 1 << 20, (1 << 64) - 500])
)
def test_a_sketch_of_hashes_that_lie_close_together_is_the_same(batches, offset):
    """Not evenly spread, as hashes are: the places where known ones are looked up are crowded."""
    size = Size(floor=8, ceiling=8)
    builder = BottomKBuilder(size)
    everything = np.array([number + offset for batch in batches for number in batch], dtype=np.uint64)
    pending, bottomk._PENDING = bottomk._PENDING, 20
    try:
        for batch in batches:
            builder.add(np.array([number + offset for number in batch], dtype=np.uint64))
        sketch = builder.finish()
    finally:
        bottomk._PENDING = pending
    assert (sketch.limit, sketch.raw) == plainly(everything, size)


OPENING = re.compile(rb"""(?:^|[,\n"]) *[-+]?0[0-9]""")
MAY_OPEN = re.compile(rb"""(?:^|[,\n" ])[-+ ]?0[0-9]""")


@settings(max_examples=400, deadline=None)
@given(st.text('0123456789,\n" +-.:Tx#&', max_size=24).map(str.encode), st.integers(1, 5))
@example(b"+07", 1)
@example(b" 007", 1)
@example(b"1,-05\n", 2)
@example(b"2024-01-05 10:00,3", 3)
def test_zeros_that_open_a_cell_are_seen_wherever_blocks_end(piece, block):
    before, delimited._BLOCK = delimited._BLOCK, block
    try:
        seen = _has_leading_zeros(piece, ord(","))
    finally:
        delimited._BLOCK = before
    if OPENING.search(piece):
        assert seen
    if seen:
        assert MAY_OPEN.search(piece)


def test_dates_do_not_make_a_table_slow(monkeypatch):
    frame = pl.DataFrame(
        {"day": [f"2024-0{n % 9 + 1}-05 08:0{n % 6}:00" for n in range(30_000)], "n": [*range(30_000)]}
    )
    seen = []
    plain = delimited._Reader.read
    monkeypatch.setattr(delimited._Reader, "read", lambda *args: seen.append(plain(*args)) or seen[-1])
    assert record_of(frame.write_csv().encode()).rows == 30_000
    assert seen
    assert None not in seen


LATE = {
    "a word among numbers": ("1", "one"),
    "a fraction among whole numbers": ("1", "1.5"),
    "seven with zeros": ("7", "007"),
    "minus five with a zero": ("-5", "-05"),
    "behind a blank": ("7", " 007"),
    "a large number": ("1", "9007199254740993"),
    "yes among true": ("true", "yes"),
    "one among true": ("true", "1"),
    "TRUE among true": ("true", "TRUE"),
    "NA among numbers": ("1", "NA"),
    "NaN among fractions": ("1.5", "NaN"),
    "nothing among true": ("true", ""),
}


@pytest.mark.parametrize(("early", "late"), LATE.values(), ids=LATE)
def test_what_comes_late_in_a_column_is_what_it_would_be_alone(early, late, monkeypatch):
    """The first pieces say how a column is parsed; a later piece may disagree, and a third one agree again."""
    lines = [*[early] * 3_000, late, *[early] * 3_000]
    data = "a,b\n" + "".join(f"{value},row {n}\n" for n, value in enumerate(lines))
    monkeypatch.setattr(delimited, "PIECE", 8_000)
    fast = record_of(data.encode(), Kind.TABLE)
    monkeypatch.setattr(delimited._Reader, "read", lambda *_: None)
    assert record_of(data.encode(), Kind.TABLE) == fast


def test_a_table_is_judged_by_its_rows_and_not_by_the_pieces_they_came_in(monkeypatch):
    chance = np.random.default_rng(5)
    frame = pl.DataFrame(
        {
            "unique at first": [*range(5_000), *[1] * 15_000],
            "large": chance.integers(0, 10**6, 20_000),
            "n": np.arange(20_000) + 7,
            "x": chance.normal(0, 1, 20_000),
        }
    )
    data, parquet = frame.write_csv().encode(), io.BytesIO()
    frame.write_parquet(parquet)
    whole = record_of(data)
    assert len(whole.unnumbered) == 1
    assert record_of(parquet.getvalue()) == whole
    for piece in (3_000, 50_000):
        monkeypatch.setattr(delimited, "PIECE", piece)
        assert record_of(data) == whole


@settings(max_examples=300, deadline=None)
@given(st.text(st.one_of(st.characters(), st.sampled_from("aE <?>\u0301\u0338\u00adﬁ①İßΣ“—é\ufeff각ᄀ")), max_size=40))
@example("<\u0338 a\u0301B\u0301 \u0301x")
@example("\ud800\u0301e")
def test_a_few_letters_beyond_ascii_are_folded_as_a_whole_text_is(text):
    raw = text.encode("utf-8", "surrogatepass")
    few = words._FEW
    try:
        found = []
        for words._FEW in (0, 1 << 40):
            found.append((words.normalize(raw), words.normalize_text(text)))
    finally:
        words._FEW = few
    assert found[0] == found[1]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_utf_8_are_folded_alike_in_runs_and_as_a_whole(raw):
    few = words._FEW
    try:
        found = []
        for words._FEW in (0, 1 << 40):
            found.append(words.normalize(raw))
    finally:
        words._FEW = few
    assert found[0] == found[1]
