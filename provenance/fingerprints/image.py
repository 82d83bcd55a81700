"""Images: PDQ of the picture in its eight rotations and reflections, without its border, and of parts of it.

1. The whole picture and, if it has a plain border, the picture without it, each in eight forms: what a copy is
   looked up by. Any of the eight can be the first form of a turned copy, so the smallest of them is no canonical one.
2. Windows of the registered picture, one form each: a copy that was cut is found by the window it resembles.
3. The center of the picture, turned back by a few degrees, in eight forms: a copy that was turned a little is
   looked up by what it was before, among the registered centers.
4. The quarters of the picture, in eight forms: a copy with a box, a logo or a caption on it is found by a quarter
   that they left alone, among the registered quarters.
5. A dHash (64 bits, brighter than the left neighbor on a 9 x 8 grid) of each view: a second, independent opinion.

PDQ at most 31 bits apart is a match if the dHash agrees. Whole pictures 32 to 63 bits apart go to review; of centers
and quarters nothing beyond 31 bits counts, so that many more looks do not make more mistakes, and quarters that match
go to review. Quality below 50 never matches: skies and gradients resemble each other.

How far apart windows and angles stand follows from what PDQ bears: on made-up pictures (those of the tests), turning by
1.5 degrees, cutting 3 % around the center, or moving one edge by 2 % changes 26, 28 and 20 to 40 bits; twice that, 51,
56 and 60 to 70 bits. So angles are 3 degrees apart, centers 5 % (within 31 bits: half of that), edges 6 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from math import cos, radians, sin
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import xxhash

from provenance.fingerprints.algorithm import Algorithm, Kind
from provenance.fingerprints.pdq import GRID, coefficients, dihedral_forms, pdq_hashes, qualities, sampled
from provenance.fingerprints.pixels import SIDE, Gray, read_picture
from provenance.fingerprints.records import ImageRecord, View

NEAR_BITS = 31
REVIEW_BITS = 63
DHASH_BITS = 10
LOWEST_QUALITY = 50
BORDER_STEPS = 8.0
# Percent of width and height that a crop keeps, and where it sits: 0 at the start, 50 in the middle, 100 at the end.
CROPS = (
    (95, 50, 50),
    (90, 50, 50),
    (85, 50, 50),
    (80, 50, 50),
    (90, 0, 0),
    (90, 100, 0),
    (90, 0, 100),
    (90, 100, 100),
)
# Percent of width and of height that a window keeps, and where it sits: those crops, a smaller center for copies that
# were turned and cut, and what is left when a strip is cut off one edge.
WINDOWS = (
    *((share, share, across, down) for share, across, down in CROPS),
    (75, 75, 50, 50),
    *((100 - cut, 100, across, 0) for cut in (6, 12) for across in (0, 100)),
    *((100, 100 - cut, 0, down) for cut in (6, 12) for down in (0, 100)),
)
QUARTERS = tuple((50, 50, across, down) for down in (0, 100) for across in (0, 100))
ANGLES = (-6, -3, 3, 6)
TURNED_SIDE = 128
DOWN, ACROSS = 8, 9

_ROUNDING = 1e-6

_FIGURES = (
    ("border_steps", int(BORDER_STEPS)),
    ("crops", " ".join(f"{share}@{across},{down}" for share, across, down in CROPS)),
    ("dhash", "9x8 box averages"),
    ("hash", "PDQ 256, exact triangle"),
    ("side", SIDE),
)
# What was registered by the first one, without windows beyond the crops, turned views and quarters, is still searched.
FIRST = Algorithm(Kind.IMAGE, "cadastre.image/1", _FIGURES)
ALGORITHM = Algorithm(
    Kind.IMAGE,
    "cadastre.image/2",
    (
        *_FIGURES,
        ("quarters", "halves of both sides"),
        ("turned", " ".join(map(str, ANGLES)) + f" degrees, bilinear to {TURNED_SIDE}, the largest center that fits"),
        ("windows", " ".join(f"{w}x{h}@{across},{down}" for w, h, across, down in WINDOWS)),
    ),
)


class Role(IntEnum):
    """What of a picture a registered row shows."""

    WHOLE = 0
    CENTER = 1
    EDGE = 2
    QUARTER = 3


def registered_views(record: ImageRecord) -> Iterator[tuple[Role, View]]:
    """Yield what the index keeps of an image, in one form each: only what is not too plain to match."""
    whole = [(Role.WHOLE, view) for view in (record.full, record.trimmed) if view is not None]
    parts = [(_ROLES[number], crop) for number, crop in enumerate(record.crops)]
    quarters = [(Role.QUARTER, quarter) for quarter in record.quarters]
    yield from ((role, view) for role, view in (*whole, *parts, *quarters) if view.quality >= LOWEST_QUALITY)


def sought_views(record: ImageRecord) -> Iterator[tuple[View, frozenset[Role], int]]:
    """Yield what an image is looked up by, in eight forms: view, roles it is compared with, bits it may be away."""
    whole = [(view, _COPIED, REVIEW_BITS) for view in (record.full, record.trimmed) if view is not None]
    turned = [(view, _TURNED, NEAR_BITS) for view in record.turned]
    quarters = [(view, _QUARTERED, NEAR_BITS) for view in record.quarters]
    yield from (sought for sought in (*whole, *turned, *quarters) if sought[0].quality >= LOWEST_QUALITY)


_ROLES = tuple(Role.CENTER if (across, down) == (50, 50) else Role.EDGE for _, _, across, down in WINDOWS)
_COPIED = frozenset({Role.WHOLE, Role.CENTER, Role.EDGE})
_TURNED = frozenset({Role.CENTER})
_QUARTERED = frozenset({Role.QUARTER})


def sketch_image(stream: BinaryIO) -> ImageRecord:
    """Return the record of an image file (its first frame). Raises FingerprintRefusal."""
    picture = read_picture(stream)
    gray = picture.gray
    inner = _without_border(gray)
    small = _halved(gray if inner is None else inner)
    whole = [gray] if inner is None else [gray, inner]
    turned = [back for angle in ANGLES if (back := _turned_back(small, angle)) is not None]
    quarters = [_window(small, *window) for window in QUARTERS]
    views = _views([*whole, *turned, *quarters])
    shape = np.array(gray.shape, dtype="<u4").tobytes()
    return ImageRecord(
        tag=ALGORITHM.tag,
        width=picture.width,
        height=picture.height,
        exact=xxhash.xxh3_128_digest(shape + gray.astype(np.uint8).tobytes()),
        full=views[0],
        trimmed=None if inner is None else views[1],
        crops=tuple(_first_forms([_window(small, *window) for window in WINDOWS])),
        turned=tuple(views[len(whole) : -len(quarters)]),
        quarters=tuple(views[-len(quarters) :]),
    )


def _views(pictures: list[Gray]) -> list[View]:
    """Return each picture in its eight forms."""
    grids = np.stack([sampled(gray) for gray in pictures])
    hashes = pdq_hashes(dihedral_forms(coefficients(grids)))
    dhashes = np.stack([_dhashes(form) for form in _dhash_forms(pictures)], axis=1)
    return [View(*view) for view in zip(qualities(grids), map(_joined, hashes), map(_joined, dhashes), strict=True)]


def _first_forms(pictures: list[Gray]) -> list[View]:
    """Return each picture as it is."""
    grids = np.stack([sampled(gray) for gray in pictures])
    hashes = pdq_hashes(coefficients(grids)[:, None])
    dhashes = _dhashes(np.stack([_averaged(gray, DOWN, ACROSS) for gray in pictures]))
    return [View(*view) for view in zip(qualities(grids), map(_joined, hashes), map(_joined, dhashes), strict=True)]


def _joined(parts: npt.NDArray[np.uint8]) -> bytes:
    return parts.tobytes()


def _halved(gray: Gray) -> Gray:
    """Average blocks of 2 x 2 where both sides keep 128 pixels: crops need no more."""
    rows, columns = (side // 2 for side in gray.shape)
    if min(rows, columns) < 2 * GRID:
        return gray
    even = gray[: 2 * rows, : 2 * columns]
    return np.asarray((even[::2, ::2] + even[::2, 1::2] + even[1::2, ::2] + even[1::2, 1::2]) / 4)


def _window(gray: Gray, wide: int, high: int, across: int, down: int) -> Gray:
    rows, columns = gray.shape
    height, width = max(1, rows * high // 100), max(1, columns * wide // 100)
    top, left = (rows - height) * down // 100, (columns - width) * across // 100
    return gray[top : top + height, left : left + width]


def _turned_back(gray: Gray, angle: int) -> Gray | None:
    """Return the largest registered center that lies wholly in the picture when it is turned by `angle` degrees.

    None if none does: the picture is too long.
    """
    rows, columns = gray.shape
    cosine, sine = cos(radians(angle)), sin(radians(angle))
    fits = 100 / (cosine + abs(sine) * max(rows / columns, columns / rows))
    share = max((wide for wide, _, across, down in WINDOWS if (across, down) == (50, 50) and wide <= fits), default=0)
    if share == 0:
        return None
    height, width = (max(1, min(TURNED_SIDE, side * share // 100)) for side in (rows, columns))
    down = ((np.arange(height) + 0.5) / height - 0.5) * (rows * share / 100)
    across = ((np.arange(width) + 0.5) / width - 0.5) * (columns * share / 100)
    y = down[:, None] * cosine - across[None, :] * sine + (rows - 1) / 2
    x = down[:, None] * sine + across[None, :] * cosine + (columns - 1) / 2
    return _between(gray, y, x)


def _between(gray: Gray, y: Gray, x: Gray) -> Gray:
    """Return the pixels at places between pixels, bilinear."""
    rows, columns = gray.shape
    top = np.clip(np.floor(y).astype(np.int64), 0, max(0, rows - 2))
    left = np.clip(np.floor(x).astype(np.int64), 0, max(0, columns - 2))
    at = top * columns + left
    below, beside = (columns if rows > 1 else 0), (1 if columns > 1 else 0)
    up, along = np.clip(y - top, 0, 1), np.clip(x - left, 0, 1)
    flat = gray.ravel()
    upper = flat[at] * (1 - along) + flat[at + beside] * along
    lower = flat[at + below] * (1 - along) + flat[at + below + beside] * along
    return np.asarray(upper * (1 - up) + lower * up)


def _without_border(gray: Gray) -> Gray | None:
    """Return the picture without plain rows and columns at its edges; None if it has none, or little else."""
    steps_down = gray.max(axis=1) - gray.min(axis=1) > BORDER_STEPS
    steps_across = gray.max(axis=0) - gray.min(axis=0) > BORDER_STEPS
    rows, columns = np.flatnonzero(steps_down), np.flatnonzero(steps_across)
    if rows.size == 0 or columns.size == 0:
        return None
    inner = gray[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if inner.shape == gray.shape or inner.size * 4 < gray.size:
        return None
    return inner


def _dhash_forms(pictures: list[Gray]) -> list[Gray]:
    """Return the averages of each picture in its eight forms, in the order of `pdq.dihedral_forms`: (n, 8, 9) each."""
    upright = np.stack([_averaged(gray, DOWN, ACROSS) for gray in pictures])
    lying = np.stack([_averaged(gray, ACROSS, DOWN) for gray in pictures])
    forms = []
    for n in range(8):
        cells = lying if n & 4 else upright
        cells = cells[:, :: -1 if n & 2 else 1, :: -1 if n & 1 else 1]
        forms.append(cells.transpose(0, 2, 1) if n & 4 else cells)
    return forms


def _averaged(gray: Gray, down: int, across: int) -> Gray:
    rows, columns = gray.shape
    return _averaging(rows, down) @ gray @ _averaging(columns, across).T


@lru_cache(maxsize=2048)
def _averaging(size: int, cells: int) -> Gray:
    edges = np.arange(cells + 1) * (size / cells)
    low = np.maximum(edges[:-1, None], np.arange(size)[None, :])
    high = np.minimum(edges[1:, None], np.arange(1, size + 1)[None, :])
    return np.asarray(np.maximum(high - low, 0) / (size / cells))


def _dhashes(cells: Gray) -> npt.NDArray[np.uint8]:
    """Return (n, 8) bytes of (n, 8, 9) averages. What is equal but for rounding is not brighter."""
    brighter = cells[:, :, 1:] > cells[:, :, :-1] + _ROUNDING
    return np.packbits(brighter.reshape(len(cells), DOWN * (ACROSS - 1)), axis=1, bitorder="little")
