"""Images: PDQ of the picture in its eight rotations and reflections, without its border, and of crops of it.

1. The whole picture and, if it has a plain border, the picture without it, each in eight forms: what a copy is
   looked up by. Any of the eight can be the first form of a turned copy, so the smallest of them is no canonical one.
2. Crops of the registered picture, one form each: a copy that was cut is found by the crop it resembles.
3. A dHash (64 bits, brighter than the left neighbor on a 9 x 8 grid) of each view: a second, independent opinion.

PDQ at most 31 bits apart is a match; 32 to 63 goes to review if the dHash agrees. Quality below 50 never matches:
skies and gradients resemble each other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import BinaryIO

import numpy as np
import xxhash

from provenance.fingerprints.algorithm import Algorithm, Kind
from provenance.fingerprints.pdq import GRID, coefficients, dihedral_forms, dihedral_views, pdq_hash, quality, sampled
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

ALGORITHM = Algorithm(
    Kind.IMAGE,
    "cadastre.image/1",
    (
        ("border_steps", int(BORDER_STEPS)),
        ("crops", " ".join(f"{share}@{across},{down}" for share, across, down in CROPS)),
        ("dhash", "9x8 box averages"),
        ("hash", "PDQ 256, exact triangle"),
        ("side", SIDE),
    ),
)


def sketch_image(stream: BinaryIO) -> ImageRecord:
    """Return the record of an image file (its first frame). Raises FingerprintRefusal."""
    picture = read_picture(stream)
    gray = picture.gray
    inner = _without_border(gray)
    shape = np.array(gray.shape, dtype="<u4").tobytes()
    return ImageRecord(
        tag=ALGORITHM.tag,
        width=picture.width,
        height=picture.height,
        exact=xxhash.xxh3_128_digest(shape + gray.astype(np.uint8).tobytes()),
        full=_view(gray),
        trimmed=None if inner is None else _view(inner),
        crops=tuple(_crop_view(crop) for crop in _crops(_halved(gray if inner is None else inner))),
    )


def _view(gray: Gray) -> View:
    grid = sampled(gray)
    return View(
        quality(grid),
        b"".join(pdq_hash(form) for form in dihedral_forms(coefficients(grid))),
        b"".join(_dhash(view) for view in dihedral_views(_dhash_grid(gray))),
    )


def _crop_view(gray: Gray) -> View:
    grid = sampled(gray)
    return View(quality(grid), pdq_hash(coefficients(grid)), _dhash(_dhash_grid(gray)))


def _halved(gray: Gray) -> Gray:
    """Average blocks of 2 x 2 where both sides keep 128 pixels: crops need no more."""
    rows, columns = (side // 2 for side in gray.shape)
    if min(rows, columns) < 2 * GRID:
        return gray
    blocks: Gray = gray[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _crops(gray: Gray) -> list[Gray]:
    rows, columns = gray.shape
    out = []
    for share, across, down in CROPS:
        height, width = max(1, rows * share // 100), max(1, columns * share // 100)
        top, left = (rows - height) * down // 100, (columns - width) * across // 100
        out.append(gray[top : top + height, left : left + width])
    return out


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


def _dhash_grid(gray: Gray) -> Gray:
    """Return 72 x 72 averages, from which 9 x 8 and 8 x 9 grids follow."""
    rows, columns = gray.shape
    return _averaging(rows) @ gray @ _averaging(columns).T


@lru_cache(maxsize=1024)
def _averaging(size: int) -> Gray:
    edges = np.arange(73) * (size / 72)
    low = np.maximum(edges[:-1, None], np.arange(size)[None, :])
    high = np.minimum(edges[1:, None], np.arange(1, size + 1)[None, :])
    return np.asarray(np.maximum(high - low, 0) / (size / 72))


def _dhash(grid: Gray) -> bytes:
    cells = grid.reshape(8, 9, 9, 8).mean(axis=(1, 3))
    return np.packbits(cells[:, 1:] > cells[:, :-1], bitorder="little").tobytes()
