"""Small looks into files: a thumbnail, first rows, first lines. Every function reads hostile bytes: run it limited.

A preview holds nothing but what is visible: pictures are decoded and encoded anew, so that places, names and serial
numbers in EXIF stay behind; cells and lines are cut.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

from provenance.core.refusal import Refusal

CELL_CHARACTERS = 200
LINE_CHARACTERS = 500
COLUMNS = 50
_HEAD_BYTES = 262_144


class PreviewRefusal(Refusal):
    """A file is not what its first bytes promised, or too large to be looked into."""


def image_size(path: Path | str, *, pixels: int) -> tuple[int, int]:
    """Return width and height from the header alone. Raises PreviewRefusal above `pixels`, or for a broken header."""
    from PIL import Image

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


def thumbnail(path: str, edge: int) -> tuple[bytes, int, int]:
    """Return a WebP of at most `edge` pixels on its longer side, with the picture's own width and height."""
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as image:
        width, height = image.size
        image.draft("RGB", (edge, edge))
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((edge, edge))
        target = upright.convert("RGBA" if "A" in upright.getbands() or "transparency" in upright.info else "RGB")
    out = io.BytesIO()
    target.save(out, "WEBP", quality=80, method=4, exif=b"", icc_profile=b"", xmp=b"")
    return out.getvalue(), width, height


def first_rows(path: str, media_type: str, rows: int) -> dict[str, Any]:
    """Return {"columns": [{"name", "type"}], "rows": [[text or null]]} of a table's first `rows` rows."""
    import polars as pl

    match media_type:
        case "text/csv" | "text/tab-separated-values":
            frame = _csv_head(path, media_type, rows)
        case "application/vnd.apache.parquet":
            frame = pl.scan_parquet(path).head(rows).collect()
        case _:
            frame = _arrow_head(path, rows)
    frame = frame[:, :COLUMNS]
    return {
        "columns": [
            {"name": name[:CELL_CHARACTERS], "type": str(kind)}
            for name, kind in zip(frame.columns, frame.dtypes, strict=True)
        ],
        "rows": [[_cell(value) for value in row] for row in frame.rows()],
    }


def first_lines(path: str, media_type: str, lines: int) -> dict[str, Any]:
    """Return {"lines": [text]} of a text's first `lines` lines, read from its first 256 KiB."""
    with Path(path).open("rb") as file:
        head = file.read(_HEAD_BYTES)
    text = head.decode("utf-8-sig", "replace")
    if media_type == "application/jsonl":
        return {"lines": [_record(line) for line in text.splitlines()[:lines]]}
    return {"lines": [_cut(line, LINE_CHARACTERS) for line in text.splitlines()[:lines]]}


def _csv_head(path: str, media_type: str, rows: int) -> Any:
    import polars as pl

    with Path(path).open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if len(head) == _HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1] or head
    return pl.read_csv(
        head, n_rows=rows, separator="\t" if media_type != "text/csv" else _separator(head), ignore_errors=True,
        truncate_ragged_lines=True, try_parse_dates=True,
    )  # fmt: skip


def _separator(head: bytes) -> str:
    first = head.split(b"\n", 1)[0]
    return max((",", ";", "\t", "|"), key=lambda candidate: first.count(candidate.encode()))


def _arrow_head(path: str, rows: int) -> Any:
    import polars as pl

    return pl.scan_ipc(path).head(rows).collect()


def _record(line: str) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        return _cut(line, LINE_CHARACTERS)
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return _cut(value["text"], LINE_CHARACTERS)
    return _cut(json.dumps(value, ensure_ascii=False), LINE_CHARACTERS)


def _cell(value: object) -> str | None:
    return None if value is None else _cut(str(value), CELL_CHARACTERS)


def _cut(text: str, limit: int) -> str:
    printable = "".join(character if character.isprintable() or character == "\t" else "·" for character in text)
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"
