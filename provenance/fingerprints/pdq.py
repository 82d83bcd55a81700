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


def coefficients(grids: Gray) -> Gray:
    """Return the 16 x 16 coefficients of samples, one picture or many."""
    return np.asarray(_DCT @ grids @ _DCT.T)


def qualities(grids: Gray) -> list[int]:
    """Return PDQ's quality of the samples of many pictures, 0 to 100 each."""
    steps: npt.NDArray[np.int64] = np.zeros(len(grids), dtype=np.int64)
    for axis in (1, 2):
        steps += np.abs((np.diff(grids, axis=axis) * (100 / 255)).astype(np.int64)).sum(axis=(1, 2))
    return [min(100, int(each) // 90) for each in steps]


def pdq_hashes(coefficient: Gray) -> npt.NDArray[np.uint8]:
    """Return 32 bytes for each of many coefficients (…, 16, 16): the bits of those above their lower median."""
    flat = coefficient.reshape(*coefficient.shape[:-2], BITS)
    median = np.partition(flat, BITS // 2 - 1, axis=-1)[..., BITS // 2 - 1, None]
    return np.packbits(flat > median, axis=-1, bitorder="little")


def dihedral_forms(coefficient: Gray) -> Gray:
    """Return the coefficients (n, 16, 16) in eight rotations and reflections (n, 8, 16, 16), as they are first.

    Form n is the picture flipped left-right if n is odd, top-bottom if n & 2, and transposed if n & 4, in this order.
    """
    forms = []
    for n in range(8):
        form = coefficient
        if n & 1:
            form = form * _SIGNS[None, :]
        if n & 2:
            form = form * _SIGNS[:, None]
        forms.append(form.transpose(0, 2, 1) if n & 4 else form)
    return np.stack(forms, axis=1)


@lru_cache(maxsize=1024)
def _smoothing(size: int) -> Gray:
    """Return weights (64 x size): a triangle one grid step wide around each of the 64 centers."""
    step = size / GRID
    centers = (np.arange(GRID)[:, None] + 0.5) * step
    along = np.clip((np.arange(size + 1)[None, :] - centers) / (step / 2), -1, 1)
    covered = np.where(along < 0, (1 + along) ** 2 / 2, 1 - (1 - along) ** 2 / 2)
    return np.diff(covered, axis=1)
