"""Pictures, texts and tables that are large enough to have fingerprints, made from a seed."""

import io
import random

import numpy as np
import polars as pl
from PIL import Image, ImageFilter


def photo(seed, *, size=(400, 300), kind="JPEG"):
    """A picture with the soft structure of a photograph; another seed gives an unrelated one."""
    noise = np.random.default_rng(seed)
    layers = []
    for cells in (3, 6, 12, 24):
        coarse = Image.fromarray(noise.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        layers.append(np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float64))
    mixed = sum(layer * weight for layer, weight in zip(layers, (0.4, 0.3, 0.2, 0.1), strict=True))
    return encoded(Image.fromarray(mixed.clip(0, 255).astype(np.uint8)), kind)


def encoded(image, kind="JPEG", **more):
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def altered(data):
    """What a copyist does: smaller, recompressed, slightly blurred."""
    with Image.open(io.BytesIO(data)) as image:
        small = image.resize((image.width * 2 // 3, image.height * 2 // 3)).filter(ImageFilter.GaussianBlur(0.5))
        return encoded(small, quality=50)


def prose(seed, words=4000):
    """A text of made-up words; another seed gives an unrelated one."""
    source = random.Random(seed)
    stems = ["".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=source.randint(3, 9))) for _ in range(900)]
    return " ".join(source.choice(stems) for _ in range(words)).encode()


def table(seed, rows=400):
    """A table as CSV; another seed gives an unrelated one."""
    source = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "id": [f"{seed}-{number:06d}" for number in range(rows)],
            "height": source.normal(170, 9, rows).round(3),
            "weight": source.normal(70, 12, rows).round(3),
        }
    )
    return frame.write_csv().encode()
