"""What a file is compared as, told by its first bytes; never by its name, which a copyist chooses.

1. A signature says image or columnar table.
2. Text in lines that are JSON is text; text with the same number of columns in its lines is a table; other text is
   text.
3. Everything else, an empty file too, is compared by its SHA-256 alone.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping

from provenance.fingerprints.algorithm import Kind
from provenance.fingerprints.delimited import sniff_dialect
from provenance.fingerprints.documents import HEAD, is_json_lines

_IMAGES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",
    b"MM\x00*",
)
_COLUMNAR = (b"PAR1", b"ARROW1")
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b")

# Media types that the sniffer stands for, for callers that know a type and no bytes.
KINDS: Mapping[str, Kind] = {
    "image/png": Kind.IMAGE,
    "image/jpeg": Kind.IMAGE,
    "image/gif": Kind.IMAGE,
    "image/webp": Kind.IMAGE,
    "image/tiff": Kind.IMAGE,
    "image/bmp": Kind.IMAGE,
    "image/avif": Kind.IMAGE,
    "text/csv": Kind.TABLE,
    "text/tab-separated-values": Kind.TABLE,
    "application/vnd.apache.parquet": Kind.TABLE,
    "application/vnd.apache.arrow.file": Kind.TABLE,
    "application/jsonl": Kind.TEXT,
    "application/json": Kind.TEXT,
    "application/xml": Kind.TEXT,
    "application/yaml": Kind.TEXT,
    "image/svg+xml": Kind.TEXT,
}


def kind_of(media_type: str) -> Kind:
    """Return what a media type (RFC 6838) is compared as."""
    if media_type in KINDS:
        return KINDS[media_type]
    return Kind.TEXT if media_type.startswith("text/") else Kind.FILE


def sniff_kind(head: bytes) -> Kind:
    """Return what a file is compared as from its first 64 KiB (fewer only if the file is shorter)."""
    if _is_image(head):
        return Kind.IMAGE
    if head.startswith(_COLUMNAR):
        return Kind.TABLE
    if not head or not _is_text(head):
        return Kind.FILE
    if is_json_lines(head):
        return Kind.TEXT
    return Kind.TEXT if sniff_dialect(head) is None else Kind.TABLE


def _is_image(head: bytes) -> bool:
    if head.startswith(_IMAGES):
        return True
    if head[:2] == b"BM":
        return head[6:10] == b"\0\0\0\0"
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    return head[4:8] == b"ftyp" and head[8:12] in {b"avif", b"avis"}


def _is_text(head: bytes) -> bool:
    """UTF-16 by its mark, or UTF-8 or Latin text without control characters."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    return not any(byte in _CONTROL for byte in set(head[:HEAD]))
