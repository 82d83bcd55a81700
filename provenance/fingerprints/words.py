"""Words of a text, found in its bytes.

1. Text is NFKC-normalized and case-folded, and characters that nobody sees are left out; for ASCII, where that is lower
   case, a table of 256 bytes does it.
2. Letters and digits make words; everything else separates them, outside ASCII as well (typographic quotes, dashes,
   arrows, pictographs), so that retyped punctuation changes nothing.
3. In scripts written without spaces (Han, kana, Thai, Lao, Khmer, Myanmar) every character is a word.
4. A word longer than 64 bytes is cut every 64 bytes.

A normalized text is UTF-8 in which a space separates words and a line feed separates documents.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import numpy.typing as npt

from provenance.fingerprints.hashing import Positions

SPACE = 0x20
DOCUMENT_END = b"\n"
LONGEST_WORD = 64

_FIRST_BEYOND_ASCII = 0x80
_FEW = 32

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

_ASCII_WORDS = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_TABLE = bytes(
    (byte | 0x20 if byte > 0x39 else byte) if byte in _ASCII_WORDS else SPACE for byte in range(128)
) + bytes(range(128, 256))


def normalize(raw: bytes) -> bytes:
    """Return UTF-8 bytes as normalized text; bytes that are not UTF-8 separate words."""
    if raw.isascii():
        return raw.translate(_TABLE)
    starts, ends = _runs(np.frombuffer(raw, dtype=np.uint8) >= _FIRST_BEYOND_ASCII)
    if starts.size * _FEW > len(raw):
        return _finished(_folded(raw))
    # Prose with a few dashes and accents: what is ASCII between them needs no look. A mark may join the letter before
    # it, never the one behind, so each run is folded with one byte before it.
    pieces: list[bytes] = []
    at = 0
    for start, end in zip(np.maximum(starts - 1, 0).tolist(), ends.tolist(), strict=True):
        pieces += (raw[at:start], _folded(raw[start:end]))
        at = end
    return _finished(b"".join((*pieces, raw[at:])))


def normalize_text(text: str) -> bytes:
    """Return a text as normalized text."""
    return normalize(text.encode("utf-8", "replace"))


def _folded(raw: bytes) -> bytes:
    return unicodedata.normalize("NFKC", raw.decode("utf-8", "replace")).casefold().encode()


def _finished(folded: bytes) -> bytes:
    return _without_punctuation(folded.translate(_TABLE))


def _without_punctuation(text: bytes) -> bytes:
    """Blank U+0080-00BF, U+2000-2BFF, U+3000-303F, U+FE00-FE3F, U+FFC0-FFFF and U+1F000-1FFFF; drop the invisible.

    They are told by their first two bytes: C2; E2 80-AF; E3 80; EF B8 and EF BF; F0 9F.
    """
    data = np.frombuffer(text + b"\0\0", dtype=np.uint8).copy()
    leads = np.flatnonzero(data >= 0xC2)
    lead, second, third = data[leads], data[leads + 1], data[leads + 2]
    gone = ((lead == 0xC2) & (second == 0xAD)) | ((lead == 0xEF) & (second == 0xBB) & (third == 0xBF))
    gone |= (lead == 0xE2) & (
        ((second == 0x80) & (((third >= 0x8B) & (third <= 0x8F)) | ((third >= 0xAA) & (third <= 0xAE))))
        | ((second == 0x81) & (third >= 0xA0) & (third <= 0xA4))
    )
    two = lead == 0xC2
    three = ((lead == 0xE2) & (second <= 0xAF)) | ((lead == 0xE3) & (second == 0x80))
    three |= (lead == 0xEF) & ((second == 0xB8) | (second == 0xBF))
    four = (lead == 0xF0) & (second == 0x9F)
    for kind, length in ((two, 2), (three, 3), (four, 4)):
        at = leads[kind & ~gone]
        for distance in range(length):
            data[at + distance] = SPACE
    if gone.any():
        keep = np.ones(data.size, dtype=np.bool_)
        for distance in range(3):
            at = leads[gone & (lead != 0xC2)] if distance == 2 else leads[gone]
            keep[at + distance] = False
        return data[keep].tobytes()[:-2]
    return data.tobytes()[:-2]


def find_words(text: bytes) -> tuple[Positions, Positions]:
    """Return the starts and the lengths of the words of normalized text."""
    data = np.frombuffer(text, dtype=np.uint8)
    if data.size == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    inside = data > SPACE
    alone = None if text.isascii() else _characters_alone(data)
    if alone is None or alone.size == 0:
        starts, ends = _runs(inside)
    else:
        starts, ends = _runs_and_characters(inside, alone)
    lengths = ends - starts
    if lengths.size and int(lengths.max()) > LONGEST_WORD:
        return _cut(starts, lengths)
    return starts, lengths


def _runs(inside: Flags) -> tuple[Positions, Positions]:
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    if inside.size and inside[0]:
        edges = np.concatenate(([0], edges))
    if inside.size and inside[-1]:
        edges = np.append(edges, inside.size)
    return edges[::2], edges[1::2]


def _characters_alone(data: Bytes) -> Positions:
    """Return the first byte of each character of a script written without spaces.

    U+3040-9FFF: E3 81 to E9. Thai, Lao: E0 B8-BB. Myanmar: E1 80-82. Khmer: E1 9E-9F. Han of planes 2 and 3: F0 A0-BF.
    """
    leads = np.flatnonzero(data >= 0xE0)
    lead, second = data[leads], data.take(leads + 1, mode="clip")
    alone = (lead >= 0xE3) & (lead <= 0xE9)
    alone |= (lead == 0xE0) & (second >= 0xB8) & (second <= 0xBB)
    alone |= (lead == 0xE1) & ((second <= 0x82) | (second == 0x9E) | (second == 0x9F))
    alone |= (lead == 0xF0) & (second >= 0xA0) & (second <= 0xBF)
    return leads[alone]


def _runs_and_characters(inside: Flags, lead: Positions) -> tuple[Positions, Positions]:
    data_size = inside.size
    starts_here = np.zeros(data_size + 1, dtype=np.bool_)
    starts_here[0] = inside[0]
    starts_here[1:data_size] = inside[1:] & ~inside[:-1]
    starts_here[lead] = True
    behind = np.minimum(lead + 3, data_size)
    starts_here[behind] = True
    starts_here[:data_size] &= inside
    starts = np.flatnonzero(starts_here[:data_size])
    run_ends = np.append(np.flatnonzero(inside[:-1] & ~inside[1:]) + 1, data_size)
    next_start = np.append(starts[1:], data_size)
    next_gap = run_ends[np.searchsorted(run_ends, starts, side="right").clip(max=run_ends.size - 1)]
    return starts, np.minimum(next_start, next_gap)


def _cut(starts: Positions, lengths: Positions) -> tuple[Positions, Positions]:
    pieces = -(-lengths // LONGEST_WORD)
    first = np.cumsum(pieces) - pieces
    nth = np.arange(int(pieces.sum())) - np.repeat(first, pieces)
    cut_starts = np.repeat(starts, pieces) + nth * LONGEST_WORD
    cut_lengths = np.minimum(np.repeat(lengths, pieces) - nth * LONGEST_WORD, LONGEST_WORD)
    return cut_starts, cut_lengths
