"""What the tests fingerprint: made here, the same on every machine."""

import hashlib
import io
import random

import numpy as np
from PIL import Image

from provenance.fingerprints.matches import IndexedFile
from provenance.fingerprints.registry import HEAD, Kind, pack, sketch_file, sniff_kind

WORDS = ("river", "lantern", "copper", "winter", "harbor", "thistle", "engine", "violet", "marble", "meadow", "anchor")


def prose(words: int, seed: int) -> str:
    """Sentences of words that no other seed repeats."""
    chance = random.Random(seed)
    text = [f"{chance.choice(WORDS)}{chance.randrange(1000)}" for _ in range(words)]
    return ". ".join(" ".join(text[at : at + 12]) for at in range(0, words, 12)) + "."


def picture(seed: int, width: int = 640, height: int = 480) -> Image.Image:
    """A picture with structure at every scale, different for each seed."""
    chance = np.random.default_rng(seed)
    layers = np.zeros((height, width, 3))
    for cells in (3, 6, 12, 24, 48):
        coarse = Image.fromarray(chance.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        layers += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64) / cells**0.5
    layers -= layers.min()
    return Image.fromarray((layers * (255 / layers.max())).astype(np.uint8))


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def opener(data: bytes):
    return lambda: io.BytesIO(data)


def records_of(data: bytes, kind: Kind | None = None):
    return list(sketch_file(kind or sniff_kind(data[:HEAD]), opener(data), len(data)))


def record_of(data: bytes, kind: Kind | None = None):
    (record,) = records_of(data, kind)
    return record


def indexed(number: int, data: bytes, kind: Kind | None = None) -> IndexedFile:
    kind = kind or sniff_kind(data[:HEAD])
    payload = pack(sketch_file(kind, opener(data), len(data)))
    return IndexedFile(number, kind, len(data), hashlib.sha256(data).digest(), (payload,))
