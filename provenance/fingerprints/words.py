"""Words of a text, found in its bytes.

1. Text is NFKC-normalized and case-folded; for ASCII, where that is lower case, a table of 256 bytes does it.
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
    return normalize_text(raw.decode("utf-8", "replace"))


def normalize_text(text: str) -> bytes:
    """Return a text as normalized text."""
    if text.isascii():
        return text.encode().translate(_TABLE)
    folded = unicodedata.normalize("NFKC", text).casefold().encode("utf-8", "replace").translate(_TABLE)
    return _without_punctuation(folded)


def _without_punctuation(text: bytes) -> bytes:
    """Blank U+0080-00BF, U+2000-2BFF, U+3000-303F, U+FE00-FE3F, U+FFC0-FFFF and U+1F000-1FFFF.

    They are told by their first two bytes: C2; E2 80-AF; E3 80; EF B8 and EF BF; F0 9F.
    """
    data = np.frombuffer(text, dtype=np.uint8)
    after = np.append(data[1:], np.uint8(0))
    three = ((data == 0xE2) & (after <= 0xAF)) | ((data == 0xE3) & (after == 0x80))
    three |= (data == 0xEF) & ((after == 0xB8) | (after == 0xBF))
    blank = data == 0xC2
    blank |= three
    four = (data == 0xF0) & (after == 0x9F)
    blank |= four
    out = data.copy()
    for distance, lengths in enumerate((blank, blank, three | four, four)):
        out[distance:][lengths[: data.size - distance]] = SPACE
    return out.tobytes()


def find_words(text: bytes) -> tuple[Positions, Positions]:
    """Return the starts and the lengths of the words of normalized text."""
    data = np.frombuffer(text, dtype=np.uint8)
    inside = data > SPACE
    alone = None if text.isascii() else _characters_alone(data)
    if alone is None or not alone.any():
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


def _characters_alone(data: Bytes) -> Flags:
    """Flag the first byte of each character of a script written without spaces.

    U+3040-9FFF: E3 81 to E9. Thai, Lao: E0 B8-BB. Myanmar: E1 80-82. Khmer: E1 9E-9F. Han of planes 2 and 3: F0 A0-BF.
    """
    after = np.append(data[1:], np.uint8(0))
    alone: Flags = (data >= 0xE3) & (data <= 0xE9)
    alone |= (data == 0xE0) & (after >= 0xB8) & (after <= 0xBB)
    alone |= (data == 0xE1) & ((after <= 0x82) | (after == 0x9E) | (after == 0x9F))
    alone |= (data == 0xF0) & (after >= 0xA0) & (after <= 0xBF)
    return alone


def _runs_and_characters(inside: Flags, alone: Flags) -> tuple[Positions, Positions]:
    data_size = inside.size
    lead = np.flatnonzero(alone)
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
