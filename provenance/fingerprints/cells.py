"""Canonical cells: the same 64-bit hash for the same value, however it was written and in whichever file format.

1. Nothing: empty, NA, N/A, NaN, null, none. Its hash is 0, and it adds nothing to its row.
2. A number is its 64-bit float, so 1, 1.0, 1.00 and +1 are one. What only looks like a number is text: a leading zero
   (007), an integer of 2^53 or more (account numbers), infinities.
3. true and false, in any case.
4. An ISO 8601 date or time is its microseconds since 1970, in UTC where a zone is given; a date is its midnight.
5. Everything else is text: NFC, without blanks at its ends, case kept.

It is decided cell by cell, never by column, so that no other row changes what a row is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.hashing import U64, WINDOW, Positions, hash_ranges, mix, unmix, windows

SEED = 0x7AB1E
MOST_EXACT = float(1 << 53)

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_NUMBER, _DATE = np.uint64(0x4E554D4245520001), np.uint64(0x4441544500000001)
_LOWER = np.uint64(0x2020202020202020)
_DAY = 86_400_000_000
_LONGEST_TOKEN = 5
_DATE_LENGTH = 10
_LONGEST_DATE = 40
_DATE_TIME = (
    r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(?:Z|UTC|([+-]\d{2}):?(\d{2}))?)?$"
)


def _token(word: str) -> np.uint64:
    return np.uint64(int.from_bytes(word.ljust(WINDOW).encode(), "little"))


_NOTHING = tuple(_token(word) for word in ("na", "n/a", "nan", "null", "none"))
_TRUE, _FALSE = _token("true"), _token("false")
_TRUE_HASH, _FALSE_HASH = (mix(np.array([n], dtype=np.uint64))[0] for n in (0x5452554500000001, 0x46414C5345000001))


@dataclass(frozen=True, slots=True)
class Cells:
    """The hashes of some cells of a column, and whether all that is not nothing are numbers, or dates."""

    hashes: U64
    numbers: bool = False
    dates: bool = False


def cells_of(series: pl.Series) -> Cells:
    """Return the canonical cells of a polars column of any type. Raises FingerprintRefusal."""
    dtype = series.dtype
    if dtype == pl.String:
        return _texts(series)
    if dtype in {pl.Float64, pl.Float32} or dtype.is_integer():
        return _numeric(series)
    if dtype == pl.Boolean:
        flags = series.fill_null(value=False).to_numpy()
        return Cells(_blank_nulls(np.where(flags, _TRUE_HASH, _FALSE_HASH), series))
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return _moments(series)
    if dtype == pl.Null:
        return Cells(np.zeros(len(series), dtype=np.uint64))
    if isinstance(dtype, (pl.Decimal, pl.Categorical, pl.Enum, pl.Time)):
        return _texts(series.cast(pl.String))
    if isinstance(dtype, pl.Duration):
        return _numeric(series.dt.total_microseconds())
    if dtype == pl.Binary:
        return _texts(series.bin.encode("hex"))
    if dtype.is_nested():
        return _texts(pl.Series([None if item is None else _json(item) for item in series.to_list()], dtype=pl.String))
    raise FingerprintRefusal("table.type", f"A column of type {dtype} cannot be compared.", actual=str(dtype))


def number_cells(values: Floats) -> U64:
    """Return the hashes of finite numbers below 2^53 in size; NaN is nothing."""
    hashes = mix((values + 0.0).view(np.uint64) ^ _NUMBER)
    if np.isnan(values.sum()):
        hashes[np.isnan(values)] = 0
    return hashes


def numbers_of(hashes: U64) -> Floats:
    """Return the numbers behind hashes that are all of numbers: hashing a number is reversible."""
    return (unmix(hashes) ^ _NUMBER).view(np.float64)


def are_flags(hashes: U64) -> bool:
    """Say whether these are the hashes of true, false and nothing only."""
    return bool(((hashes == _TRUE_HASH) | (hashes == _FALSE_HASH) | (hashes == 0)).all())


def is_plain(values: Floats) -> bool:
    """Say whether all values are NaN, or finite and below 2^53 in size: those whose text nobody needs to see."""
    if values.size == 0:
        return True
    return not (float(np.fmax.reduce(values)) >= MOST_EXACT or float(np.fmin.reduce(values)) <= -MOST_EXACT)


def _numeric(series: pl.Series) -> Cells:
    if series.dtype == pl.Float32:  # 0.1 as a 32-bit float is written 0.1, and that is what a CSV of it says
        series = series.cast(pl.String).cast(pl.Float64, strict=False)
    values = series.cast(pl.Float64).to_numpy()
    if is_plain(values):
        return Cells(number_cells(values), numbers=True)
    if series.dtype.is_integer():
        return _texts(series.cast(pl.String))
    hashes = number_cells(values)
    endless = np.flatnonzero(np.isinf(values))
    if endless.size:
        hashes[endless] = _texts(pl.Series(np.where(values[endless] > 0, "inf", "-inf"))).hashes
    return Cells(hashes)


def _moments(series: pl.Series) -> Cells:
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone is not None:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    micros = series.cast(pl.Datetime("us")).cast(pl.Int64).fill_null(0).to_numpy()
    return Cells(_blank_nulls(_moment_hashes(micros), series), dates=True)


def _moment_hashes(micros: npt.NDArray[np.int64]) -> U64:
    return mix(micros.view(np.uint64) ^ _DATE)


def _blank_nulls(hashes: U64, series: pl.Series) -> U64:
    if series.null_count():
        hashes[series.is_null().to_numpy()] = 0
    return hashes


def _json(value: object) -> str:
    return json.dumps(value, default=str, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class _Strings:
    """The bytes of a column of strings, and its first eight of each."""

    data: bytes
    starts: Positions
    lengths: Positions
    words: U64

    def byte(self, index: Positions, at: int) -> npt.NDArray[np.uint8]:
        """Byte `at` of the cells at `index`, zero beyond their end."""
        flat = np.frombuffer(self.data, dtype=np.uint8)
        found = flat.take(self.starts[index] + at, mode="clip")
        found[self.lengths[index] <= at] = 0
        return found


def _strings(series: pl.Series) -> _Strings:
    array = series.to_arrow()
    _, offsets, content = array.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    data = b"".join((memoryview(content) if content is not None else b"", bytes(2 * WINDOW)))
    starts = bounds[:-1]
    lengths = bounds[1:] - starts
    if series.null_count():  # what stands in the bytes of a null is anything
        lengths[series.is_null().to_numpy()] = 0
    return _Strings(data, starts, lengths, windows(data)[starts])


def _texts(series: pl.Series) -> Cells:
    if len(series) == 0:
        return Cells(np.empty(0, dtype=np.uint64))
    strings = _strings(series)
    if not strings.data.isascii():
        series = series.str.normalize("NFC").str.strip_chars()
        strings = _strings(series)
    elif _has_blank_ends(strings):
        series = series.str.strip_chars()
        strings = _strings(series)
    hashes = hash_ranges(strings.data, strings.starts, strings.lengths, SEED, first=strings.words)
    missing = _mark_tokens(hashes, strings)
    first = (strings.words & np.uint64(0xFF)).astype(np.uint8)
    first[strings.lengths == 0] = 0
    numeric = (first - np.uint8(48) < 10) | (first == 43) | (first == 45) | (first == 46)
    index = np.flatnonzero(numeric & ~missing)
    if index.size == 0:
        return Cells(hashes)
    values, accepted = _numbers(series, strings, index)
    hashes[index[accepted]] = number_cells(values[accepted])
    if bool(accepted.all()) and index.size + int(missing.sum()) == hashes.size:
        return Cells(hashes, numbers=True)
    dates = _mark_dates(hashes, series, strings, index[~accepted])
    return Cells(hashes, dates=dates > 0 and dates + int(missing.sum()) == hashes.size)


def _has_blank_ends(strings: _Strings) -> bool:
    filled = strings.lengths > 0
    flat = np.frombuffer(strings.data, dtype=np.uint8)
    last = flat.take(strings.starts + strings.lengths - 1, mode="clip")
    first = strings.words & np.uint64(0xFF)
    return bool((filled & ((first <= 0x20) | (last <= 0x20))).any())


def _mark_tokens(hashes: U64, strings: _Strings) -> Flags:
    """Set the hashes of nothing, true and false; return which cells are nothing."""
    missing: Flags = strings.lengths == 0
    first = (strings.words & np.uint64(0xFF)).astype(np.uint8) | np.uint8(0x20)
    opens = (first == ord("n")) | (first == ord("t")) | (first == ord("f"))
    short = np.flatnonzero(opens & (strings.lengths <= _LONGEST_TOKEN) & ~missing)
    if short.size:
        lengths = strings.lengths[short].astype(np.uint64)
        keep = (np.uint64(1) << (lengths * np.uint64(8))) - np.uint64(1)
        folded = (strings.words[short] & keep) | _LOWER
        nothing = np.zeros(short.size, dtype=np.bool_)
        for token in _NOTHING:
            nothing |= folded == token
        missing[short[nothing]] = True
        hashes[short[folded == _TRUE]] = _TRUE_HASH
        hashes[short[folded == _FALSE]] = _FALSE_HASH
    hashes[missing] = 0
    return missing


def _numbers(series: pl.Series, strings: _Strings, index: Positions) -> tuple[Floats, Flags]:
    """Return the values of the cells at `index`, and which of them are numbers."""
    chosen = series if index.size == len(series) else series.gather(index)
    values = chosen.cast(pl.Float64, strict=False).to_numpy()
    accepted: Flags = np.isfinite(values)
    lead = (strings.words[index] & np.uint64(0xFF)).astype(np.uint8)
    signed = (lead == 43) | (lead == 45)
    zero = np.where(signed, strings.byte(index, 1), lead) == 48
    if zero.any():
        after = np.where(signed, strings.byte(index, 2), strings.byte(index, 1))
        accepted &= ~(zero & (after - np.uint8(48) < 10))
    if not is_plain(np.where(accepted, values, 0.0)):
        digits = chosen.str.contains(r"^[+-]?\d+$").to_numpy()
        accepted &= ~(digits & (np.abs(values) >= MOST_EXACT))
    return values, accepted


def _mark_dates(hashes: U64, series: pl.Series, strings: _Strings, index: Positions) -> int:
    """Set the hashes of dates and times among the cells at `index`; return how many there are."""
    lengths = strings.lengths[index]
    words = strings.words[index]
    dash = np.uint64(0x2D)
    index = index[
        (lengths >= _DATE_LENGTH)
        & (lengths <= _LONGEST_DATE)
        & ((words >> np.uint64(32)) & np.uint64(0xFF) == dash)
        & (words >> np.uint64(56) == dash)
    ]
    if index.size == 0:
        return 0
    micros = _micros(series.gather(index))
    found = micros.is_not_null().to_numpy()
    hashes[index[found]] = _moment_hashes(micros.drop_nulls().to_numpy())
    return int(found.sum())


def _micros(texts: pl.Series) -> pl.Series:
    """Return microseconds since 1970, null for what is no date."""
    parts = texts.str.extract_groups(_DATE_TIME).struct.unnest()
    day, hour, minute, second, fraction, zone_hours, zone_minutes = parts.get_columns()
    date = day.str.to_date("%Y-%m-%d", strict=False).cast(pl.Int64)
    numbers = [
        part.cast(pl.Int64, strict=False).fill_null(0) for part in (hour, minute, second, zone_hours, zone_minutes)
    ]
    micro = fraction.fill_null("").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64, strict=False).fill_null(0)
    sign = zone_hours.str.starts_with("-").fill_null(value=False).cast(pl.Int64) * -2 + 1
    minutes = numbers[0] * 60 + numbers[1] - numbers[3] * 60 - sign * numbers[4]
    return date * _DAY + (minutes * 60 + numbers[2]) * 1_000_000 + micro
