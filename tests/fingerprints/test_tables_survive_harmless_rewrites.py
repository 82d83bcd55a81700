import io
import unicodedata

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.fingerprints import delimited
from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.bottomk import containment
from provenance.fingerprints.cells import cells_of
from provenance.fingerprints.registry import Kind, sniff_kind
from tests.fingerprints.makers import record_of

HEADER = "id,city,price,note,seen,active,score\n"
BODY = "".join(
    f"{n},Zür{n % 7}ich,{n}.50,{'' if n % 3 else 'é là'},2024-01-{n % 28 + 1:02d} 10:{n % 60:02d}:00,"
    f"{'true' if n % 2 else 'false'},{n / 7}\n"
    for n in range(1, 400)
)
CSV = HEADER + BODY


def exact(text: str | bytes) -> bytes:
    return record_of(text.encode() if isinstance(text, str) else text, Kind.TABLE).exact


REWRITES = {
    "CRLF": lambda t: t.replace("\n", "\r\n"),
    "byte order mark": lambda t: "\ufeff" + t,
    "delimiter": lambda t: t.replace(",", ";"),
    "quoting": lambda t: "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in t.splitlines()) + "\n",
    "1.50 to 1.5": lambda t: t.replace(".50,", ".5,"),
    "NA for nothing": lambda t: t.replace(",,", ",NA,"),
    "NFD": lambda t: unicodedata.normalize("NFD", t),
    "blanks": lambda t: t.replace(",", " , "),
    "row order": lambda t: HEADER + "\n".join(reversed(t.removeprefix(HEADER).splitlines())) + "\n",
    "True for true": lambda t: t.replace("true", "True").replace("false", "FALSE"),
    "no final newline": lambda t: t.removesuffix("\n"),
    "ISO date and time": lambda t: t.replace(" 10:", "T10:"),
    "1 to 1.0": lambda t: (
        HEADER
        + "".join(
            f"{line.split(',', 1)[0]}.0,{line.split(',', 1)[1]}\n" for line in t.removeprefix(HEADER).splitlines()
        )
    ),
}


@pytest.mark.parametrize("rewrite", REWRITES.values(), ids=REWRITES)
def test_a_harmless_rewrite_leaves_the_table_exactly_the_same(rewrite):
    rewritten = rewrite(CSV)
    assert rewritten != CSV
    assert exact(rewritten) == exact(CSV)


def test_there_are_thirteen_harmless_rewrites():
    assert len(REWRITES) == 13


def test_columns_may_move_and_be_renamed():
    lines = [line.split(",") for line in CSV.splitlines()]
    lines[0] = [f"field {n}" for n in range(len(lines[0]))]
    assert exact("\n".join(",".join(reversed(line)) for line in lines)) == exact(CSV)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("007", "7"),
        ("-05", "-5"),
        ("+0049", "+49"),
        ("9007199254740993", "9007199254740992"),
        ("12345678901234567890123", "12345678901234567890124"),
        ("1e400", "1e401"),
        ("abc", "ABC"),
        ("2024-02-30", "2024-03-01"),
        ("1_000", "1000"),
        ("true", "yes"),
        ("nan", "nano"),
    ],
)
def test_what_only_looks_alike_is_not_merged(one, other):
    first, second = cells_of(pl.Series([one, other], dtype=pl.String)).hashes
    assert first != second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("7", "7.0"),
        ("+5", "5"),
        (".5", "0.50"),
        ("1e3", "1000"),
        ("-0", "0"),
        ("", "N/A"),
        ("None", "null"),
        ("True", "TRUE"),
        (" x ", "x"),
        ("2024-01-05", "2024-01-05T00:00:00"),
        ("2024-01-05T12:00:00+02:00", "2024-01-05 10:00:00Z"),
        ("2024-01-05T12:00:00-03:30", "2024-01-05 15:30:00Z"),
        ("2024-01-05 10:00", "2024-01-05T10:00:00.000"),
        ("e\u0301", "é"),
    ],
)
def test_two_ways_to_write_a_value_are_one(one, other):
    first, second = cells_of(pl.Series([one, other], dtype=pl.String)).hashes
    assert first == second


def test_a_cell_is_what_it_is_whatever_else_is_in_its_column():
    values = ["7", "007", "x", "", "2024-01-05", "true", "1.5", "é", " y"]
    together = cells_of(pl.Series(values)).hashes
    alone = [int(cells_of(pl.Series([value])).hashes[0]) for value in values]
    assert together.tolist() == alone


FRAME = pl.DataFrame(
    {
        "whole": [1, 2, None, 2**53 + 1],
        "small": pl.Series([1, 2, 3, None], dtype=pl.UInt8),
        "real": [0.1, 1e300, float("inf"), None],
        "single": pl.Series([0.1, 2.5, None, -3.25], dtype=pl.Float32),
        "text": ["a", None, "007", "ä, ö"],
        "flag": [True, False, None, True],
        "day": pl.Series(["2024-01-05", None, "1969-12-31", "2000-02-29"]).str.to_date(),
        "time": pl.Series(
            ["2024-01-05 10:00:00.5", None, "1969-12-31 23:59:59", "2000-02-29 00:00:00"]
        ).str.to_datetime(),
        "kind": pl.Series(["x", "y", "x", None], dtype=pl.Categorical),
        "money": pl.Series(["1.50", "2.25", None, "0.10"]).cast(pl.Decimal(10, 2)),
    }
)


def parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def test_csv_parquet_and_arrow_of_a_table_are_equal_records():
    arrow = io.BytesIO()
    FRAME.write_ipc(arrow, compat_level=pl.CompatLevel.oldest())
    csv = record_of(FRAME.write_csv().encode(), Kind.TABLE)
    assert record_of(parquet(FRAME)) == csv
    assert record_of(arrow.getvalue()) == csv
    assert csv.rows == 4


def test_numbers_parsed_as_numbers_and_as_strings_are_the_same(monkeypatch):
    chance = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "n": np.arange(60_000) + 5,
            "x": np.round(chance.normal(0, 50, 60_000), 3),
            "gap": [None if n % 9 == 0 else n / 8 for n in range(60_000)],
            "word": [f"w{n % 97}" for n in range(60_000)],
            "late": ["1"] * 59_000 + ["007"] * 500 + ["NA"] * 500,
        }
    )
    data = frame.write_csv().encode()
    whole = record_of(data)
    for piece in (10_000, 100_001, 1 << 20):
        monkeypatch.setattr(delimited, "PIECE", piece)
        assert record_of(data) == whole
    monkeypatch.setattr(delimited._Reader, "read", lambda *_: None)
    assert record_of(data) == whole


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.integers(-(10**6), 10**6).map(str), st.sampled_from(["007", "NA", "1e5", "+3", ".5", "", "x"])
            ),
            st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8),
        ),
        min_size=2,
        max_size=30,
    )
)
def test_any_table_is_the_same_in_any_order_and_any_pieces(rows):
    frame = pl.DataFrame({"a": [a for a, _ in rows], "b": [f"k{b}" for _, b in rows]})
    pieces = [frame.write_csv().encode(), frame[::-1].write_csv().encode()]
    records = [record_of(data, Kind.TABLE) for data in pieces]
    assert records[0] == records[1]


def numbered(rows: int, seed: int) -> pl.DataFrame:
    chance = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "a": chance.normal(0, 1, rows),
            "b": chance.integers(0, 10**9, rows),
            "c": [f"name{v}" for v in chance.integers(0, 10**6, rows)],
            "d": chance.integers(18, 90, rows),
        }
    )


def test_half_of_the_rows_are_contained_and_other_rows_are_not():
    whole = record_of(numbered(20_000, 1).write_csv().encode())
    half = record_of(numbered(20_000, 1)[::2].write_csv().encode())
    common, of = containment(half.sketch, whole.sketch)
    assert common == of > 300
    assert containment(record_of(numbered(20_000, 2).write_csv().encode()).sketch, whole.sketch)[0] == 0


def test_the_number_of_rows_is_estimated_from_a_sketch():
    record = record_of(numbered(50_000, 3).write_csv().encode())
    assert record.rows == 50_000
    assert abs(record.sketch.distinct / 50_000 - 1) < 0.1


def test_a_dropped_column_leaves_the_sketches_of_the_others():
    whole = record_of(numbered(5_000, 4).write_csv().encode())
    less = record_of(numbered(5_000, 4).drop("c").write_csv().encode())
    assert containment(less.sketch, whole.sketch)[0] == 0
    assert [column.sketch for column in less.columns] == [whole.columns[n].sketch for n in (0, 1, 3)]


def test_a_running_number_does_not_hide_the_rows():
    plain = record_of(numbered(5_000, 5).write_csv().encode())
    with_number = record_of(numbered(5_000, 5).with_row_index("n", offset=1).write_csv().encode())
    assert plain.sketch in with_number.unnumbered
    assert containment(with_number.sketch, plain.sketch)[0] == 0


def test_columns_tell_where_they_come_from_or_not():
    frame = numbered(5_000, 6).with_columns(
        year=pl.lit(1950) + pl.int_range(5_000) % 70,
        day=pl.date(2000, 1, 1) + pl.duration(days=pl.int_range(5_000)),
        tenth=(pl.int_range(5_000) % 100) / 10,
        sex=pl.lit("f"),
    )
    telling = [column.telling for column in record_of(frame.write_csv().encode()).columns]
    assert telling == [True, True, True, False, False, False, False, False]
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    assert [c.telling for c in record_of(shuffled.write_csv().encode()).columns] == telling


def test_rows_of_nothing_do_not_count():
    assert record_of(b"a,b\n1,2\n,\nNA,null\n3,4\n", Kind.TABLE).rows == 2


def test_a_table_with_a_header_and_no_rows_is_empty_and_matches_nothing():
    record = record_of(b"a,b,c\n", Kind.TABLE) if sniff_kind(b"a,b,c\n") is Kind.TABLE else None
    assert record is None
    empty = record_of(parquet(FRAME.clear()))
    assert (empty.rows, empty.sketch.raw, empty.exact) == (0, b"", bytes(16))


def test_ragged_lines_and_stray_quotes_are_read_as_far_as_they_go():
    good = "".join(f"{n},{n * n},x{n}\n" for n in range(50))
    record = record_of(f'a,b,c\n{good}1,2\n1,2,3,4,5\n5,6,12" pipe\n'.encode())
    assert record.rows == 53
    assert record.width == 3


def test_quoted_line_feeds_do_not_end_a_record(monkeypatch):
    data = "a,b\n" + "".join(f'{n},"line one\nline two, {n}"\n' for n in range(2_000))
    whole = record_of(data.encode(), Kind.TABLE)
    assert whole.rows == 2_000
    monkeypatch.setattr(delimited, "PIECE", 777)
    assert record_of(data.encode(), Kind.TABLE) == whole


def test_a_quote_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(delimited, "LONGEST_RECORD", 100_000)
    monkeypatch.setattr(delimited, "PIECE", 10_000)
    data = b"a,b\n" + b"1,2\n" * 100 + b'1,"' + b"x,y\n" * 50_000
    with pytest.raises(FingerprintRefusal) as refusal:
        record_of(data, Kind.TABLE)
    assert refusal.value.code == "table.long_record"
    assert refusal.value.actual > refusal.value.limit == 100_000


def test_prose_is_refused_as_a_table_and_says_what_to_do():
    with pytest.raises(FingerprintRefusal, match="plain text"):
        record_of(b"Once upon a time, there was a table.\nIt had no columns.\n", Kind.TABLE)


def test_extension_types_are_read_as_what_they_are_stored_as():
    class Trap(pa.ExtensionType):
        def __init__(self):
            super().__init__(pa.int64(), "trap")

        def __arrow_ext_serialize__(self):
            return b"import os"

        @classmethod
        def __arrow_ext_deserialize__(cls, storage, serialized):
            raise AssertionError("code of a file was run")

    stored = pa.array([1, 2, 3])
    out = io.BytesIO()
    pq.write_table(pa.table({"a": pa.ExtensionArray.from_storage(Trap(), stored), "b": stored}), out)
    plain = io.BytesIO()
    pq.write_table(pa.table({"a": stored, "b": stored}), plain)
    assert record_of(out.getvalue()).exact == record_of(plain.getvalue()).exact


def test_nested_and_binary_columns_are_compared_too():
    frame = pl.DataFrame({"list": [[1, 2], [3]], "struct": [{"x": 1}, {"x": 2}], "raw": [b"\0\1", b"\xff"]})
    one, other = record_of(parquet(frame)), record_of(parquet(frame[::-1]))
    assert one.exact == other.exact
    assert one.rows == 2
