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
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import polars as pl

from provenance.fingerprints.algorithm import Algorithm, FingerprintRefusal, Kind
from provenance.fingerprints.bottomk import BottomK, BottomKBuilder, Size
from provenance.fingerprints.cells import SEED, Cells, Floats, numbers_of
from provenance.fingerprints.delimited import HEAD, read_cells, sniff_dialect
from provenance.fingerprints.hashing import MASK_64, U64, mix
from provenance.fingerprints.records import NO_EXACT, Column, TableRecord

MOST_SKETCHED = 1024
ROWS = Size(floor=1024, ceiling=65_536, sparse_limit=1 << 56)
VALUES = Size(floor=256, ceiling=256)
TELLING_DISTINCT = 64
TELLING_SHARE = 4
FINEST_GRID = 2
MOST_NUMBERED = 3
LEAST_NUMBERED = 16
RUNNING_TENTHS = 8


ALGORITHM = Algorithm(
    Kind.TABLE,
    "cadastre.table/1",
    (
        ("columns", MOST_SKETCHED),
        ("rows", "bottom-k 1024/below 2^56/65536"),
        ("running", f"{MOST_NUMBERED} at most, {RUNNING_TENTHS}/10 distinct, from {LEAST_NUMBERED} rows"),
        ("seed", SEED),
        ("telling", f"{TELLING_DISTINCT} distinct, below 1/{TELLING_SHARE} of a grid of 10^-{FINEST_GRID}, no dates"),
        ("values", "bottom-k 256"),
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
        return Column(position, self._is_telling(sketch), sketch)

    def _is_telling(self, sketch: BottomK) -> bool:
        if sketch.distinct < TELLING_DISTINCT or self.all_dates:
            return False
        if not self.all_numbers:
            return True
        numbers = numbers_of(sketch.values)
        digits = _grid(numbers)
        return digits is None or bool(sketch.distinct * TELLING_SHARE < float(np.ptp(numbers)) * 10**digits + 1)


@dataclass(slots=True)
class _WithoutNumber:
    """The rows of a table without one column of whole numbers."""

    position: int
    sketch: BottomKBuilder = field(default_factory=lambda: BottomKBuilder(ROWS))

    def add(self, total: U64, columns: list[Cells]) -> None:
        rest = total - columns[self.position].hashes
        self.sketch.add(mix(rest[rest != 0] ^ _ROW))

    def finish(self, column: Column, rows: int) -> BottomK | None:
        """Return the sketch, or None if the column holds too many numbers twice to be a running one."""
        return self.sketch.finish() if column.sketch.distinct * 10 >= rows * RUNNING_TENTHS else None


@dataclass(slots=True)
class TableSketcher:
    """Takes the cells of a table, piece after piece."""

    _rows: int = 0
    _without: list[_WithoutNumber] = field(default_factory=list)
    _sums: list[int] = field(default_factory=lambda: [0, 0])
    _sketch: BottomKBuilder = field(default_factory=lambda: BottomKBuilder(ROWS))
    _columns: list[_ColumnSketcher] = field(default_factory=list)
    _width: int = 0

    def add(self, columns: list[Cells]) -> None:
        """Take a piece: the cells of each column, of the same rows."""
        if not self._width:
            self._width = len(columns)
            self._columns = [_ColumnSketcher() for _ in columns[:MOST_SKETCHED]]
            self._without = [_WithoutNumber(position) for position in _numbered(columns)]
        total: U64 = np.zeros(columns[0].hashes.size, dtype=np.uint64)
        for column in columns:
            total += column.hashes
        for sketcher, column in zip(self._columns, columns, strict=False):
            sketcher.add(column)
        rows = mix(total[total != 0] ^ _ROW)
        self._rows += int(rows.size)
        self._sketch.add(rows)
        for without in self._without:
            without.add(total, columns)
        for power, summands in enumerate((rows, rows * rows)):
            self._sums[power] = (self._sums[power] + int(summands.sum(dtype=np.uint64))) & MASK_64

    def finish(self) -> TableRecord:
        """Return the record of the table."""
        exact = b"".join(part.to_bytes(8, "little") for part in self._sums) if self._rows else NO_EXACT
        columns = tuple(sketcher.finish(position) for position, sketcher in enumerate(self._columns))
        rest = (without.finish(columns[without.position], self._rows) for without in self._without)
        return TableRecord(
            tag=ALGORITHM.tag,
            rows=self._rows,
            width=self._width,
            exact=exact,
            sketch=self._sketch.finish(),
            unnumbered=tuple(sketch for sketch in rest if sketch is not None),
            columns=columns,
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


def _unreadable(why: str) -> FingerprintRefusal:
    return FingerprintRefusal(
        "table.unreadable",
        f"The file does not read as a table: {why}.",
        todo="Separate columns by commas, tabs, semicolons or bars, or upload it as plain text.",
    )


def _numbered(columns: list[Cells]) -> list[int]:
    """Return which columns may be running numbers, judged by the first piece: whole, and none of them there twice."""
    out = []
    for position, column in enumerate(columns[:MOST_SKETCHED]):
        hashes = column.hashes
        if not column.numbers or hashes.size < LEAST_NUMBERED or len(columns) == 1 or not hashes.all():
            continue
        numbers = numbers_of(hashes)
        if bool((numbers == np.rint(numbers)).all()) and np.unique(numbers).size == numbers.size:
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
