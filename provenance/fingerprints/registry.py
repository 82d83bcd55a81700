"""The registry of fingerprints: one algorithm for each kind of file, and the one function that runs it.

    kind = sniff_kind(first 64 KiB of the file)
    payload = pack(sketch_file(kind, open_binary, size))     # what a row in a database holds
    records = unpack(payload)                                # equal to what sketch_file gave, in any process

| kind | algorithm | a file gives | unit of a share |
|---|---|---|---|
| text | cadastre.text/1 | a TextSegment for about every 376 words, then one TextDocument | word |
| image | cadastre.image/2 | one ImageRecord | image |
| table | cadastre.table/2 | one TableRecord | row |
| file | none | nothing: compared by its SHA-256 alone | file |

Records come one after the other; memory stays flat whatever the size of the file: a few batches for text and tables,
256 MiB at most for an image, 512 MiB in a process of its own for Parquet and Arrow. What cannot be read is refused
(FingerprintRefusal) with the limit and the actual figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO, assert_never

from provenance.fingerprints import image, table, text
from provenance.fingerprints.algorithm import Algorithm, FingerprintRefusal, Kind
from provenance.fingerprints.columnar import sketch_columnar
from provenance.fingerprints.documents import HEAD, chunks_of, read_documents
from provenance.fingerprints.records import RecordFingerprint, TextDocument, TextSegment, pack, to_bytes, unpack
from provenance.fingerprints.sniff import KINDS, kind_of, sniff_kind

__all__ = [
    "ALGORITHMS",
    "EARLIER",
    "HEAD",
    "KINDS",
    "Algorithm",
    "FingerprintRefusal",
    "Kind",
    "RecordFingerprint",
    "kind_of",
    "pack",
    "sketch_file",
    "sketch_str",
    "sniff_kind",
    "to_bytes",
    "unpack",
]

ALGORITHMS: Mapping[Kind, Algorithm] = {
    Kind.TEXT: text.ALGORITHM,
    Kind.IMAGE: image.ALGORITHM,
    Kind.TABLE: table.ALGORITHM,
}

EARLIER: tuple[Algorithm, ...] = (image.FIRST, table.FIRST)
"""Algorithms whose records are still indexed and searched: they hold less than those of their successors do."""

_COLUMNAR = (b"PAR1", b"ARROW1")


def sketch_file(kind: Kind, open_binary: Callable[[], BinaryIO], size: int) -> Iterable[RecordFingerprint]:
    """Return the records of a file of `size` bytes; `open_binary` opens it at its start, each time it is called.

    Raises FingerprintRefusal, for texts and tables possibly only while the records are taken.
    """
    match kind:
        case Kind.TEXT:
            return text.text_records(read_documents(open_binary))
        case Kind.IMAGE:
            with open_binary() as stream:
                return [image.sketch_image(stream)]
        case Kind.TABLE:
            with open_binary() as stream:
                magic = stream.read(6)
            if magic.startswith(_COLUMNAR):
                return [sketch_columnar(open_binary, size)]
            return [table.sketch_delimited(open_binary)]
        case Kind.FILE:
            return []
        case _:
            assert_never(kind)


def sketch_str(document: str) -> list[TextSegment | TextDocument]:
    """Return the records of one document held as a `str`."""
    return list(text.text_records(chunks_of(document)))
