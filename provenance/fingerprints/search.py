"""Looking up the records of a file in the shelves, kind by kind.

Every function gathers what the sorted entries or buckets propose, leaves out rows of the searching owner and rows that
are too old, checks the candidates against the sketches themselves, and keeps the closest one per dataset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from provenance.fingerprints import hamming, keys
from provenance.fingerprints.algorithm import Kind
from provenance.fingerprints.batches import Batches
from provenance.fingerprints.bottomk import BottomK
from provenance.fingerprints.hashing import U64, Positions
from provenance.fingerprints.image import DHASH_BITS, NEAR_BITS, Role, sought_views
from provenance.fingerprints.matches import Closeness, IndexedFile, Part, RecordMatch, SearchedFile
from provenance.fingerprints.records import (
    FORMS,
    SIGNATURE_BYTES,
    SLOTS,
    ImageRecord,
    RecordFingerprint,
    TableRecord,
    TextDocument,
    TextSegment,
)
from provenance.fingerprints.shelf import BATCH, Columns, Segment, Shelf
from provenance.fingerprints.shelving import (
    COLUMNS,
    DOCUMENTS,
    FILES,
    IMAGES,
    ROLE,
    ROWS,
    SEGMENTS,
    SMALLEST_FILE,
    require_known,
    words_of,
)
from provenance.fingerprints.text import BANDS, band_keys

BLOCK = 512
NEAR_SLOTS = 38  # of 128 slots that differ: Jaccard similarity 0.70 and more
REVIEW_SLOTS = 64  # 0.50 and more
LEAST_HASHES = 4
LEAST_BPS = 50
COLUMN_BPS = 5_000
LEAST_COLUMN_HASHES = 16
LEAST_COLUMNS = 2
WHOLE = 10_000

Flags = npt.NDArray[np.bool_]

_ALL_ROLES = np.array(list(Role))


@dataclass(frozen=True, slots=True)
class Scope:
    """What is searched: shelves, and the rows in them that may be returned."""

    shelves: Mapping[str, Shelf]
    batches: Batches
    exclude_owner: str
    first_batch: int

    def segments(self, shelf: str) -> Iterator[Segment]:
        """Yield the segments of a shelf that hold a row new enough."""
        for segment in self.shelves[shelf].segments:
            if int(segment.columns[BATCH][-1]) >= self.first_batch:
                yield segment

    def allowed(self, batch: npt.NDArray[np.generic]) -> Flags:
        """Say which rows, given their batches, may be returned."""
        return self.batches.allowed(batch, exclude_owner=self.exclude_owner, first=self.first_batch)

    def names(self, batch: int) -> tuple[str, str]:
        """Return (dataset, owner) of a batch."""
        item = self.batches.items[batch]
        return item.dataset, item.owner


def search_file(scope: Scope, file: IndexedFile) -> SearchedFile:
    """Return what one file has and matches. Raises FingerprintRefusal."""
    units = 0
    matches: list[RecordMatch] = []
    records = _known(file)
    while block := list(islice(records, BLOCK)):
        units += sum(record.units for record in block)
        matches += _block(scope, file, block)
    units = 1 if file.kind is Kind.FILE else units
    matches += _whole_file(scope, file, units)
    return SearchedFile(file, units, tuple(matches))


def _block(scope: Scope, file: IndexedFile, block: list[RecordFingerprint]) -> Iterator[RecordMatch]:
    yield from _segments(scope, file, [record for record in block if isinstance(record, TextSegment)])
    for record in block:
        match record:
            case TextSegment():
                continue
            case TextDocument():
                yield from _sketch(scope, file, Part.DOCUMENT, sketch=record.sketch, units=record.words, exact=None)
            case ImageRecord():
                yield from _image(scope, file, record)
            case TableRecord():
                yield from _sketch(scope, file, Part.ROWS, sketch=record.sketch, units=record.rows, exact=record.exact)
                for rest in (*record.unnumbered, *record.sum_sketches):
                    yield from _sketch(scope, file, Part.ROWS, sketch=rest, units=record.rows, exact=None)
                yield from _columns(scope, file, record)


def _known(file: IndexedFile) -> Iterator[RecordFingerprint]:
    for record in file.records():
        require_known(record, file.kind)
        yield record


def _whole_file(scope: Scope, file: IndexedFile, units: int) -> Iterator[RecordMatch]:
    if file.size < SMALLEST_FILE:
        return
    wanted = words_of(file.sha256, len(file.sha256))
    seen: set[str] = set()
    for segment in scope.segments(FILES):
        _, rows = keys.find(segment.entries, wanted[:, 0])
        digests = segment.columns["digest"][rows]
        rows = rows[(digests == wanted).all(axis=1) & scope.allowed(segment.columns[BATCH][rows])]
        for row in rows.tolist():
            dataset, owner = scope.names(int(segment.columns[BATCH][row]))
            if dataset not in seen:
                seen.add(dataset)
                other = int(segment.columns["units"][row])
                yield _match(
                    file,
                    Part.FILE,
                    names=(dataset, owner),
                    place=_place(segment, row),
                    closeness=Closeness.EXACT,
                    distance=0,
                    units=units,
                    other_units=other,
                )


def _segments(scope: Scope, file: IndexedFile, records: list[TextSegment]) -> Iterator[RecordMatch]:
    records = [record for record in records if record.signature]
    if not records:
        return
    slots = words_of(b"".join(record.signature for record in records), SIGNATURE_BYTES)
    exact = words_of(b"".join(record.exact for record in records), len(records[0].exact))
    wanted = band_keys(slots).ravel()
    best = _Best()
    for segment in scope.segments(SEGMENTS):
        which, rows = keys.find(segment.entries, wanted)
        pairs = np.unique((which // BANDS) << 32 | rows)
        which, rows = pairs >> 32, pairs & 0xFFFFFFFF
        may = scope.allowed(segment.columns[BATCH][rows])
        which, rows = which[may], rows[may]
        distances = _slots_apart(slots[which], segment.columns["slots"][rows].astype(np.uint64, copy=False))
        same = (exact[which] == segment.columns["exact"][rows]).all(axis=1)
        close = same | (distances <= REVIEW_SLOTS)
        ranks = np.where(same, Closeness.EXACT, np.where(distances <= NEAR_SLOTS, Closeness.NEAR, Closeness.REVIEW))
        best.take(scope, segment, which=which[close], rows=rows[close], ranks=ranks[close], distances=distances[close])
    for which_one, found in best.found.items():
        record = records[which_one[0]]
        other = int(found.segment.columns["words"][found.row])
        yield _match(
            file,
            Part.SEGMENT,
            ordinal=record.ordinal,
            names=found.names,
            place=_place(found.segment, found.row),
            closeness=found.closeness,
            distance=found.distance,
            units=record.words,
            other_units=other,
        )


def _slots_apart(mine: U64, theirs: U64) -> Positions:
    """Return how many of 128 slots differ, of pairs of signatures of shape (n, 32)."""
    same = mine.view(np.uint16) == np.ascontiguousarray(theirs).view(np.uint16)
    return np.asarray(SLOTS - same.sum(axis=1, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class _Found:
    closeness: Closeness
    distance: int
    segment: Segment
    row: int
    names: tuple[str, str]


class _Best:
    """The closest row of each dataset, per record that is looked up."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, int], _Found] = {}

    def take(
        self,
        scope: Scope,
        segment: Segment,
        *,
        which: Positions,
        rows: Positions,
        ranks: Positions,
        distances: Positions,
    ) -> None:
        """Take candidates of one segment, ordered in any way."""
        if not rows.size:
            return
        batch = segment.columns[BATCH][rows].astype(np.int64)
        datasets = scope.batches.dataset_codes[batch].astype(np.int64)
        order = np.lexsort((rows, distances, ranks, datasets, which))
        first = np.ones(order.size, dtype=np.bool_)
        first[1:] = (np.diff(which[order]) != 0) | (np.diff(datasets[order]) != 0)
        for n in order[first].tolist():
            key = (int(which[n]), int(datasets[n]))
            closeness, distance = Closeness(int(ranks[n])), int(distances[n])
            known = self.found.get(key)
            if known is None or (closeness, distance) < (known.closeness, known.distance):
                self.found[key] = _Found(closeness, distance, segment, int(rows[n]), scope.names(int(batch[n])))


def _image(scope: Scope, file: IndexedFile, record: ImageRecord) -> Iterator[RecordMatch]:
    exact = words_of(record.exact, len(record.exact))
    best = _Best()
    for segment in scope.segments(IMAGES):
        labels = segment.columns[ROLE].astype(np.uint8, copy=False)
        for view, roles, most in sought_views(record):
            forms = words_of(view.pdq, len(view.pdq) // FORMS)
            among = hamming.Among(labels, np.isin(_ALL_ROLES, tuple(roles)))
            for form, dhash in zip(forms, words_of(view.dhash, 8), strict=True):
                rows, distances = hamming.find(segment.hashes, segment.buckets, form, most, among=among)
                may = scope.allowed(segment.columns[BATCH][rows])
                rows, distances = rows[may], distances[may]
                if not rows.size:
                    continue
                agree = np.bitwise_count(segment.columns["dhash"][rows].astype(np.uint64) ^ dhash) <= DHASH_BITS
                same = (segment.columns["exact"][rows] == exact).all(axis=1)
                close = same | agree
                near = (distances <= NEAR_BITS) & (segment.columns[ROLE][rows] != Role.QUARTER)
                ranks = np.where(same, Closeness.EXACT, np.where(near, Closeness.NEAR, Closeness.REVIEW))
                zeros = np.zeros(int(close.sum()), dtype=np.int64)
                best.take(scope, segment, which=zeros, rows=rows[close], ranks=ranks[close], distances=distances[close])
    for found in best.found.values():
        yield _match(
            file,
            Part.IMAGE,
            names=found.names,
            place=_place(found.segment, found.row),
            closeness=found.closeness,
            distance=found.distance,
            units=1,
            other_units=1,
        )


@dataclass(frozen=True, slots=True)
class _Hits:
    """Which of the wanted hashes are in which rows; one item per pair, columns of the row beside it."""

    which: Positions
    columns: Columns

    @property
    def size(self) -> int:
        return int(self.which.size)

    def of(self, keep: Flags | Positions) -> _Hits:
        return _Hits(self.which[keep], {name: column[keep] for name, column in self.columns.items()})


def _hits(scope: Scope, shelf: str, hashes: U64) -> _Hits | None:
    """Return the rows of a sketch shelf that hold some of the hashes; None if there are none."""
    parts = []
    for segment in scope.segments(shelf):
        which, rows = keys.find(segment.entries, hashes)
        may = scope.allowed(segment.columns[BATCH][rows])
        if may.any():
            columns = {name: column[rows[may]] for name, column in segment.columns.items()}
            parts.append(_Hits(which[may], columns))
    if not parts:
        return None
    names = parts[0].columns
    return _Hits(
        np.concatenate([part.which for part in parts]),
        {name: np.concatenate([part.columns[name] for part in parts]) for name in names},
    )


def _by_dataset(scope: Scope, hits: _Hits) -> Iterator[tuple[tuple[str, str], _Hits]]:
    """Yield the hits of each dataset that has enough of them."""
    codes = scope.batches.dataset_codes[hits.columns[BATCH].astype(np.int64)]
    for code in np.unique(codes).tolist():
        mine = hits.of(codes == code)
        if np.unique(mine.which).size >= LEAST_HASHES:
            yield scope.names(int(mine.columns[BATCH][0])), mine


def _sketch(
    scope: Scope, file: IndexedFile, part: Part, *, sketch: BottomK, units: int, exact: bytes | None
) -> Iterator[RecordMatch]:
    """Yield, per dataset, how much of a document or table lies in any of its files.

    A hash of mine that a file of theirs has is found if it is below both limits. So it is counted against those of mine
    that could have been found: below the limit of that file, or, of many files, below the harmonic mean of theirs.
    """
    hits = _hits(scope, DOCUMENTS if part is Part.DOCUMENT else ROWS, sketch.values)
    if hits is None:
        return
    for names, mine in _by_dataset(scope, hits):
        share, best, theirs = _coverage(mine, sketch)
        same = exact is not None and bool((mine.columns["exact"] == words_of(exact, len(exact))).all(axis=1).any())
        if share < LEAST_BPS and not same:
            continue
        covered = units if same else units * share // WHOLE
        closeness = Closeness.EXACT if same else Closeness.NEAR
        yield _match(
            file,
            part,
            names=names,
            place=best,
            closeness=closeness,
            distance=WHOLE - share,
            units=covered,
            other_units=theirs,
        )


def _coverage(mine: _Hits, sketch: BottomK) -> tuple[int, tuple[int, int], int]:
    """Return (basis points of mine that are covered, the file that covers most, units of theirs that are covered)."""
    limits = np.minimum(mine.columns["limit"].astype(np.float64), float(sketch.limit)) + 1.0
    order = np.lexsort((-limits, mine.which))
    first = np.ones(order.size, dtype=np.bool_)
    first[1:] = np.diff(mine.which[order]) != 0
    found = limits[order[first]]
    limit = min(float(sketch.limit), float(found.size / (1.0 / found).sum()))
    possible = int(np.searchsorted(sketch.values.astype(np.float64), limit, side="right"))
    share = WHOLE * found.size // max(possible, found.size)
    files, starts, counts = np.unique(mine.columns["file"], return_index=True, return_counts=True)
    chosen = mine.of(starts)
    below = chosen.columns["kept"].astype(np.float64)
    below *= np.minimum(1.0, float(sketch.limit) / chosen.columns["limit"].astype(np.float64))
    theirs = chosen.columns["units"].astype(np.float64) * np.minimum(1.0, counts / np.maximum(below, 1.0))
    most = int(np.argmax(counts))
    return share, (int(files[most]), int(chosen.columns["ordinal"][most])), int(theirs.sum())


def _columns(scope: Scope, file: IndexedFile, record: TableRecord) -> Iterator[RecordMatch]:
    """Yield the datasets in which at least two telling columns of a table are found, and half of the values of each."""
    telling = [column for column in record.columns if column.telling]
    matched: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for column in telling:
        hits = _hits(scope, COLUMNS, column.sketch.values)
        if hits is None:
            continue
        for names, mine in _by_dataset(scope, hits):
            if _column_share(mine, column.sketch) >= COLUMN_BPS:
                place = (int(mine.columns["file"][0]), int(mine.columns["ordinal"][0]))
                matched.setdefault(names, []).append(place)
    for names, places in matched.items():
        if len(places) >= LEAST_COLUMNS:
            share = WHOLE * len(places) // len(telling)
            yield _match(
                file,
                Part.COLUMNS,
                names=names,
                place=places[0],
                closeness=Closeness.REVIEW,
                distance=WHOLE - share,
                units=record.rows * share // WHOLE,
                other_units=0,
            )


def _column_share(mine: _Hits, sketch: BottomK) -> int:
    """Return the largest share of my values that one column of theirs has, in basis points."""
    places = np.stack([mine.columns["file"].astype(np.int64), mine.columns["ordinal"].astype(np.int64)], axis=1)
    _, starts, counts = np.unique(places, axis=0, return_index=True, return_counts=True)
    limits = mine.columns["limit"][starts].astype(np.uint64)
    possible = np.searchsorted(sketch.values, np.minimum(limits, np.uint64(sketch.limit)), side="right")
    enough = counts >= LEAST_COLUMN_HASHES
    if not enough.any():
        return 0
    return int((WHOLE * counts[enough] // np.maximum(possible[enough], 1)).max())


def _place(segment: Segment, row: int) -> tuple[int, int]:
    return int(segment.columns["file"][row]), int(segment.columns["ordinal"][row])


def _match(
    file: IndexedFile,
    part: Part,
    *,
    ordinal: int = 0,
    names: tuple[str, str],
    place: tuple[int, int],
    closeness: Closeness,
    distance: int,
    units: int,
    other_units: int,
) -> RecordMatch:
    return RecordMatch(
        file=file.file,
        ordinal=ordinal,
        kind=file.kind,
        part=part,
        dataset=names[0],
        owner=names[1],
        other_file=place[0],
        other_ordinal=place[1],
        closeness=closeness,
        distance=distance,
        units=units,
        other_units=other_units,
    )
