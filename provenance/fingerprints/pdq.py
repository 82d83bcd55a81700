"""PDQ: a 256-bit hash of what a picture shows (Meta, 2019, https://github.com/facebook/ThreatExchange/tree/main/pdq).

PDQ smooths the gray pixels, samples 64 x 64 of them, takes the 16 x 16 lowest frequencies of their DCT (without the
constant ones) and says of each whether it is above the median. All of it is linear up to the median:

    samples = S(rows) · pixels · S(columns)ᵀ,   coefficients = D · samples · Dᵀ    (S(n) is 64 x n, D is 16 x 64)

1. S is the triangle that PDQ's two passes of a box filter make, integrated over each pixel exactly: the same
   hash from a thumbnail as from the original (at most 10 bits apart; the reference steps by whole pixels).
2. The eight rotations and reflections are the same coefficients, transposed and with alternating signs.
3. Quality is the sum of the steps between neighbors of the 64 x 64, as in the reference: plain areas have little.

Bit 16 r + c of the hash is the one of row frequency r, column frequency c, least significant bit of byte 0 first.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from provenance.fingerprints.pixels import Gray

GRID = 64
FREQUENCIES = 16
BITS = FREQUENCIES * FREQUENCIES

_ROWS = np.arange(FREQUENCIES)[:, None] + 1
_DCT: Gray = np.sqrt(2 / GRID) * np.cos(np.pi / (2 * GRID) * _ROWS * (2 * np.arange(GRID)[None, :] + 1))
_SIGNS: Gray = np.where(_ROWS[:, 0] % 2 == 1, -1.0, 1.0)


def sampled(gray: Gray) -> Gray:
    """Return the 64 x 64 samples of pixels of any shape."""
    rows, columns = gray.shape
    return _smoothing(rows) @ gray @ _smoothing(columns).T


def coefficients(grid: Gray) -> Gray:
    """Return the 16 x 16 coefficients of the samples."""
    return _DCT @ grid @ _DCT.T


def quality(grid: Gray) -> int:
    """Return PDQ's quality of the samples, 0 to 100."""
    steps = sum(int(np.abs(np.trunc(np.diff(grid, axis=axis) * (100 / 255))).sum()) for axis in (0, 1))
    return min(100, steps // 90)


def pdq_hash(coefficient: Gray) -> bytes:
    """Return 32 bytes: the bits of coefficients above their lower median."""
    flat = coefficient.ravel()
    return np.packbits(flat > np.partition(flat, BITS // 2 - 1)[BITS // 2 - 1], bitorder="little").tobytes()


def dihedral_forms(coefficient: Gray) -> tuple[Gray, ...]:
    """Return the coefficients of the eight rotations and reflections; the first is the picture as it is.

    Form n is the picture flipped left-right if n is odd, top-bottom if n & 2, and transposed if n & 4, in this order.
    """
    forms = []
    for n in range(8):
        form = coefficient
        if n & 1:
            form = form * _SIGNS[None, :]
        if n & 2:
            form = form * _SIGNS[:, None]
        forms.append(form.T if n & 4 else form)
    return tuple(forms)


def dihedral_views(gray: npt.NDArray[np.float64]) -> tuple[Gray, ...]:
    """Return the pixels of the same eight forms."""
    views = []
    for n in range(8):
        view = gray[:: -1 if n & 2 else 1, :: -1 if n & 1 else 1]
        views.append(view.T if n & 4 else view)
    return tuple(views)


@lru_cache(maxsize=1024)
def _smoothing(size: int) -> Gray:
    """Return weights (64 x size): a triangle one grid step wide around each of the 64 centers."""
    step = size / GRID
    centers = (np.arange(GRID)[:, None] + 0.5) * step
    along = np.clip((np.arange(size + 1)[None, :] - centers) / (step / 2), -1, 1)
    covered = np.where(along < 0, (1 + along) ** 2 / 2, 1 - (1 - along) ** 2 / 2)
    return np.diff(covered, axis=1)
