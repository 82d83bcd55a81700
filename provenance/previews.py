"""Small looks into files: a thumbnail, first rows, first lines.

Every function reads hostile bytes. What a few hundred bytes can make ask for gigabytes runs limited
(`fingerprints.sandbox`) and therefore answers in JSON. A preview holds nothing but what is visible: pictures are
decoded and encoded anew, so that places, names and serial numbers in EXIF stay behind; cells and lines are cut.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
from PIL import Image, ImageOps

from provenance.core.refusal import Refusal
from provenance.fingerprints.pixels import FORMATS

CELL_CHARACTERS = 200
LINE_CHARACTERS = 500
COLUMNS = 50
_HEAD_BYTES = 262_144


class PreviewRefusal(Refusal):
    """A file is not what its first bytes promised, or too large to be looked into."""


def image_size(path: Path | str, *, pixels: int) -> tuple[int, int]:
    """Return width and height from the header alone. Raises PreviewRefusal above `pixels`, or for a broken header."""
    with warnings.catch_warnings():
        # The header is judged below, with both figures; Pillow's own warning names only one of them.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
        except Image.DecompressionBombError as error:
            raise PreviewRefusal("image.too_large", f"The picture is far too large: {error}.", limit=pixels) from error
        except (OSError, SyntaxError, ValueError) as error:
            raise PreviewRefusal(
                "image.broken", "The picture cannot be read.", actual=type(error).__name__,
                todo="Open it in a picture editor and save it again, or leave it out.",
            ) from error  # fmt: skip
    if width * height > pixels:
        raise PreviewRefusal(
            "image.too_large", f"The picture has too many pixels ({width} × {height}).", limit=pixels,
            actual=width * height, todo="Save it smaller, or cut it into tiles.",
        )  # fmt: skip
    return width, height


def thumbnail(stream: BinaryIO, edge: int) -> tuple[bytes, int, int]:
    """Return a WebP of at most `edge` pixels on its longer side, with the picture's own width and height.

    Raises PreviewRefusal. Whoever calls has checked `image_size`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(stream, formats=FORMATS) as image:
                width, height = image.size
                return _small(image, edge), width, height
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError) as error:
        raise PreviewRefusal("image.broken", "The picture cannot be shown.", actual=type(error).__name__) from error


def first_rows(stream: BinaryIO, media_type: str, rows: int) -> dict[str, Any]:
    """Return {"columns": [{"name", "type"}], "rows": [[text or null]]} of a delimited text's first `rows` rows.

    Raises PreviewRefusal.
    """
    head = stream.read(_HEAD_BYTES)
    if len(head) == _HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1] or head
    separator = "\t" if media_type == "text/tab-separated-values" else _separator(head)
    try:
        frame = pl.read_csv(
            head, n_rows=rows, separator=separator, encoding="utf8-lossy", ignore_errors=True,
            truncate_ragged_lines=True, try_parse_dates=True,
        )  # fmt: skip
    except pl.exceptions.PolarsError as error:
        raise PreviewRefusal("table.unreadable", "The table cannot be shown.", actual=type(error).__name__) from error
    return _shown_frame(frame)


def first_columnar_rows(stream: BinaryIO, media_type: str, rows: int) -> bytes:
    """Return what `first_rows` does, as JSON, for Parquet and Arrow. Run it limited."""
    # Polars reads the first rows of a path, and all of a stream.
    path = f"/proc/self/fd/{stream.fileno()}"
    scanned = pl.scan_parquet(path) if media_type == "application/vnd.apache.parquet" else pl.scan_ipc(path)
    return json.dumps(_shown_frame(scanned.head(rows).collect())).encode()


def first_lines(stream: BinaryIO, media_type: str, lines: int) -> dict[str, Any]:
    """Return {"lines": [text]} of a text's first `lines` lines, read from its first 256 KiB."""
    text = stream.read(_HEAD_BYTES).decode("utf-8-sig", "replace")
    show = _record if media_type == "application/jsonl" else _line
    return {"lines": [show(line) for line in text.splitlines()[:lines]]}


def _small(image: Image.Image, edge: int) -> bytes:
    image.draft("RGB", (edge, edge))
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((edge, edge))
    see_through = "A" in upright.getbands() or "transparency" in upright.info
    out = io.BytesIO()
    upright.convert("RGBA" if see_through else "RGB").save(
        out, "WEBP", quality=80, method=4, exif=b"", icc_profile=b"", xmp=b""
    )
    return out.getvalue()


def _shown_frame(frame: pl.DataFrame) -> dict[str, Any]:
    frame = frame[:, :COLUMNS]
    columns = [
        {"name": name[:CELL_CHARACTERS], "type": str(kind)}
        for name, kind in zip(frame.columns, frame.dtypes, strict=True)
    ]
    return {"columns": columns, "rows": [[_cell(value) for value in row] for row in frame.rows()]}


def _separator(head: bytes) -> str:
    first = head.split(b"\n", 1)[0]
    return max((",", ";", "\t", "|"), key=lambda candidate: first.count(candidate.encode()))


def _record(line: str) -> str:
    try:
        value = json.loads(line)
        written = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return _line(line)
    text = value.get("text") if isinstance(value, dict) else None
    return _line(text if isinstance(text, str) else written)


def _line(text: str) -> str:
    return _cut(text, LINE_CHARACTERS)


def _cell(value: object) -> str | None:
    return None if value is None else _cut(str(value), CELL_CHARACTERS)


def _cut(text: str, limit: int) -> str:
    printable = "".join(character if character.isprintable() or character == "\t" else "·" for character in text)
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"
