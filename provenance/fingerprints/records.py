"""What a fingerprint is: one record per image, per segment of a text, per table; and its bytes for ever.

A file's payload is its records one after the other. Each record opens with 12 bytes (little-endian):

    "CF" | format 1 | record type | tag of the algorithm (4) | length of the body (4)

| type | record | body |
|---|---|---|
| 1 | TextSegment | ordinal u32, words u32, exact (16), signature (256 or none) |
| 2 | TextDocument | segments u32, words u64, sketch |
| 3 | ImageRecord | width u32, height u32, exact (16), full view, u8 trimmed?, trimmed view, u8 crops, crops, more |
| 4 | TableRecord | rows u64, width u32, exact (16), row sketch, u8 count, unnumbered row sketches, columns, less |

Columns are u32 count and, each, u32 position, u8 telling, sketch. A sketch is limit u64, distinct u64, count u32 and
hashes u64 each. A view is u8 quality, 8 x PDQ (32), 8 x dHash (8); a crop is u8 quality, PDQ (32), dHash (8). `exact`
is the XXH3 (128 bits) of the normalized record, for a table two sums over its rows; all zero is none. `more` is u8
count and turned views, u8 count and quarters; `less` is the sketch of row sums, u32 count and, each, u32 position and
sketch of row sums without that column. Records of the first algorithms end before them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

from provenance.fingerprints.algorithm import TAG_BYTES, FingerprintRefusal
from provenance.fingerprints.bottomk import BottomK

FORMAT = 1
EXACT_BYTES = 16
NO_EXACT = bytes(EXACT_BYTES)
SLOTS = 128
SIGNATURE_BYTES = 2 * SLOTS
FORMS = 8
PDQ_BYTES = 32
DHASH_BYTES = 8

_HEAD = struct.Struct(f"<2sBB{TAG_BYTES}sI")
_SEGMENT = struct.Struct(f"<II{EXACT_BYTES}s")
_DOCUMENT = struct.Struct("<IQ")
_IMAGE = struct.Struct(f"<II{EXACT_BYTES}s")
_TABLE = struct.Struct(f"<QI{EXACT_BYTES}s")
_COLUMN = struct.Struct("<IB")
_COUNT = struct.Struct("<I")
_VIEW_BYTES = 1 + FORMS * (PDQ_BYTES + DHASH_BYTES)
_CROP_BYTES = 1 + PDQ_BYTES + DHASH_BYTES


@dataclass(frozen=True, slots=True)
class TextSegment:
    """A run of about 376 words: `signature` is 128 slots of 16 bits, empty where there are fewer than five words."""

    TYPE: ClassVar[int] = 1

    tag: bytes
    ordinal: int
    words: int
    exact: bytes
    signature: bytes

    @property
    def units(self) -> int:
        """Words."""
        return self.words

    def body(self) -> bytes:
        return _SEGMENT.pack(self.ordinal, self.words, self.exact) + self.signature

    @classmethod
    def parse(cls, tag: bytes, body: bytes) -> Self:
        ordinal, words, exact = _SEGMENT.unpack_from(body)
        signature = body[_SEGMENT.size :]
        if len(signature) not in {0, SIGNATURE_BYTES}:
            raise _broken("signature", SIGNATURE_BYTES, len(signature))
        return cls(tag, ordinal, words, exact, signature)


@dataclass(frozen=True, slots=True)
class TextDocument:
    """A whole text file: the bottom-k sketch of the shingles of all its segments, for excerpts."""

    TYPE: ClassVar[int] = 2

    tag: bytes
    segments: int
    words: int
    sketch: BottomK

    @property
    def ordinal(self) -> int:
        """Behind the last segment."""
        return self.segments

    @property
    def units(self) -> int:
        """None of its own: its words are counted by its segments."""
        return 0

    def body(self) -> bytes:
        return _DOCUMENT.pack(self.segments, self.words) + self.sketch.to_bytes()

    @classmethod
    def parse(cls, tag: bytes, body: bytes) -> Self:
        segments, words = _DOCUMENT.unpack_from(body)
        sketch, end = BottomK.from_bytes(body, _DOCUMENT.size)
        _expect_end(body, end)
        return cls(tag, segments, words, sketch)


@dataclass(frozen=True, slots=True)
class View:
    """An image as the 8 rotations and reflections of it: PDQ (8 x 32 bytes), dHash (8 x 8 bytes), PDQ quality 0-100."""

    quality: int
    pdq: bytes
    dhash: bytes

    def to_bytes(self) -> bytes:
        return bytes([self.quality]) + self.pdq + self.dhash

    @classmethod
    def parse(cls, data: bytes, forms: int) -> Self:
        if len(data) != 1 + forms * (PDQ_BYTES + DHASH_BYTES):
            raise _broken("view", 1 + forms * (PDQ_BYTES + DHASH_BYTES), len(data))
        cut = 1 + forms * PDQ_BYTES
        return cls(data[0], data[1:cut], data[cut:])


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image: its whole view, the view without its plain border if it has one, and crops in one form each.

    `turned` are views of it turned back by some degrees, `quarters` of its quarters; without them it is a first record.
    """

    TYPE: ClassVar[int] = 3

    tag: bytes
    width: int
    height: int
    exact: bytes
    full: View
    trimmed: View | None
    crops: tuple[View, ...]
    turned: tuple[View, ...] = ()
    quarters: tuple[View, ...] = ()

    @property
    def ordinal(self) -> int:
        """Zero: a file holds one image."""
        return 0

    @property
    def units(self) -> int:
        """One image."""
        return 1

    def body(self) -> bytes:
        trimmed = b"\0" if self.trimmed is None else b"\1" + self.trimmed.to_bytes()
        crops = b"".join(crop.to_bytes() for crop in self.crops)
        head = _IMAGE.pack(self.width, self.height, self.exact)
        first = head + self.full.to_bytes() + trimmed + bytes([len(self.crops)]) + crops
        return first + _views_bytes(self.turned) + _views_bytes(self.quarters) if self.quarters else first

    @classmethod
    def parse(cls, tag: bytes, body: bytes) -> Self:
        width, height, exact = _IMAGE.unpack_from(body)
        at = _IMAGE.size
        full = View.parse(body[at : at + _VIEW_BYTES], FORMS)
        at += _VIEW_BYTES
        trimmed = None
        if body[at]:
            trimmed = View.parse(body[at + 1 : at + 1 + _VIEW_BYTES], FORMS)
            at += _VIEW_BYTES
        count = body[at + 1]
        at += 2
        end = at + count * _CROP_BYTES
        crops = tuple(View.parse(body[start : start + _CROP_BYTES], 1) for start in range(at, end, _CROP_BYTES))
        turned: tuple[View, ...] = ()
        quarters: tuple[View, ...] = ()
        if end < len(body):
            turned, end = _parse_views(body, end)
            quarters, end = _parse_views(body, end)
        _expect_end(body, end)
        return cls(tag, width, height, exact, full, trimmed, crops, turned, quarters)


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one column; `telling` says whether they tell this column from others (see `table`)."""

    position: int
    telling: bool
    sketch: BottomK


@dataclass(frozen=True, slots=True)
class Less:
    """The row sums of a table without the column at `position`."""

    position: int
    sketch: BottomK


@dataclass(frozen=True, slots=True)
class TableRecord:
    """A table: a sketch of its rows and one of each column; `exact` covers the multiset of all rows.

    `unnumbered` are sketches of the rows without a running number, one for each column that may be one. `sums` is one
    of the sums of the cells of each row, `less` of these sums without any one column, where the others still tell where
    they come from; a first record has neither.
    """

    TYPE: ClassVar[int] = 4

    tag: bytes
    rows: int
    width: int
    exact: bytes
    sketch: BottomK
    unnumbered: tuple[BottomK, ...]
    columns: tuple[Column, ...]
    sums: BottomK | None = None
    less: tuple[Less, ...] = ()

    @property
    def sum_sketches(self) -> tuple[BottomK, ...]:
        """What is comparable with `sums` and with every one of `less` of another table."""
        return () if self.sums is None else (self.sums, *(less.sketch for less in self.less))

    @property
    def ordinal(self) -> int:
        """Zero: a file holds one table."""
        return 0

    @property
    def units(self) -> int:
        """Rows."""
        return self.rows

    def body(self) -> bytes:
        columns = b"".join(_COLUMN.pack(c.position, c.telling) + c.sketch.to_bytes() for c in self.columns)
        head = _TABLE.pack(self.rows, self.width, self.exact) + self.sketch.to_bytes()
        unnumbered = bytes([len(self.unnumbered)]) + b"".join(sketch.to_bytes() for sketch in self.unnumbered)
        less = b"".join(_COUNT.pack(each.position) + each.sketch.to_bytes() for each in self.less)
        first = head + unnumbered + _COUNT.pack(len(self.columns)) + columns
        return first if self.sums is None else first + self.sums.to_bytes() + _COUNT.pack(len(self.less)) + less

    @classmethod
    def parse(cls, tag: bytes, body: bytes) -> Self:
        rows, width, exact = _TABLE.unpack_from(body)
        sketch, at = BottomK.from_bytes(body, _TABLE.size)
        unnumbered = []
        at += 1
        for _ in range(body[at - 1]):
            rest, at = BottomK.from_bytes(body, at)
            unnumbered.append(rest)
        (count,) = _COUNT.unpack_from(body, at)
        at += _COUNT.size
        columns = []
        for _ in range(count):
            position, telling = _COLUMN.unpack_from(body, at)
            values, at = BottomK.from_bytes(body, at + _COLUMN.size)
            columns.append(Column(position, bool(telling), values))
        sums = None
        less = []
        if at < len(body):
            sums, at = BottomK.from_bytes(body, at)
            (count,) = _COUNT.unpack_from(body, at)
            at += _COUNT.size
            for _ in range(count):
                (position,) = _COUNT.unpack_from(body, at)
                rest, at = BottomK.from_bytes(body, at + _COUNT.size)
                less.append(Less(position, rest))
        _expect_end(body, at)
        return cls(tag, rows, width, exact, sketch, tuple(unnumbered), tuple(columns), sums, tuple(less))


RecordFingerprint = TextSegment | TextDocument | ImageRecord | TableRecord

_TYPES: dict[int, type[RecordFingerprint]] = {t.TYPE: t for t in (TextSegment, TextDocument, ImageRecord, TableRecord)}


def to_bytes(record: RecordFingerprint) -> bytes:
    """Return the record with its header; equal records have equal bytes."""
    body = record.body()
    return _HEAD.pack(b"CF", FORMAT, record.TYPE, record.tag, len(body)) + body


def pack(records: Iterable[RecordFingerprint]) -> bytes:
    """Return the payload of a file: its records one after the other."""
    return b"".join(to_bytes(record) for record in records)


def unpack(payload: bytes) -> Iterator[RecordFingerprint]:
    """Yield the records of a payload. Raises FingerprintRefusal where it is broken or of an unknown format."""
    at = 0
    while at < len(payload):
        if len(payload) < at + _HEAD.size:
            raise _broken("header", _HEAD.size, len(payload) - at)
        magic, version, kind, tag, length = _HEAD.unpack_from(payload, at)
        if magic != b"CF" or version != FORMAT:
            raise FingerprintRefusal(
                "fingerprint.format", "This is not a fingerprint of a known format.", limit=FORMAT, actual=version
            )
        start = at + _HEAD.size
        at = start + length
        if len(payload) < at:
            raise _broken("body", length, len(payload) - start)
        yield _parse(kind, tag, payload[start:at])


def _parse(kind: int, tag: bytes, body: bytes) -> RecordFingerprint:
    if kind not in _TYPES:
        raise FingerprintRefusal("fingerprint.type", "A record of an unknown type.", limit=max(_TYPES), actual=kind)
    try:
        return _TYPES[kind].parse(tag, body)
    except (struct.error, IndexError) as error:
        raise FingerprintRefusal("fingerprint.short", "A fingerprint ends early.", actual=len(body)) from error


def _views_bytes(views: tuple[View, ...]) -> bytes:
    return bytes([len(views)]) + b"".join(view.to_bytes() for view in views)


def _parse_views(body: bytes, at: int) -> tuple[tuple[View, ...], int]:
    """Read counted views at a position; return them and the position behind them."""
    start = at + 1
    end = start + body[at] * _VIEW_BYTES
    return tuple(View.parse(body[n : n + _VIEW_BYTES], FORMS) for n in range(start, end, _VIEW_BYTES)), end


def _expect_end(body: bytes, end: int) -> None:
    if len(body) != end:
        raise _broken("body", end, len(body))


def _broken(part: str, limit: int, actual: int) -> FingerprintRefusal:
    return FingerprintRefusal(
        "fingerprint.broken", f"The {part} of a fingerprint has the wrong length.", limit=limit, actual=actual
    )
