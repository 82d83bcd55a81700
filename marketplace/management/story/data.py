"""Real input for the story: photographs, tables and prose that ship inside installed packages, with their licenses."""

from __future__ import annotations

import csv
import importlib
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image, ImageStat

from provenance.core.refusal import Refusal

PHOTOGRAPHS = {
    # scikit-image's own test images; its documentation names the sources.
    "skimage/data": {
        "astronaut.png": "astronaut.png",
        "brick.png": "brick-wall.png",
        "camera.png": "cameraman.png",
        "chelsea.png": "cat-chelsea.png",
        "coffee.png": "cup-of-coffee.png",
        "coins.png": "greek-coins.png",
        "grass.png": "grass.png",
        "gravel.png": "gravel.png",
        "hubble_deep_field.jpg": "hubble-deep-field.jpg",
        "moon.png": "moon.png",
        "retina.jpg": "retina.jpg",
        "rocket.jpg": "rocket-launch.jpg",
    },
    "sklearn/datasets/images": {"china.jpg": "summer-palace.jpg", "flower.jpg": "flower.jpg"},
}
TABLES = {
    "elnino/elnino.csv": "sea-surface-temperature.csv",
    "co2/co2.csv": "carbon-dioxide.csv",
    "sunspots/sunspots.csv": "sunspots.csv",
}


class StoryDataMissing(Refusal):
    """A package whose data the story uses is not installed."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the story's files lie, each a folder of its own."""

    photographs: Path
    tables: Path
    prose: Path


def right(source: str, basis: str, **details: Any) -> dict[str, Any]:
    """Return a rights statement (docs/formats.md)."""
    empty = dict.fromkeys(("from", "sublicensing", "license", "legal_basis", "model", "evidence"))
    return {**empty, "source": source, "basis": basis, **details}


PHOTOGRAPH_RIGHTS = [
    right(source, "open-license", license=license_id, sublicensing=True)
    for source, license_id in (
        ("Photographs by NASA (astronaut, Hubble deep field, moon)", "NASA-1.3"),
        ("Photographs in the public domain (wall, cat, coffee, coins, grass, gravel, retina, rocket …)", "CC0-1.0"),
        ("Photographs by danielbuechele and vultilion (summer palace, flower)", "CC-BY-2.0"),
    )
]
TABLE_RIGHTS = [
    right(
        "NOAA and Scripps series as shipped with statsmodels, public domain",
        "open-license",
        license="CC0-1.0",
        sublicensing=True,
    )
]
PROSE_RIGHTS = [
    right(
        "Topics of Python's documentation, Python Software Foundation",
        "open-license",
        license="PSF-2.0",
        sublicensing=True,
    )
]


def collect(folder: Path) -> Sources:
    """Copy the sources below `folder`. Raises StoryDataMissing."""
    sources = Sources(photographs=folder / "photographs", tables=folder / "tables", prose=folder / "prose")
    for package, names in PHOTOGRAPHS.items():
        top, _, rest = package.partition("/")
        for name, shown in names.items():
            _copy(_package_folder(top) / rest / name, sources.photographs / shown)
    for name, shown in TABLES.items():
        _copy(_package_folder("statsmodels") / "datasets" / name, sources.tables / shown)
    sources.prose.mkdir(parents=True, exist_ok=True)
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    for name, text in sorted(topics.items()):
        (sources.prose / f"{name}.txt").write_text(text, encoding="utf-8")
    return sources


def derive(photographs: Path, tables: Path, folder: Path) -> None:
    """Build Ben's dataset from Ada's photographs and his table: smaller pictures, each measured, beside a year."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    with (tables / "sunspots.csv").open(newline="") as file:
        years = list(csv.DictReader(file))[-200:]
    rows = []
    for number, source in enumerate(_pictures(photographs)):
        with Image.open(source) as image:
            small = image.convert("RGB")
            small.thumbnail((384, 384))
        small.save(pictures / f"{source.stem}.png")
        red, green, blue = ImageStat.Stat(small).mean
        year = years[number * 7]
        rows.append(
            [source.stem, small.width, small.height, f"{red:.2f}", f"{green:.2f}", f"{blue:.2f}", *year.values()]
        )
    with (folder / "measurements.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "width", "height", "mean_red", "mean_green", "mean_blue", "year", "sunspots"])
        writer.writerows(rows)


def alter(photographs: Path, folder: Path) -> None:
    """Make Mallory's copy: resized, recompressed, renamed."""
    folder.mkdir(parents=True)
    for number, source in enumerate(_pictures(photographs)):
        with Image.open(source) as image:
            copy = image.convert("RGB").resize((image.width * 7 // 10, image.height * 7 // 10))
        copy.save(folder / f"IMG_{4000 + number}.jpg", quality=70)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _package_folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise StoryDataMissing(
            "story.package", f"The package {name}, whose data the story uses, is not installed.",
            todo="Run: make setup",
        )  # fmt: skip
    return Path(spec.submodule_search_locations[0])


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise StoryDataMissing(
            "story.file", f"{source.name} does not ship with the installed package.", actual=str(source)
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
