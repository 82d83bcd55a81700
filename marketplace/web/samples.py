"""Looks into tables and texts, ready to be set: numbers to the right, long texts cut."""

from __future__ import annotations

from dataclasses import dataclass

from provenance.content_queries import PublicPreview

ROWS_SHOWN = 10
LINES_SHOWN = 12
TEXT_SHOWN = 1_500
NUMERIC = ("Int", "UInt", "Float", "Decimal")


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name and type as the preview states them."""

    name: str
    type: str

    @property
    def numeric(self) -> bool:
        """Whether its cells are numbers, which stand at the right."""
        return self.type.startswith(NUMERIC)


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of a file: a table's columns and rows (cell, numeric), or a text."""

    path: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[tuple[str | None, bool], ...], ...]
    text: str


def sample_of(preview: PublicPreview) -> Sample:
    """Return the beginning of a file that is no picture."""
    content = preview.content
    columns = tuple(Column(str(each["name"]), str(each.get("type", ""))) for each in content.get("columns", ()))
    rows = tuple(
        tuple((cell, column.numeric) for cell, column in zip(row, columns, strict=False))
        for row in content.get("rows", ())[:ROWS_SHOWN]
    )
    text = "\n".join(content.get("lines", ())[:LINES_SHOWN]) or str(content.get("text", ""))[:TEXT_SHOWN]
    return Sample(preview.path, columns, rows, text)
