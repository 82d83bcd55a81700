"""The documents in a text file, as normalized text in chunks: plain text is one, JSON lines are one each.

A byte order mark says UTF-16; everything else is read as UTF-8, and what is not UTF-8 separates words. SVG, HTML and
other markup are read as the text they are; nothing here parses them.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from provenance.fingerprints.text import BATCH
from provenance.fingerprints.words import DOCUMENT_END, normalize, normalize_text

LONGEST_LINE = 1 << 20
HEAD = 65_536
DEEPEST = 256

_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_OPENING, _CLOSING = np.frombuffer(b"[{", dtype=np.uint8), np.frombuffer(b"]}", dtype=np.uint8)
_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def read_documents(open_binary: Callable[[], BinaryIO]) -> Iterator[bytes]:
    """Yield a text file as normalized text, documents ended by a line feed; memory stays at a few batches."""
    with open_binary() as stream:
        head = stream.read(HEAD)
        pieces = _with_head(head, stream)
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                yield from _decoded(pieces, encoding)
                return
        if is_json_lines(head):
            yield from _json_lines(pieces)
        else:
            yield from _plain(pieces)


def chunks_of(text: str) -> Iterator[bytes]:
    """Yield one document held as a `str` as normalized text."""
    at = 0
    while at < len(text):
        end = at + BATCH
        if end < len(text):
            end = max(text.rfind(" ", at, end), text.rfind("\n", at, end)) + 1 or end
        yield normalize_text(text[at:end])
        at = end


def is_json_lines(head: bytes) -> bool:
    """Say whether the first bytes of a file are JSON objects or arrays, one per line; a line cut off is not judged."""
    lines = head.removeprefix(codecs.BOM_UTF8).split(b"\n")
    whole = lines if len(head) < HEAD else lines[:-1]
    whole = [line for line in whole if line.strip()]
    if not whole:
        return False
    return all(line.lstrip()[:1] in {b"{", b"["} and _decoded_line(line) is not None for line in whole)


def _with_head(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    yield head
    while piece := stream.read(BATCH):
        yield piece


def _plain(pieces: Iterator[bytes]) -> Iterator[bytes]:
    carry = b""
    for piece in pieces:
        data = carry + piece
        end = max(data.rfind(blank) for blank in (b" ", b"\n"))
        if end < 0 and len(data) > LONGEST_LINE:
            end = _character_start(data)
        if end <= 0:
            carry = data
            continue
        yield normalize(data[:end])
        carry = data[end:]
    yield normalize(carry)


def _character_start(data: bytes) -> int:
    """Return where the last, possibly incomplete UTF-8 character begins."""
    end = len(data) - 1
    while end > len(data) - 4 and data[end] & 0xC0 == 0x80:
        end -= 1
    return end


def _decoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for piece in pieces:
        yield from chunks_of(decoder.decode(piece))


def _json_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the strings of each line as one document; a line that is no JSON, or longer than 1 MiB, is read as text."""
    carry = b""
    for piece in pieces:
        lines = (carry + piece).split(b"\n")
        carry = lines.pop()
        if lines:
            yield b"".join(_line(line) for line in lines)
        if len(carry) > LONGEST_LINE:
            end = carry.rfind(b" ")
            if end > 0:
                yield normalize(carry[:end])
                carry = carry[end:]
    yield _line(carry)


def _line(line: bytes) -> bytes:
    decoded = _decoded_line(line)
    if decoded is None:
        return normalize(line) + DOCUMENT_END
    return normalize_text(" ".join(_strings(decoded[0]))) + DOCUMENT_END


def _strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from _strings(item)
        case list():
            for item in value:
                yield from _strings(item)
        case _:
            return


def _decoded_line(line: bytes) -> tuple[object] | None:
    """Return what a line says in JSON, which may be null; None if it is none, or nested too deep to be read."""
    if _depth(line) > DEEPEST:
        return None
    try:
        return (json.loads(line),)
    except ValueError:
        return None


def _depth(line: bytes) -> int:
    """Return how deep brackets are nested; the decoder's own guard depends on a limit that any library may raise."""
    opening = line.count(b"[") + line.count(b"{")
    if opening <= DEEPEST:
        return opening
    flat = np.frombuffer(_QUOTED.sub(b"", line), dtype=np.uint8)
    steps = np.isin(flat, _OPENING).astype(np.int32) - np.isin(flat, _CLOSING)
    return int(steps.cumsum().max(initial=0))
