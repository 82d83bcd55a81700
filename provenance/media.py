"""What a file is, judged by its first bytes; its name only decides between kinds of text.

1. A signature of a binary format decides.
2. UTF-8 without control characters is text; its name, then its first line, says which.
3. Archives are refused: what is inside could not be compared with what is registered, and nothing here ever unpacks.
4. Anything else is a file of no kind, compared by its SHA-256 alone.
"""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from pathlib import PurePosixPath

from provenance.core.refusal import Refusal
from provenance.paths import shown

HEAD_BYTES = 65_536


class MediaRefusal(Refusal):
    """A file is of a type that is not accepted."""


@dataclass(frozen=True, slots=True)
class Media:
    """A media type (RFC 6838), the kind of data it is (empty: none), and a warning for readers, if any."""

    media_type: str
    kind: str
    label: str = ""


_SIGNATURES: tuple[tuple[bytes, Media], ...] = (
    (b"\x89PNG\r\n\x1a\n", Media("image/png", "image")),
    (b"\xff\xd8\xff", Media("image/jpeg", "image")),
    (b"GIF87a", Media("image/gif", "image")),
    (b"GIF89a", Media("image/gif", "image")),
    (b"II*\x00", Media("image/tiff", "image")),
    (b"MM\x00*", Media("image/tiff", "image")),
    (b"BM", Media("image/bmp", "image")),
    (b"PAR1", Media("application/vnd.apache.parquet", "table")),
    (b"ARROW1", Media("application/vnd.apache.arrow.file", "table")),
    (b"fLaC", Media("audio/flac", "audio")),
    (b"ID3", Media("audio/mpeg", "audio")),
    (b"OggS", Media("audio/ogg", "audio")),
    (b"%PDF-", Media("application/pdf", "")),
    (b"\x93NUMPY", Media("application/x-npy", "")),
    (b"\x7fELF", Media("application/x-executable", "", "a program, not data")),
    (b"\x00asm", Media("application/wasm", "", "a program, not data")),
)
_PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
_ARCHIVES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"(\xb5/\xfd", "zstd"),
    (0, b"7z\xbc\xaf'\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (257, b"ustar", "tar"),
)
_TEXT_SUFFIXES = {
    ".csv": Media("text/csv", "table"),
    ".tsv": Media("text/tab-separated-values", "table"),
    ".jsonl": Media("application/jsonl", "text"),
    ".ndjson": Media("application/jsonl", "text"),
    ".json": Media("application/json", "text"),
    ".md": Media("text/markdown", "text"),
    ".rst": Media("text/x-rst", "text"),
    ".xml": Media("application/xml", "text"),
    ".html": Media("text/html", "text", "may hold scripts; shown as plain text only"),
    ".htm": Media("text/html", "text", "may hold scripts; shown as plain text only"),
    ".svg": Media("image/svg+xml", "text", "may hold scripts; shown as plain text only"),
    ".yaml": Media("application/yaml", "text"),
    ".yml": Media("application/yaml", "text"),
}
_PLAIN = Media("text/plain", "text")
_OTHER = Media("application/octet-stream", "")
_EMPTY = Media("application/x-empty", "")
_PICKLE = Media("application/x-python-pickle", "", "runs code when it is loaded")


def sniff_media(head: bytes, path: str) -> Media:
    """Return what a file is from its first 64 KiB and its name. Raises MediaRefusal for archives."""
    if not head:
        return _EMPTY
    _refuse_archive(head, path)
    if head[:4] == b"RIFF":
        match head[8:12]:
            case b"WEBP":
                return Media("image/webp", "image")
            case b"WAVE":
                return Media("audio/wav", "audio")
            case _:
                return _OTHER
    if head[:2] == b"MZ" and b"PE\0\0" in head[:4096]:
        return Media("application/x-executable", "", "a program, not data")
    for signature, media in _SIGNATURES:
        if head.startswith(signature) and (signature != b"BM" or head[6:10] == b"\0\0\0\0"):
            return media
    if head[:2] in _PICKLES:
        return _PICKLE
    return _text_media(head, path) if is_text(head) else _OTHER


def is_text(head: bytes) -> bool:
    """Say whether the first bytes read as UTF-8 text; a character cut off at their end does not count against it."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head, final=False)
    except UnicodeDecodeError:
        return False
    return not any(ord(character) < 32 and character not in "\t\n\r\f\x1b" for character in set(text))


def _text_media(head: bytes, path: str) -> Media:
    suffix = PurePosixPath(path).suffix.lower()
    first = head.split(b"\n", 1)[0].strip()
    if suffix == ".json" and b"\n" in head and _is_object(first):
        return _TEXT_SUFFIXES[".jsonl"]
    if suffix in _TEXT_SUFFIXES:
        return _TEXT_SUFFIXES[suffix]
    lowered = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if lowered.startswith((b"<!doctype html", b"<html")):
        return _TEXT_SUFFIXES[".html"]
    if b"<svg" in lowered:
        return _TEXT_SUFFIXES[".svg"]
    return _TEXT_SUFFIXES[".jsonl"] if _is_object(first) else _PLAIN


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _refuse_archive(head: bytes, path: str) -> None:
    for offset, signature, name in _ARCHIVES:
        if head.startswith(signature, offset):
            raise MediaRefusal(
                "media.archive",
                f"{shown(path)} is an archive ({name}). Archives are never unpacked here, so their content cannot be "
                "checked for copies.",
                actual=name,
                todo="Unpack it on your machine and add the folder; `cadastre publish` takes the folder as it is.",
            )
