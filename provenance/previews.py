"""Small looks into files: a thumbnail, first rows, first lines.

Every function reads hostile bytes: run it limited (`fingerprints.sandbox`), which is why it takes an open file and
answers in JSON. A preview holds nothing but what is visible: pictures are decoded and encoded anew, so that places,
names and serial numbers in EXIF stay behind; cells and lines are cut.
"""

from __future__ import annotations

import base64
import io
import json
import warnings
from pathlib import Path
from typing import BinaryIO

import polars as pl
from PIL import Image, ImageOps

from provenance.core.refusal import Refusal

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
            with Image.open(path) as image:
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


def thumbnail(stream: BinaryIO, edge: int) -> bytes:
    """Return {"webp": base64, "width", "height"}: a WebP of at most `edge` pixels, and the picture's own size."""
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(stream) as image:
        width, height = image.size
        image.draft("RGB", (edge, edge))
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((edge, edge))
        target = upright.convert("RGBA" if "A" in upright.getbands() or "transparency" in upright.info else "RGB")
    out = io.BytesIO()
    target.save(out, "WEBP", quality=80, method=4, exif=b"", icc_profile=b"", xmp=b"")
    webp = base64.b64encode(out.getvalue()).decode()
    return json.dumps({"webp": webp, "width": width, "height": height}).encode()


def first_rows(stream: BinaryIO, media_type: str, rows: int) -> bytes:
    """Return {"columns": [{"name", "type"}], "rows": [[text or null]]} of a table's first `rows` rows."""
    match media_type:
        case "application/vnd.apache.parquet":
            frame = pl.scan_parquet(_path(stream)).head(rows).collect()
        case "application/vnd.apache.arrow.file":
            frame = pl.scan_ipc(_path(stream)).head(rows).collect()
        case _:
            frame = _csv_head(stream, media_type, rows)
    frame = frame[:, :COLUMNS]
    columns = [
        {"name": name[:CELL_CHARACTERS], "type": str(kind)}
        for name, kind in zip(frame.columns, frame.dtypes, strict=True)
    ]
    return json.dumps({"columns": columns, "rows": [[_cell(value) for value in row] for row in frame.rows()]}).encode()


def first_lines(stream: BinaryIO, media_type: str, lines: int) -> bytes:
    """Return {"lines": [text]} of a text's first `lines` lines, read from its first 256 KiB."""
    text = stream.read(_HEAD_BYTES).decode("utf-8-sig", "replace")
    show = _record if media_type == "application/jsonl" else _line
    return json.dumps({"lines": [show(line) for line in text.splitlines()[:lines]]}).encode()


def _path(stream: BinaryIO) -> str:
    # Polars reads the first rows of a path and all of a stream.
    return f"/proc/self/fd/{stream.fileno()}"


def _csv_head(stream: BinaryIO, media_type: str, rows: int) -> pl.DataFrame:
    head = stream.read(_HEAD_BYTES)
    if len(head) == _HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1] or head
    separator = "\t" if media_type == "text/tab-separated-values" else _separator(head)
    return pl.read_csv(
        head, n_rows=rows, separator=separator, ignore_errors=True, truncate_ragged_lines=True, try_parse_dates=True
    )


def _separator(head: bytes) -> str:
    first = head.split(b"\n", 1)[0]
    return max((",", ";", "\t", "|"), key=lambda candidate: first.count(candidate.encode()))


def _record(line: str) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        return _line(line)
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return _line(value["text"])
    return _line(json.dumps(value, ensure_ascii=False))


def _line(text: str) -> str:
    return _cut(text, LINE_CHARACTERS)


def _cell(value: object) -> str | None:
    return None if value is None else _cut(str(value), CELL_CHARACTERS)


def _cut(text: str, limit: int) -> str:
    printable = "".join(character if character.isprintable() or character == "\t" else "·" for character in text)
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"
