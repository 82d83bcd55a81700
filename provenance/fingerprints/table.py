"""Tables: a sketch of the rows, whatever their order, and one of each column, whatever its name and place.

1. Cells are made canonical and hashed (`cells`).
2. The hash of a row is mix(sum of its cells): columns may be reordered or renamed. A row of nothing does not count.
3. `exact` is the sum of all row hashes and that of their squares: equal tables have equal sums in any order, in any
   format.
4. The rows get a bottom-k sketch (k from 1,024, growing with the table), each of the first 1,024 columns one of 256.
   With one column dropped no row is left as it was; the other columns are.
5. Writing a table with a running number is so common that rows are sketched without one, too: a column of whole numbers
   of which hardly any is there twice. At most three such columns are left out, one at a time.
6. A column is *telling* if its values say where it comes from: at least 64 distinct ones, no dates, and no numbers
   that fill a quarter of the grid they lie on (ages, years, ratings, running numbers): those of two tables coincide.
7. Of up to 32 columns, each one is left out in turn: a bottom-k sketch (k = 256) of the sums of the other cells, beside
   one of the sums of all. So rows are found of which one column was dropped, added, or written anew. Such a sketch is
   kept only if what is left still says where it comes from: its numbers, running ones and dates aside, could make 16
   times as many rows as they do, with like columns in any order. Else the days of a year would make a copy of every
   other statistic of that year.
   A sum of hashes is as even as they are, so it is not mixed once more: this is done for every cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import BinaryIO

import numpy as np
import polars as pl

from provenance.fingerprints.algorithm import Algorithm, FingerprintRefusal, Kind
from provenance.fingerprints.bottomk import BottomK, BottomKBuilder, Size, distinct_values
from provenance.fingerprints.cells import SEED, Cells, Floats, numbers_of
from provenance.fingerprints.delimited import HEAD, read_cells, sniff_dialect
from provenance.fingerprints.hashing import MASK_64, U64, mix
from provenance.fingerprints.records import NO_EXACT, Column, Less, TableRecord

MOST_SKETCHED = 1024
ROWS = Size(floor=1024, ceiling=65_536, sparse_limit=1 << 56)
VALUES = Size(floor=256, ceiling=256)
TELLING_DISTINCT = 64
TELLING_SHARE = 4
FINEST_GRID = 2
MOST_NUMBERED = 3
LEAST_NUMBERED = 16
JUDGED_ROWS = 4096
RUNNING_TENTHS = 8
LESS = Size(floor=256, ceiling=256)
FEWEST_LEFT = 2
MOST_LESSENED = 32
LESS_SPREAD = 16

_FIGURES = (
    ("columns", MOST_SKETCHED),
    ("rows", "bottom-k 1024/below 2^56/65536"),
    ("running", f"{MOST_NUMBERED} at most, {RUNNING_TENTHS}/10 distinct, from {LEAST_NUMBERED} rows"),
    ("seed", SEED),
    ("telling", f"{TELLING_DISTINCT} distinct, below 1/{TELLING_SHARE} of a grid of 10^-{FINEST_GRID}, no dates"),
    ("values", "bottom-k 256"),
)
# What was registered by the first one, without rows that lack a column, is still searched.
FIRST = Algorithm(Kind.TABLE, "cadastre.table/1", _FIGURES)
ALGORITHM = Algorithm(
    Kind.TABLE,
    "cadastre.table/2",
    (
        *_FIGURES,
        ("judged", f"the first {JUDGED_ROWS} rows"),
        ("less", f"bottom-k 256, of {FEWEST_LEFT + 1} to {MOST_LESSENED} columns, spread {LESS_SPREAD}"),
    ),
)

_ROW = np.uint64(0xD6E8FEB86659FD93)


@dataclass(slots=True)
class _ColumnSketcher:
    """The values of a column, and whether all of them are numbers, or dates."""

    sketch: BottomKBuilder = field(default_factory=lambda: BottomKBuilder(VALUES))
    all_numbers: bool = True
    all_dates: bool = True

    def add(self, cells: Cells) -> None:
        self.sketch.add(cells.hashes)
        if (self.all_dates and not cells.dates) or (self.all_numbers and not cells.numbers):
            empty = not cells.hashes.any()
            self.all_dates = self.all_dates and (cells.dates or empty)
            self.all_numbers = self.all_numbers and (cells.numbers or empty)

    def finish(self, position: int) -> Column:
        sketch = _without_nothing(self.sketch.finish())
        many = sketch.distinct >= TELLING_DISTINCT and not self.all_dates
        return Column(position, many and not self._fills_its_grid(sketch), sketch)

    def spread(self, column: Column, rows: int) -> int:
        """Return how many values the numbers of this column, once finished, can add to a row: 1 if it has none.

        A running number says nothing that the next table's running number does not say, too.
        """
        sketch = column.sketch
        if not self.all_numbers or self.all_dates or sketch.distinct == 0:
            return 1
        running = sketch.distinct * 10 >= rows * RUNNING_TENTHS and self._fills_its_grid(sketch)
        return 1 if running else sketch.distinct

    def _fills_its_grid(self, sketch: BottomK) -> bool:
        """Say whether all values are numbers that are a quarter or more of the grid they lie on."""
        if not self.all_numbers or not sketch.raw:
            return False
        numbers = numbers_of(sketch.values)
        digits = _grid(numbers)
        if digits is None:
            return False
        return bool(sketch.distinct * TELLING_SHARE >= float(np.ptp(numbers)) * 10**digits + 1)


@dataclass(slots=True)
class _Without:
    """The rows of a table without one column: hashes of rows, or plain sums of cells."""

    position: int
    sketch: BottomKBuilder


@dataclass(slots=True)
class TableSketcher:
    """Takes the cells of a table, piece after piece."""

    _opening: list[list[Cells]] = field(default_factory=list)
    _rows: int = 0
    _numbered: list[_Without] = field(default_factory=list)
    _sum_sketch: BottomKBuilder = field(default_factory=lambda: BottomKBuilder(LESS))
    _less: list[_Without] = field(default_factory=list)
    _sums: list[int] = field(default_factory=lambda: [0, 0])
    _sketch: BottomKBuilder = field(default_factory=lambda: BottomKBuilder(ROWS))
    _columns: list[_ColumnSketcher] = field(default_factory=list)
    _width: int = 0

    def add(self, columns: list[Cells]) -> None:
        """Take a piece: the cells of each column, of the same rows."""
        if not self._width:
            self._opening.append(columns)
            if sum(piece[0].hashes.size for piece in self._opening) < JUDGED_ROWS:
                return
            self._begin()
            return
        self._add(columns)

    def _begin(self) -> None:
        """Judge the columns by the first rows, however many pieces they came in, and take these."""
        opening, self._opening = self._opening, []
        self._width = len(opening[0])
        self._columns = [_ColumnSketcher() for _ in opening[0][:MOST_SKETCHED]]
        self._numbered = [_Without(position, BottomKBuilder(ROWS)) for position in _numbered(opening)]
        if FEWEST_LEFT < self._width <= MOST_LESSENED:
            self._less = [_Without(position, BottomKBuilder(LESS)) for position in range(self._width)]
        for piece in opening:
            self._add(piece)

    def _add(self, columns: list[Cells]) -> None:
        total = columns[0].hashes.copy()
        for column in columns[1:]:
            total += column.hashes
        for sketcher, column in zip(self._columns, columns, strict=False):
            sketcher.add(column)
        rows = _row_hashes(total)
        self._rows += int(rows.size)
        self._sketch.add(rows)
        for without in self._numbered:
            without.sketch.add(_row_hashes(total - columns[without.position].hashes))
        self._sum_sketch.add(_filled(total))
        rest = np.empty_like(total)  # one for all columns: fresh memory costs more than the subtraction
        for without in self._less:
            without.sketch.add(_filled(np.subtract(total, columns[without.position].hashes, out=rest)))
        for power, summands in enumerate((rows, np.multiply(rows, rows, out=rest[: rows.size]))):
            self._sums[power] = (self._sums[power] + int(summands.sum(dtype=np.uint64))) & MASK_64

    def finish(self) -> TableRecord:
        """Return the record of the table."""
        if self._opening:
            self._begin()
        exact = b"".join(part.to_bytes(8, "little") for part in self._sums) if self._rows else NO_EXACT
        columns = tuple(sketcher.finish(position) for position, sketcher in enumerate(self._columns))
        # A column that holds too many numbers twice is no running one.
        running = [each for each in self._numbered if self._is_running(columns[each.position])]
        return TableRecord(
            tag=ALGORITHM.tag,
            rows=self._rows,
            width=self._width,
            exact=exact,
            sketch=self._sketch.finish(),
            unnumbered=tuple(each.sketch.finish() for each in running),
            columns=columns,
            sums=self._sum_sketch.finish(),
            less=self._lessened(columns),
        )

    def _is_running(self, column: Column) -> bool:
        return column.sketch.distinct * 10 >= self._rows * RUNNING_TENTHS

    def _lessened(self, columns: tuple[Column, ...]) -> tuple[Less, ...]:
        pairs = zip(self._columns, columns, strict=True)
        spreads = [sketcher.spread(column, self._rows) for sketcher, column in pairs]
        counted = [position for position, spread in enumerate(spreads[:MOST_LESSENED]) if spread > 1]
        alike = _alike({position: frozenset(columns[position].sketch.values.tolist()) for position in counted})
        out = []
        for without in self._less:
            sketch = without.sketch.finish()
            others = [position for position in counted if position != without.position]
            # A row is the sum of its cells, so the same values in other columns of their kind are the same row.
            orders = prod(1 + sum((one, other) in alike for one in others) for other in others)
            could_be = prod(spreads[position] for position in others)
            if sketch.distinct and could_be >= LESS_SPREAD * sketch.distinct * orders:
                out.append(Less(without.position, sketch))
        return tuple(out)


def _alike(columns: Mapping[int, frozenset[int]]) -> frozenset[tuple[int, int]]:
    """Return the pairs of columns, the earlier one first, of which one has half of the other's values or more."""
    return frozenset(
        (one, other)
        for one, values in columns.items()
        for other, others in columns.items()
        if one < other and 2 * len(values & others) >= min(len(values), len(others))
    )


def table_record(pieces: Iterable[list[Cells]]) -> TableRecord:
    """Return the record of a table that comes in pieces."""
    sketcher = TableSketcher()
    for piece in pieces:
        sketcher.add(piece)
    return sketcher.finish()


def sketch_delimited(open_binary: Callable[[], BinaryIO]) -> TableRecord:
    """Return the record of a delimited text. Raises FingerprintRefusal if it is none."""
    with open_binary() as stream:
        dialect = sniff_dialect(stream.read(HEAD))
    if dialect is None:
        raise _unreadable("no separator gives its lines the same number of columns")
    try:
        with open_binary() as stream:
            return table_record(read_cells(stream, dialect))
    except pl.exceptions.PolarsError as error:
        raise _unreadable(str(error).split("\n", 1)[0][:200]) from error


def _row_hashes(sums: U64) -> U64:
    """Return the hashes of rows from the sums of their cells; rows of nothing are left out."""
    return mix(_filled(sums) ^ _ROW)


def _filled(sums: U64) -> U64:
    return sums if sums.all() else sums[sums != 0]


def _unreadable(why: str) -> FingerprintRefusal:
    return FingerprintRefusal(
        "table.unreadable",
        f"The file does not read as a table: {why}.",
        todo="Separate columns by commas, tabs, semicolons or bars, or upload it as plain text.",
    )


def _numbered(pieces: list[list[Cells]]) -> list[int]:
    """Return which columns may be running numbers, judged by the first rows: whole, and none of them there twice."""
    out = []
    for position in range(min(len(pieces[0]), MOST_SKETCHED)):
        if len(pieces[0]) == 1 or not all(piece[position].numbers for piece in pieces):
            continue
        hashes = np.concatenate([piece[position].hashes for piece in pieces])[:JUDGED_ROWS]
        if hashes.size < LEAST_NUMBERED or not hashes.all():
            continue
        numbers = numbers_of(hashes)
        if bool((numbers == np.rint(numbers)).all()) and distinct_values(hashes).size == hashes.size:
            out.append(position)
    return out[:MOST_NUMBERED]


def _grid(numbers: Floats) -> int | None:
    """Return how many decimals the numbers have, None for more than two."""
    for digits in range(FINEST_GRID + 1):
        scaled = numbers * 10.0**digits
        if bool((np.abs(scaled - np.rint(scaled)) < 1e-6).all()):
            return digits
    return None


def _without_nothing(sketch: BottomK) -> BottomK:
    values = sketch.values
    if values.size and values[0] == 0:
        return BottomK(sketch.limit, sketch.distinct - 1, sketch.raw[8:])
    return sketch
