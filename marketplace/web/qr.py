"""QR codes as drawings inside the page: nothing is asked of anybody else, and no style attribute is needed."""

from __future__ import annotations

import segno
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

QUIET = 4
"""Modules of empty border, as the standard asks (ISO/IEC 18004)."""


def qr_svg(text: str) -> SafeString:
    """Return an SVG of `text`, black on white in light and dark, as scanners need it."""
    matrix = segno.make(text, error="m").matrix
    side = len(matrix) + 2 * QUIET
    dark = "".join(
        f"M{column + QUIET} {row + QUIET}h1v1h-1z"
        for row, line in enumerate(matrix)
        for column, module in enumerate(line)
        if module
    )
    return format_html(
        '<svg class="qr" viewBox="0 0 {0} {0}" role="img" aria-label="QR code of {1}" shape-rendering="crispEdges">'
        '<rect width="{0}" height="{0}" fill="#fff"/><path d="{2}" fill="#000"/></svg>',
        side, text, mark_safe(dark),  # noqa: S308  # digits and letters of our own
    )  # fmt: skip
