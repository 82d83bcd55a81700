"""Delimited text (CSV, TSV and their kin) as columns of strings or numbers, read in pieces of a few mebibytes.

1. The first 64 KiB say encoding, separator and whether the first row names the columns.
2. A piece ends at a line feed outside quotes; a record longer than 64 MiB is refused.
3. The first piece, a small one, is parsed as strings. Columns in which every cell was a number, or true or false, are
   then parsed as such, which is three times faster; a piece that holds anything whose text matters (007, 2^53, inf, a
   word) is parsed as strings, and columns that turn out to be mixed stay strings from there on.
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import polars as pl

from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.cells import Cells, are_flags, cells_of, is_plain, number_cells, numbers_of

HEAD = 65_536
PIECE = 4 * 1024 * 1024
FIRST_PIECE = 256 * 1024
LONGEST_RECORD = 64 * 1024 * 1024
MOST_COLUMNS = 16_384
SEPARATORS = ",\t;|"

_QUOTE = 0x22
_ZERO, _BLANK, _DASH = b"0 -"
_FOLLOWS = np.frombuffer(b" +-", dtype=np.uint8)
_BLOCK = 1 << 16
_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_NOTHING = ["NA", "N/A", "NaN", "nan", "null", "NULL", "None"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a delimited text is written; `width` is its number of columns."""

    separator: str
    width: int
    header: bool
    encoding: str


def sniff_dialect(head: bytes) -> Dialect | None:
    """Return the dialect of a table from its first 64 KiB; None if they do not look like one.

    A table has at least two columns and two lines, and nine lines of ten have the same number of columns.
    """
    encoding, text = _decoded_head(head)
    if text is None:
        return None
    best: Dialect | None = None
    for separator in SEPARATORS:
        rows = _sample(text, separator, cut=len(head) >= HEAD)
        if len(rows) < 2:
            continue
        width, count = Counter(len(row) for row in rows).most_common(1)[0]
        if width < 2 or count * 10 < len(rows) * 9 or width > MOST_COLUMNS:
            continue
        if best is None or width > best.width:
            best = Dialect(separator, width, _names_columns(rows[0]), encoding)
    return best


def read_cells(stream: BinaryIO, dialect: Dialect) -> Iterator[list[Cells]]:
    """Yield the canonical cells of each column, piece after piece; pieces are of the same rows in every column."""
    reader: _Reader | None = None
    for piece in _pieces(stream, dialect):
        columns = reader.read(piece) if reader is not None else None
        if columns is None:
            columns = [cells_of(series) for series in _parse(piece, dialect, [pl.String] * dialect.width)]
            if columns and reader is None:
                reader = _Reader(dialect, [_type_of(column) for column in columns])
            elif columns and reader is not None:
                reader.correct(columns)
        if columns and columns[0].hashes.size:
            yield columns


Type = type[pl.Int64 | pl.Float64 | pl.Boolean | pl.String]


def _type_of(column: Cells) -> Type:
    if column.numbers:
        numbers = numbers_of(column.hashes[column.hashes != 0])
        return pl.Int64 if bool((numbers == np.rint(numbers)).all()) else pl.Float64
    return pl.Boolean if column.hashes.any() and are_flags(column.hashes) else pl.String


@dataclass(slots=True)
class _Reader:
    """Parses the columns that were numbers, or true and false, in the pieces before as such."""

    dialect: Dialect
    types: list[Type]
    nothing: list[str] | None = None

    def read(self, piece: bytes) -> list[Cells] | None:
        """Return the cells of a piece; None if the text of a number matters in it."""
        if all(each is pl.String for each in self.types) or _has_leading_zeros(piece, ord(self.dialect.separator)):
            return None
        columns = self._parsed(piece, self.types)
        if columns is None and pl.Int64 in self.types:
            broader: list[Type] = [pl.Float64 if each is pl.Int64 else each for each in self.types]
            columns = self._parsed(piece, broader)
            if columns is not None:
                self.types = broader
        if columns is None and self.nothing is None:
            self.nothing = _NOTHING  # slower, so only once a column of numbers has gaps
            columns = self._parsed(piece, self.types)
        return columns

    def correct(self, columns: list[Cells]) -> None:
        """Learn from a piece that had to be read as strings."""
        found = [
            _type_of(column) if column.hashes.any() else known
            for column, known in zip(columns, self.types, strict=True)
        ]
        self.types = [_common(one, other) for one, other in zip(self.types, found, strict=True)]

    def _parsed(self, piece: bytes, types: list[Type]) -> list[Cells] | None:
        try:
            series = _parse(piece, self.dialect, types, self.nothing)
        except pl.exceptions.PolarsError:
            return None
        out = []
        for column, each in zip(series, types, strict=True):
            if each not in {pl.Int64, pl.Float64}:
                out.append(cells_of(column))
                continue
            values = column.cast(pl.Float64).to_numpy()
            if not is_plain(values) or (np.isnan(values.sum()) and int(np.isnan(values).sum()) != column.null_count()):
                return None
            out.append(Cells(number_cells(values), numbers=True))
        return out


def _common(one: Type, other: Type) -> Type:
    """Return the type that holds the columns of both."""
    if one is other:
        return one
    return pl.Float64 if {one, other} == {pl.Int64, pl.Float64} else pl.String


def _decoded_head(head: bytes) -> tuple[str, str | None]:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, head[2:].decode(encoding, "replace")
    if b"\0" in head:
        return "utf-8", None
    return "utf-8", head.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")


def _sample(text: str, separator: str, *, cut: bool) -> list[list[str]]:
    lines = text.splitlines()
    if cut:
        lines = lines[:-1]
    if not any(separator in line for line in lines[:2]):
        return []
    try:
        rows = list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return []
    return [row for row in rows if row]


def _names_columns(first: list[str]) -> bool:
    """A header has a name in every column, no two alike, and none of them a number."""
    names = [name.strip() for name in first]
    if len(set(names)) < len(names) or sum(not name for name in names) > 1:
        return False
    return not any(_is_number(name) for name in names)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _pieces(stream: BinaryIO, dialect: Dialect) -> Iterator[bytes]:
    """Yield whole records as UTF-8 with line feeds, without the header."""
    carry = b""
    skip = dialect.header
    for raw in _utf8(stream, dialect.encoding):
        data = carry + raw
        end = _last_record_end(data)
        if end == 0:
            if len(data) > LONGEST_RECORD:
                raise FingerprintRefusal(
                    "table.long_record",
                    "A record of the table is too long to be one: a quote may be missing.",
                    limit=LONGEST_RECORD,
                    actual=len(data),
                    todo="Check the quotes, or upload the file as plain text.",
                )
            carry = data
            continue
        piece, carry = data[:end], data[end:]
        if skip:
            piece = piece[_first_record_end(piece) :]
            skip = False
        if piece:
            yield piece
    if skip and carry:
        carry = carry[_first_record_end(carry + b"\n") :]
    if carry:
        yield carry


def _utf8(stream: BinaryIO, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    first = True
    only_returns: bool | None = None
    while piece := stream.read(min(PIECE, FIRST_PIECE) if first else PIECE):
        if first:
            piece = piece.removeprefix(codecs.BOM_UTF8)
            first = False
        if encoding != "utf-8" or not piece.isascii():
            piece = decoder.decode(piece).lstrip("\ufeff").encode()
        if only_returns is None:
            only_returns = b"\n" not in piece and b"\r" in piece
        yield piece.replace(b"\r", b"\n") if only_returns else piece


def _last_record_end(data: bytes) -> int:
    """Return the position behind the last line feed that is outside quotes."""
    if _QUOTE not in data:
        return data.rfind(b"\n") + 1
    flat = np.frombuffer(data, dtype=np.uint8)
    quotes, ends = np.flatnonzero(flat == _QUOTE), np.flatnonzero(flat == 0x0A)
    outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return int(outside[-1]) + 1 if outside.size else 0


def _first_record_end(data: bytes) -> int:
    quotes = 0
    at = 0
    while (end := data.find(b"\n", at)) >= 0:
        quotes += data.count(b'"', at, end)
        if quotes % 2 == 0:
            return end + 1
        at = end + 1
    return len(data)


def _parse(piece: bytes, dialect: Dialect, types: Sequence[Type], nothing: list[str] | None = None) -> list[pl.Series]:
    schema = {f"c{index}": dtype for index, dtype in enumerate(types)}
    for quote in ('"', None):  # a stray quote must not hide the rest of a table
        try:
            frame = pl.read_csv(
                piece,
                has_header=False,
                separator=dialect.separator,
                quote_char=quote,
                schema=schema,
                null_values=nothing,
                extra_columns="ignore",
                missing_columns="insert",
                glob=False,
            )
        except pl.exceptions.NoDataError:
            return []
        except pl.exceptions.PolarsError:
            if quote is None or any(each is not pl.String for each in types):
                raise
            continue
        return frame.get_columns()
    raise AssertionError("unreachable: the last attempt returns or raises")


def _has_leading_zeros(piece: bytes, separator: int) -> bool:
    """Say whether a zero and another digit open a cell, perhaps behind a quote, blanks or a sign.

    A blank is believed to open a cell if what stands before it might: a separator, a line feed, a quote, a blank.
    """
    if piece[:1] == b"0" and piece[1:2].isdigit():
        return True
    opens = np.zeros(256, dtype=np.bool_)
    opens[[separator, *b'\n" ']] = True
    flat = np.frombuffer(piece, dtype=np.uint8)
    for at in range(0, flat.size, _BLOCK):  # blocks that stay in the cache
        block = flat[at : at + _BLOCK + 2]
        before = block[:-2]
        # All that may open a cell lies in a short range, but for two: the few bytes between are told apart below.
        found = before - np.uint8(_BLANK) <= _DASH - _BLANK
        found |= before == ord("\n")
        if not _BLANK <= separator <= _DASH:
            found |= before == separator
        found &= block[1:-1] == _ZERO
        found &= block[2:] - np.uint8(_ZERO) < 10
        if not found.any():
            continue
        places = np.flatnonzero(found) + at
        ahead = np.where(places > 0, flat.take(places - 1, mode="clip"), ord("\n"))
        if bool(np.where(np.isin(flat[places], _FOLLOWS), opens[ahead], opens[flat[places]]).any()):
            return True
    return False
