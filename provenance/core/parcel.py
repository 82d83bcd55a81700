"""The parcel mark: a digest drawn as a plan of plots.

1. One square is cut eight times; each cut halves the largest plot, tilted and shifted by two bytes of the digest.
2. Two bytes give the hue of the plan, one byte each the tone of a plot.
3. Plots are drawn in reading order, in whole thousandths, so that `static/js/parcel.js` prints the same text.

Only `+ - * /` and comparisons on IEEE doubles are used, in the same order as in the browser: no trigonometry, whose
last bit differs between languages. A memory aid, never a proof.
"""

import math

Point = tuple[float, float]
Plot = list[Point]

CUTS = 8
TONES = ((26, 88), (30, 76), (36, 63), (40, 48))
ACCENT_ABOVE = 235


def draw_parcel(digest: bytes, *, size: int = 96, label: str = "parcel mark") -> str:
    """Return the SVG of a 32-byte digest, `size` CSS pixels wide; the colors of paper and line are CSS variables.

    Raises ValueError when the digest is not 32 bytes long.
    """
    if len(digest) != 32:
        message = f"a parcel mark is drawn from 32 bytes, not from {len(digest)}"
        raise ValueError(message)
    plots: list[Plot] = [[(4.0, 4.0), (96.0, 4.0), (96.0, 96.0), (4.0, 96.0)]]
    for cut in range(CUTS):
        plots.sort(key=_area, reverse=True)
        plots.extend(_cut(plots.pop(0), digest[cut], digest[cut + CUTS]))
    plots.sort(key=lambda plot: plot[0])
    hue = (digest[16] * 256 + digest[17]) % 360
    shapes = "".join(_polygon(plot, hue, digest[18 + index]) for index, plot in enumerate(plots))
    return (
        f'<svg class="parcel" width="{size}" height="{size}" viewBox="0 0 1000 1000" role="img" aria-label="{label}">'
        '<rect x="10" y="10" width="980" height="980" fill="var(--panel)" stroke="var(--line)" stroke-width="10"/>'
        f"{shapes}</svg>"
    )


def _area(plot: Plot) -> float:
    total = 0.0
    for (x, y), (u, v) in zip(plot, plot[1:] + plot[:1], strict=True):
        total += x * v - u * y
    return abs(total) / 2


def _cut(plot: Plot, tilt: int, shift: int) -> tuple[Plot, Plot]:
    xs, ys = [x for x, _ in plot], [y for _, y in plot]
    center_x, center_y = _sum(xs) / len(plot), _sum(ys) / len(plot)
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    slope = (tilt / 255 - 0.5) * 0.96
    along: Point = (-slope, 1.0) if width > height else (1.0, slope)
    offset = (shift / 255 - 0.5) * 0.34 * min(width, height)
    from_x, from_y = center_x - along[1] * offset, center_y + along[0] * offset
    left: Plot = []
    right: Plot = []
    sides = [(y - from_y) * along[0] - (x - from_x) * along[1] for x, y in plot]
    for index, here in enumerate(plot):
        after = (index + 1) % len(plot)
        (left if sides[index] >= 0 else right).append(here)
        if sides[index] * sides[after] < 0:
            part = sides[index] / (sides[index] - sides[after])
            there = plot[after]
            crossing = (here[0] + part * (there[0] - here[0]), here[1] + part * (there[1] - here[1]))
            left.append(crossing)
            right.append(crossing)
    return left, right


def _sum(values: list[float]) -> float:
    # Not `sum`: since Python 3.12 it compensates rounding, and the browser does not.
    total = 0.0
    for value in values:
        total += value
    return total


def _polygon(plot: Plot, hue: int, byte: int) -> str:
    saturation, lightness = TONES[byte % 4]
    shade = (hue + 150) % 360 if byte > ACCENT_ABOVE else hue
    points = " ".join(f"{math.floor(x * 10 + 0.5)},{math.floor(y * 10 + 0.5)}" for x, y in plot)
    return (
        f'<polygon points="{points}" fill="hsl({shade} {saturation}% {lightness}%)"'
        ' stroke="var(--panel)" stroke-width="22" stroke-linejoin="round"/>'
    )
