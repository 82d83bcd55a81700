"""Text: segments of words with MinHash signatures, and one sketch of the whole for excerpts.

1. Words are found in batches of 128 KiB (`words`) and hashed; five words in a row are a shingle.
2. A document is cut into segments where its own words say so: behind a shingle whose hash ends in 8 zero bits, never
   before 128 words, always at 1,024, and at the document's end. An inserted line moves one or two cuts and no others,
   so two copies are cut alike whatever stands before, between or after.
3. Shingles lie within one segment: none leaks across documents, and a segment's signature depends on its words alone.
4. Each segment gets 128 slots of MinHash (rensa's R-MinHash, version 2), of which the low 16 bits are kept: b-bit
   minwise hashing (Li and König 2010), biased by (1 - J) / 65,536. Fewer than five words make no shingle, hence no
   signature and no exact hash: short texts never match each other by being empty.
5. The whole file gets a bottom-k sketch of all its shingles.

A plain text is one document; of JSON lines, each line is one, made of the strings in it.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import rensa
import xxhash

from provenance.fingerprints.algorithm import Algorithm, Kind
from provenance.fingerprints.bottomk import BottomKBuilder, Size
from provenance.fingerprints.hashing import U64, WINDOW, Positions, hash_ranges, mix
from provenance.fingerprints.records import NO_EXACT, SIGNATURE_BYTES, SLOTS, TextDocument, TextSegment
from provenance.fingerprints.words import DOCUMENT_END, find_words

SHINGLE = 5
BANDS = 14
BAND_SLOTS = 8
SHORTEST = 128
LONGEST = 1024
CUT_MASK = 255
SEED = 0x0CADA57E
MINHASH_VERSION = 2
BATCH = 131_072
SKETCH = Size(floor=16, ceiling=65_536, dense_floor=1024, dense_limit=1 << 60, sparse_limit=1 << 54)
LONGEST_CARRY = 1 << 20

ALGORITHM = Algorithm(
    Kind.TEXT,
    "cadastre.text/1",
    (
        ("bands", BANDS),
        ("band_slots", BAND_SLOTS),
        ("cut_mask", CUT_MASK),
        ("longest", LONGEST),
        ("minhash", f"rensa.RMinHash/{MINHASH_VERSION}, low 16 bits"),
        ("normalization", "NFKC, casefold, letters and digits"),
        ("seed", SEED),
        ("shingle_words", SHINGLE),
        ("shortest", SHORTEST),
        ("sketch", "bottom-k 16/1024 below 2^60/below 2^54/65536"),
        ("slots", SLOTS),
    ),
)

if rensa.RMinHash.ALGORITHM_VERSION != MINHASH_VERSION:  # signatures made by it would look like ours and not be
    raise ImportError(
        f"cadastre.text/1 is defined by rensa's R-MinHash version 2, not {rensa.RMinHash.ALGORITHM_VERSION}."
    )

_ROW = struct.Struct(f"<{SLOTS}I")
_FACTORS = tuple(
    np.uint64(factor | 1)
    for factor in (0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3, 0x1D8E4E27C47D124F)
)


@dataclass(slots=True)
class TextSketcher:
    """Takes normalized text in order and gives the records of one file; memory is bounded by a batch and a segment."""

    _carry: bytes = b""
    _ordinal: int = 0
    _words: int = 0
    _sketch: BottomKBuilder = field(default_factory=lambda: BottomKBuilder(SKETCH))

    def add(self, text: bytes) -> list[TextSegment]:
        """Take the next normalized bytes (space between words, line feed between documents)."""
        data = self._carry + text
        whole = max(data.rfind(b" "), data.rfind(DOCUMENT_END)) + 1
        if len(data) - whole > LONGEST_CARRY:  # a mebibyte without a separator: cut where the batch ends
            whole = len(data)
        segments, used = self._cut(data[:whole], at_end=False)
        self._carry = _squeezed(data[used:])
        return segments

    def finish(self) -> list[TextSegment | TextDocument]:
        """Take the end of the file: the last segments and the record of the whole."""
        segments, _ = self._cut(self._carry, at_end=True)
        self._carry = b""
        document = TextDocument(ALGORITHM.tag, self._ordinal, self._words, self._sketch.finish())
        return [*segments, document]

    def _cut(self, data: bytes, *, at_end: bool) -> tuple[list[TextSegment], int]:
        """Return the segments that end in `data`, and how many of its bytes they use up."""
        starts, lengths = find_words(data)
        if starts.size == 0:
            return [], len(data)
        words = hash_ranges(data + bytes(WINDOW), starts, lengths, SEED)
        shingles = _shingles(words)
        documents = _document_ends(data, starts)
        cuts = _cuts(shingles, documents, words.size, at_end=at_end)
        used = len(data) if cuts and cuts[-1] == words.size else int(starts[cuts[-1]] if cuts else starts[0])
        return self._records(words, shingles, cuts), used

    def _records(self, words: U64, shingles: U64, cuts: list[int]) -> list[TextSegment]:
        if not cuts:
            return []
        kept, counts = _within(shingles, cuts)
        self._sketch.add(kept)
        signatures = _signatures(kept, counts)
        out = []
        begin = 0
        for end, count, signature in zip(cuts, counts.tolist(), signatures, strict=True):
            exact = xxhash.xxh3_128_digest(words[begin:end].data) if count else NO_EXACT
            out.append(TextSegment(ALGORITHM.tag, self._ordinal, end - begin, exact, signature if count else b""))
            self._ordinal += 1
            self._words += end - begin
            begin = end
        return out


def text_records(chunks: Iterable[bytes]) -> Iterator[TextSegment | TextDocument]:
    """Yield the records of normalized text that comes in chunks of any size."""
    sketcher = TextSketcher()
    for chunk in chunks:
        yield from sketcher.add(chunk)
    yield from sketcher.finish()


def band_keys(signatures: U64) -> U64:
    """Return the 14 band keys of signatures of shape (n, 32): 128 slots of 16 bits, read as 64-bit words."""
    low, high = signatures[:, 0 : 2 * BANDS : 2], signatures[:, 1 : 2 * BANDS : 2]
    numbers = np.arange(1, BANDS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return mix(mix(low + numbers) ^ (high * _FACTORS[0]))


def _shingles(words: U64) -> U64:
    """Return the hash of each five words in a row; item i covers words i to i + 4."""
    count = words.size - SHINGLE + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    total = words[:count] * _FACTORS[0]
    for nth in range(1, SHINGLE):
        total += words[nth : nth + count] * _FACTORS[nth]
    return mix(total)


def _document_ends(data: bytes, starts: Positions) -> list[int]:
    """Return the word counts at which documents end, ascending."""
    if DOCUMENT_END not in data:
        return []
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == DOCUMENT_END[0])
    counts = np.unique(np.searchsorted(starts, ends))
    return [count for count in counts.tolist() if count]


def _cuts(shingles: U64, documents: list[int], words: int, *, at_end: bool) -> list[int]:
    """Return the word counts at which segments end; what is behind the last one stays open."""
    marks = (np.flatnonzero((shingles & np.uint64(CUT_MASK)) == 0) + SHINGLE).tolist()
    ends = documents if documents and documents[-1] == words else [*documents, words]
    open_end = 0 if at_end or ends is documents else words
    cuts: list[int] = []
    begin = 0
    for document in ends:
        while begin < document:
            nth = bisect_left(marks, begin + SHORTEST)
            end = min(marks[nth] if nth < len(marks) else words + LONGEST, begin + LONGEST)
            if end > document:
                if document == open_end:
                    return cuts
                end = document
            cuts.append(end)
            begin = end
    return cuts


def _within(shingles: U64, cuts: list[int]) -> tuple[U64, Positions]:
    """Return the shingles that lie within one segment, in order, and how many each segment has."""
    ends = np.array(cuts, dtype=np.int64)
    begins = np.concatenate(([0], ends[:-1]))
    counts = np.maximum(ends - begins - SHINGLE + 1, 0)
    inside = np.ones(int(ends[-1]), dtype=np.bool_)
    for back in range(1, SHINGLE):
        inside[np.maximum(ends - back, 0)] = False
    return shingles[: ends[-1]][inside[: shingles.size]], counts


def _signatures(shingles: U64, counts: Positions) -> list[bytes]:
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.uint64)
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(shingles, offsets, SLOTS, SEED)
    slots = b"".join([_ROW.pack(*row) for row in matrix.to_rows()])
    low = np.frombuffer(slots, dtype="<u2")[::2].tobytes()
    return [low[at : at + SIGNATURE_BYTES] for at in range(0, len(low), SIGNATURE_BYTES)]


def _squeezed(carry: bytes) -> bytes:
    """Drop runs of separators from what is carried on, so that a gigabyte of blanks is not."""
    if len(carry) <= BATCH or DOCUMENT_END in carry:
        return carry
    ended = b" " if carry.endswith(b" ") else b""
    return b" ".join(carry.split()) + ended
