"""Real photographs, prose and tables that ship inside installed packages, for measuring; nothing is fetched."""

from __future__ import annotations

import io
import pydoc_data.topics
from importlib.resources import files

import numpy as np
from PIL import Image

# Photographs and scans, no drawings; of the stereo pair one side.
PHOTOGRAPHS = (
    ("skimage.data", "astronaut.png"),
    ("skimage.data", "brick.png"),
    ("skimage.data", "camera.png"),
    ("skimage.data", "chelsea.png"),
    ("skimage.data", "clock_motion.png"),
    ("skimage.data", "coffee.png"),
    ("skimage.data", "coins.png"),
    ("skimage.data", "grass.png"),
    ("skimage.data", "gravel.png"),
    ("skimage.data", "hubble_deep_field.jpg"),
    ("skimage.data", "ihc.png"),
    ("skimage.data", "moon.png"),
    ("skimage.data", "motorcycle_left.png"),
    ("skimage.data", "retina.jpg"),
    ("skimage.data", "rocket.jpg"),
    ("sklearn.datasets.images", "china.jpg"),
    ("sklearn.datasets.images", "flower.jpg"),
)
TABLES = (
    ("sklearn.datasets.data", "breast_cancer.csv"),
    ("sklearn.datasets.data", "iris.csv"),
    ("sklearn.datasets.data", "wine_data.csv"),
    ("statsmodels.datasets.anes96", "anes96.csv"),
    ("statsmodels.datasets.cancer", "cancer.csv"),
    ("statsmodels.datasets.ccard", "ccard.csv"),
    ("statsmodels.datasets.co2", "co2.csv"),
    ("statsmodels.datasets.elnino", "elnino.csv"),
    ("statsmodels.datasets.engel", "engel.csv"),
    ("statsmodels.datasets.fair", "fair.csv"),
    ("statsmodels.datasets.fertility", "fertility.csv"),
    ("statsmodels.datasets.grunfeld", "grunfeld.csv"),
    ("statsmodels.datasets.heart", "heart.csv"),
    ("statsmodels.datasets.macrodata", "macrodata.csv"),
    ("statsmodels.datasets.modechoice", "modechoice.csv"),
    ("statsmodels.datasets.nile", "nile.csv"),
    ("statsmodels.datasets.randhie", "randhie.csv"),
    ("statsmodels.datasets.scotland", "scotvote.csv"),
    ("statsmodels.datasets.star98", "star98.csv"),
    ("statsmodels.datasets.statecrime", "statecrime.csv"),
    ("statsmodels.datasets.strikes", "strikes.csv"),
    ("statsmodels.datasets.sunspots", "sunspots.csv"),
)
DESCRIPTIONS = (
    "breast_cancer.rst",
    "california_housing.rst",
    "covtype.rst",
    "diabetes.rst",
    "iris.rst",
    "kddcup99.rst",
    "lfw.rst",
    "linnerud.rst",
    "olivetti_faces.rst",
    "rcv1.rst",
    "species_distributions.rst",
    "twenty_newsgroups.rst",
    "wine_data.rst",
)


def read(package: str, name: str) -> bytes:
    """Return the bytes of a file of a package."""
    return files(package).joinpath(name).read_bytes()


def photographs() -> dict[str, Image.Image]:
    """Return the photographs by name, as RGB."""
    return {name: Image.open(io.BytesIO(read(package, name))).convert("RGB") for package, name in PHOTOGRAPHS}


def tiles(side: int) -> dict[str, Image.Image]:
    """Return squares of the photographs that do not overlap, by name."""
    out = {}
    for name, image in photographs().items():
        for top in range(0, image.height - side + 1, side):
            for left in range(0, image.width - side + 1, side):
                out[f"{name} {left},{top}"] = image.crop((left, top, left + side, top + side))
    return out


def prose(least_words: int) -> dict[str, str]:
    """Return Python's documentation topics and scikit-learn's descriptions of data, by name."""
    texts = dict(pydoc_data.topics.topics)
    texts |= {name: read("sklearn.datasets.descr", name).decode() for name in DESCRIPTIONS}
    return {name: text for name, text in texts.items() if len(text.split()) >= least_words}


def tables() -> dict[str, bytes]:
    """Return the tables by name, as CSV with a header; scikit-learn's have a line of counts in its place."""
    out = {}
    for package, name in TABLES:
        data = read(package, name)
        if package.startswith("sklearn"):
            body = data.split(b"\n", 1)[1]
            width = body.split(b"\n", 1)[0].count(b",") + 1
            data = ",".join(f"field {n}" for n in range(width)).encode() + b"\n" + body
        out[name] = data
    return out


def large_jpeg(*, width: int = 4000, height: int = 3000) -> bytes:
    """Return a photograph at 12 megapixels with the grain of a sensor, as a camera would save it."""
    image = photographs()["china.jpg"].resize((width, height), Image.Resampling.LANCZOS)
    grain = np.random.default_rng(1).normal(0, 3, (height, width, 1))
    pixels = np.clip(np.asarray(image, dtype=np.float64) + grain, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85)
    return out.getvalue()
