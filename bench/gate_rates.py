"""Measure how often the gate finds a copy and how often it sees one where there is none, on real data.

python -m bench.gate_rates          # rewrites the tables between the markers of docs/algorithms/gate.md
"""

from __future__ import annotations

import hashlib
import io
import random
import re
from collections.abc import Callable, Iterable, Mapping
from math import cos, radians, sin
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image, ImageDraw, ImageOps

from bench.real_data import photographs, prose, tables, tiles
from provenance.fingerprints.delimited import sniff_dialect
from provenance.fingerprints.gate import THRESHOLDS, Finding, compare, decide
from provenance.fingerprints.image import DHASH_BITS, LOWEST_QUALITY, NEAR_BITS, REVIEW_BITS
from provenance.fingerprints.index import SimilarityIndex
from provenance.fingerprints.matches import Closeness, IndexedFile, Part
from provenance.fingerprints.records import FORMS, PDQ_BYTES, ImageRecord
from provenance.fingerprints.registry import HEAD, Kind, pack, sketch_file, sniff_kind, unpack
from provenance.fingerprints.text import SHINGLE

DOCUMENT = Path(__file__).parents[1] / "docs" / "algorithms" / "gate.md"
BEGIN, END = "<!-- rates -->", "<!-- /rates -->"
TILE = 250
SMALL_TILE = 125
LEAST_WORDS = 200
SET = 50
MOST_SEEN = 5

Picture = Image.Image
Row = tuple[str, ...]


def fingerprint(number: int, kind: Kind, data: bytes) -> IndexedFile:
    """Return a file as the index takes it."""
    payload = pack(sketch_file(kind, lambda: io.BytesIO(data), len(data)))
    return IndexedFile(number, kind, len(data), hashlib.sha256(data).digest(), (payload,))


def register(kind: Kind, items: Iterable[tuple[str, bytes]]) -> SimilarityIndex:
    """Return an index in which each item is a dataset of its own."""
    index = SimilarityIndex.empty()
    for version, (name, data) in enumerate(items, start=1):
        index = index.added(version=version, owner="Ada", dataset=name, files=[fingerprint(version, kind, data)])
    return index


def jpeg(image: Picture, quality: int = 92) -> bytes:
    """Return the image as JPEG."""
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


def cropped(image: Picture, percent: float, across: float = 0.5, down: float = 0.5) -> Picture:
    """Cut away a share of width and height."""
    width, height = image.size
    cut_x, cut_y = width * percent / 100, height * percent / 100
    left, top = int(cut_x * across), int(cut_y * down)
    return image.crop((left, top, left + int(width - cut_x), top + int(height - cut_y)))


def watermarked(image: Picture) -> Picture:
    """Write across the image and cover a tenth of it with a box."""
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    draw.text((image.width // 6, image.height // 2), "© COPY SHOP", fill="white", font_size=image.width // 8)
    draw.rectangle((0, 0, image.width // 3, image.height // 3), fill="navy")
    return copy


def straightened(image: Picture, angle: float) -> Picture:
    """Turn an image and cut it to the largest center of its shape without empty corners, as phones do."""
    long = max(image.width / image.height, image.height / image.width)
    share = 1 / (cos(radians(angle)) + abs(sin(radians(angle))) * long)
    return cropped(image.rotate(angle, Image.Resampling.BICUBIC), 100 * (1 - share))


def without_strip(image: Picture, percent: float, side: int) -> Picture:
    """Cut a strip off one side: left, right, top or bottom."""
    width, height = image.size
    cut_x, cut_y = (int(width * percent / 100), 0) if side < 2 else (0, int(height * percent / 100))
    left, top = (cut_x if side == 0 else 0), (cut_y if side == 2 else 0)
    return image.crop((left, top, left + width - cut_x, top + height - cut_y))


def captioned(image: Picture) -> Picture:
    """Write a line across the bottom, on a bar of its own."""
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    draw.rectangle((0, image.height * 5 // 6, image.width, image.height), fill="black")
    draw.text((image.width // 10, image.height * 6 // 7), "when you see it", fill="white", font_size=image.width // 10)
    return copy


def image_edits() -> dict[str, Callable[[Picture], bytes]]:
    """Return what a copyist does to an image."""
    edges, turns, strips = random.Random(2), random.Random(5), random.Random(6)
    return {
        "same pixels, other file": lambda image: jpeg(image, 95),
        "JPEG quality 30": lambda image: jpeg(image, 30),
        "half size": lambda image: jpeg(image.resize((image.width // 2, image.height // 2))),
        "grayscale": lambda image: jpeg(ImageOps.grayscale(image)),
        "brighter by 30 %": lambda image: jpeg(image.point([min(255, v * 13 // 10) for v in range(256)] * 3)),
        "watermark and box": lambda image: jpeg(watermarked(image)),
        "caption on a bar": lambda image: jpeg(captioned(image)),
        "border of 8 %": lambda image: jpeg(ImageOps.expand(image, image.width // 12, "white")),
        "crop 5 %, center": lambda image: jpeg(cropped(image, 5)),
        "crop 10 %, center": lambda image: jpeg(cropped(image, 10)),
        "crop 10 %, one corner": lambda image: jpeg(cropped(image, 10, 0, 1)),
        "crop 5 to 20 %, anywhere": lambda image: jpeg(
            cropped(image, edges.uniform(5, 20), edges.random(), edges.random())
        ),
        "strip of 3 to 15 % off one side": lambda image: jpeg(
            without_strip(image, strips.uniform(3, 15), strips.randrange(4))
        ),
        "rotate 2°": lambda image: jpeg(image.rotate(2, Image.Resampling.BICUBIC)),
        "rotate 5°": lambda image: jpeg(image.rotate(5, Image.Resampling.BICUBIC)),
        "rotate up to 7°": lambda image: jpeg(image.rotate(turns.uniform(-7, 7), Image.Resampling.BICUBIC)),
        "rotate up to 7° and cut to fit": lambda image: jpeg(straightened(image, turns.uniform(-7, 7))),
        "rotate 90°": lambda image: jpeg(image.transpose(Image.Transpose.ROTATE_90)),
        "flip": lambda image: jpeg(ImageOps.mirror(image)),
        "flip, half size, quality 50": lambda image: jpeg(
            ImageOps.mirror(image.resize((image.width // 2, image.height // 2))), 50
        ),
    }


def telling_pictures() -> dict[str, Picture]:
    """Return the photographs and squares of them that are not too plain to match anything."""
    pictures = {**photographs(), **tiles(TILE)}
    return {name: image for name, image in pictures.items() if _image_record(image).full.quality >= LOWEST_QUALITY}


def image_detection() -> list[Row]:
    """Return, for each edit, which share of edited images is found, as near and at all, and how far apart they are."""
    pictures = telling_pictures()
    index = register(Kind.IMAGE, ((name, jpeg(image)) for name, image in pictures.items()))
    rows = []
    for edit, apply in image_edits().items():
        near = found = 0
        distances = []
        for number, (name, image) in enumerate(pictures.items()):
            comparison = compare(index, [fingerprint(number, Kind.IMAGE, apply(image))], exclude_owner="Mallory")
            mine = [match for match in comparison.matches if match.dataset == name]
            if mine:
                found += 1
                near += mine[0].closeness <= Closeness.NEAR
                distances.append(mine[0].distance)
        median = str(int(np.median(distances))) if distances else "–"
        rows.append((edit, _rate(near, len(pictures)), _rate(found, len(pictures)), median))
    return rows


def image_false_matches() -> list[Row]:
    """Return how often two distinct pictures look alike: all pairs, in all eight forms against all views."""
    pictures = {**tiles(SMALL_TILE)}
    records = [_image_record(image) for image in pictures.values()]
    plain = sum(record.full.quality < LOWEST_QUALITY for record in records)
    index = register(Kind.IMAGE, ((name, jpeg(image)) for name, image in pictures.items()))
    counts = dict.fromkeys(Closeness, 0)
    for number, (name, image) in enumerate(pictures.items()):
        comparison = compare(index, [fingerprint(number, Kind.IMAGE, jpeg(image))], exclude_owner="Mallory")
        for match in comparison.matches:
            if match.dataset != name and match.part is Part.IMAGE:
                counts[match.closeness] += 1
    pairs = len(records) * (len(records) - 1)
    as_they_are = _pairs_within(records, NEAR_BITS)
    return [
        ("distinct pictures", str(len(records)), ""),
        (f"of them too plain to match (quality below {LOWEST_QUALITY})", str(plain), _rate(plain, len(records))),
        (f"pairs ≤ {NEAR_BITS} bits as they stand, dHash not asked", str(as_they_are), _rate(as_they_are, pairs)),
        (
            f"pairs ≤ {NEAR_BITS} bits and dHash ≤ {DHASH_BITS}, any view",
            str(counts[Closeness.NEAR] + counts[Closeness.EXACT]),
            _rate(counts[Closeness.NEAR] + counts[Closeness.EXACT], pairs),
        ),
        (
            f"pairs {NEAR_BITS + 1}–{REVIEW_BITS} bits and dHash ≤ {DHASH_BITS}, the same",
            str(counts[Closeness.REVIEW]),
            _rate(counts[Closeness.REVIEW], pairs),
        ),
    ]


def _image_record(image: Picture) -> ImageRecord:
    (record,) = unpack(fingerprint(0, Kind.IMAGE, jpeg(image)).parts[0])  # type: ignore[index]
    assert isinstance(record, ImageRecord)
    return record


def _pairs_within(records: list[ImageRecord], most: int) -> int:
    good = [record.full.pdq[: len(record.full.pdq) // FORMS] for record in records if record.full.quality >= 50]
    hashes = np.frombuffer(b"".join(good), dtype="<u8").reshape(-1, PDQ_BYTES // 8)
    return sum(int((np.bitwise_count(hashes ^ one).sum(axis=1) <= most).sum()) - 1 for one in hashes)


def text_edits() -> dict[str, Callable[[str], str]]:
    """Return what a copyist does to a text."""
    return {
        "case and punctuation": lambda text: re.sub(r"[.,;:'\"()]", " ", text).upper(),
        "typographic quotes, re-wrapped": lambda text: " ".join(text.replace("'", "’").replace('"', "“").split()),
        "2 % of words replaced": lambda text: _replaced(text, 0.02),
        "5 % of words replaced": lambda text: _replaced(text, 0.05),
        "10 % of words replaced": lambda text: _replaced(text, 0.10),
        "20 % of words replaced": lambda text: _replaced(text, 0.20),
        "excerpt of 50 %": lambda text: _excerpt(text, 0.5),
        "excerpt of 25 %": lambda text: _excerpt(text, 0.25),
        "paragraphs shuffled": lambda text: _shuffled(text, "\n\n"),
        "lines shuffled": lambda text: _shuffled(text, "\n"),
        "amid twice as much other text": lambda text: f"{FILLER}\n\n{text}\n\n{FILLER}",
    }


FILLER = " ".join(f"word{n * 7919 % 10007}" for n in range(200))


def _replaced(text: str, share: float) -> str:
    chance = random.Random(len(text))
    return " ".join("other" if chance.random() < share else word for word in text.split())


def _excerpt(text: str, share: float) -> str:
    words = text.split()
    start = int(len(words) * (1 - share) * random.Random(len(words)).random())
    return " ".join(words[start : start + int(len(words) * share)])


def _shuffled(text: str, separator: str) -> str:
    parts = text.split(separator)
    random.Random(len(parts)).shuffle(parts)
    return separator.join(parts)


def text_detection() -> list[Row]:
    """Return, for each edit, which share of texts is stopped, and the mean share of words that is found."""
    texts = prose(LEAST_WORDS)
    index = register(Kind.TEXT, ((name, text.encode()) for name, text in texts.items()))
    rows = []
    for edit, apply in text_edits().items():
        shares = [_share(index, Kind.TEXT, apply(text).encode(), name) for name, text in texts.items()]
        rows.append((edit, *_stopped_and_mean(shares, THRESHOLDS.text_bps)))
    return rows


def table_edits() -> dict[str, Callable[[bytes], bytes]]:
    """Return what a copyist does to a table."""
    return {
        "rows shuffled, columns reversed and renamed": lambda data: _rearranged(data).write_csv().encode(),
        "saved as Parquet": lambda data: _parquet(_frame(data)),
        "semicolons, CRLF, quotes": lambda data: (
            _frame(data).write_csv(separator=";", line_terminator="\r\n", quote_style="always").encode()
        ),
        "every second row": lambda data: _frame(data)[::2].write_csv().encode(),
        "every fifth row": lambda data: _frame(data)[::5].write_csv().encode(),
        "1 % of cells changed": lambda data: _changed(data, 0.01),
        "5 % of cells changed": lambda data: _changed(data, 0.05),
        "a running number added": lambda data: _frame(data).with_row_index("n").write_csv().encode(),
    }


def column_edits() -> dict[str, Callable[[bytes], bytes]]:
    """Return what a copyist does to one column, which changes every row."""
    return {
        "last column dropped": lambda data: _frame(data)[:, :-1].write_csv().encode(),
        "first column dropped": lambda data: _frame(data)[:, 1:].write_csv().encode(),
        "a column in the middle dropped": lambda data: _without_middle(data).write_csv().encode(),
        "a column of other numbers added": lambda data: _labelled(data).write_csv().encode(),
        "last column in other units": lambda data: _converted(data).write_csv().encode(),
    }


def _frame(data: bytes) -> pl.DataFrame:
    dialect = sniff_dialect(data[:HEAD])
    separator = dialect.separator if dialect else ","
    return pl.read_csv(
        data, separator=separator, infer_schema_length=None, null_values=["NA", ""], extra_columns="ignore"
    )


def _parquet(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_parquet(out)
    return out.getvalue()


def _rearranged(data: bytes) -> pl.DataFrame:
    frame = _frame(data).sample(fraction=1, shuffle=True, seed=3)
    frame = frame[:, ::-1]
    return frame.rename({name: f"field_{n}" for n, name in enumerate(frame.columns)})


def _without_middle(data: bytes) -> pl.DataFrame:
    frame = _frame(data)
    return frame.drop(frame.columns[frame.width // 2])


def _labelled(data: bytes) -> pl.DataFrame:
    frame = _frame(data)
    return frame.with_columns(label=pl.Series(np.random.default_rng(7).integers(0, 5, frame.height)))


def _converted(data: bytes) -> pl.DataFrame:
    frame = _frame(data)
    last = frame.columns[-1]
    return frame.with_columns(frame[last].cast(pl.String) + " units")


def _changed(data: bytes, share: float) -> bytes:
    frame = _frame(data).cast(pl.String)
    chance = np.random.default_rng(4)
    columns = [
        pl.Series(column.name, np.where(chance.random(len(column)) < share, "changed", column.fill_null("").to_numpy()))
        for column in frame
    ]
    return pl.DataFrame(columns).write_csv().encode()


def wide_enough() -> dict[str, bytes]:
    """Return the tables of four columns and more: of fewer, too little is left without one."""
    return {name: data for name, data in tables().items() if _frame(data).width >= 4}


def table_detection(edits: Mapping[str, Callable[[bytes], bytes]], named: Mapping[str, bytes]) -> list[Row]:
    """Return, for each edit, which share of tables is stopped, and the mean share of rows that is found."""
    index = register(Kind.TABLE, tables().items())
    rows = []
    for edit, apply in edits.items():
        shares = [_share(index, Kind.TABLE, apply(data), name) for name, data in named.items()]
        rows.append((edit, *_stopped_and_mean(shares, THRESHOLDS.table_bps)))
    return rows


def false_shares() -> list[Row]:
    """Return how much of a text or table is found in others of which it is no copy.

    Python's topics quote each other, so a pair of texts is no copy if its exact sets of shingles share under 2 %.
    """
    texts = prose(LEAST_WORDS)
    shingles = {name: _shingles(text) for name, text in texts.items()}
    named = tables()
    return [
        _false_row("text", Kind.TEXT, {name: text.encode() for name, text in texts.items()}, shingles),
        _false_row("table", Kind.TABLE, named, {name: _row_set(data) for name, data in named.items()}),
    ]


def _false_row(label: str, kind: Kind, items: dict[str, bytes], parts: Mapping[str, frozenset[object]]) -> Row:
    index = register(kind, items.items())
    limit = THRESHOLDS.of(kind)
    pairs = {(one, other) for one in items for other in items if one != other and _common(parts, one, other) < 0.02}
    found, errors = [], []
    for number, (name, data) in enumerate(items.items()):
        for finding in _findings(index, kind, data, number):
            if (name, finding.dataset) in pairs:
                found.append(finding.share_bps)
            elif finding.dataset != name:
                errors.append(abs(finding.share_bps / 10_000 - _common(parts, name, finding.dataset)))
    largest = f"{max(found, default=0) / 100:.1f} %"
    error = f"{100 * sum(errors) / len(errors):.1f} points" if errors else "–"
    return (label, str(len(pairs)), str(len(found)), largest, str(sum(share > limit for share in found)), error)


def _common(parts: Mapping[str, frozenset[object]], one: str, other: str) -> float:
    return len(parts[one] & parts[other]) / max(1, len(parts[one]))


def _shingles(text: str) -> frozenset[object]:
    words = re.findall(r"[^\W_]+", text.casefold())
    return frozenset(zip(*(words[n:] for n in range(SHINGLE)), strict=False))


def _row_set(data: bytes) -> frozenset[object]:
    return frozenset(tuple(sorted(map(str, row))) for row in _frame(data).iter_rows())


def shared_part(kind: Kind, percent: int) -> Row:
    """Return what the gate says of two sets of fifty records that have `percent` of them in common."""
    common = SET * percent // 100
    count = 2 * SET - common
    if kind is Kind.IMAGE:
        pictures = {name: image for name, image in tiles(SMALL_TILE).items() if not name.startswith("retina")}
        pool = [jpeg(image) for image in pictures.values()][:count]
    else:
        pool = _distinct_pieces(count)
    files = [fingerprint(number, kind, data) for number, data in enumerate(pool)]
    index = SimilarityIndex.empty().added(version=1, owner="Ada", dataset="first", files=files[:SET])
    mine = files[count - SET :]
    result = decide(compare(index, mine, exclude_owner="Ben"))
    share = result.closest.share_bps if result.closest else 0
    return (str(kind), f"{percent} %", f"{share / 100:.1f} %", str(result.result))


def _distinct_pieces(count: int) -> list[bytes]:
    """Return pieces of 250 words of prose that have hardly a shingle in common."""
    words = [word for text in prose(LEAST_WORDS).values() for word in text.split()]
    seen: set[object] = set()
    pieces = []
    for start in range(0, len(words) - 250, 250):
        piece = " ".join(words[start : start + 250])
        shingles = _shingles(piece)
        if len(seen & shingles) <= MOST_SEEN:
            pieces.append(piece.encode())
        seen |= shingles
    return pieces[:count]


def _findings(index: SimilarityIndex, kind: Kind, data: bytes, number: int) -> tuple[Finding, ...]:
    file = fingerprint(number, sniff_kind(data[:HEAD]) if kind is Kind.TABLE else kind, data)
    return decide(compare(index, [file], exclude_owner="Mallory")).findings


def _share(index: SimilarityIndex, kind: Kind, data: bytes, name: str) -> int:
    return max((f.share_bps for f in _findings(index, kind, data, 0) if f.dataset == name), default=0)


def _stopped_and_mean(shares: list[int], limit: int) -> Row:
    return _rate(sum(share > limit for share in shares), len(shares)), f"{sum(shares) / len(shares) / 100:.0f} %"


def _rate(count: int, of: int) -> str:
    rate = count / of if of else 0.0
    if 0 < rate < 0.001:
        return f"{rate:.0e}"
    return f"{rate:.3f}".removesuffix("000").removesuffix(".") if rate in {0.0, 1.0} else f"{rate:.3f}"


def as_table(head: Row, rows: list[Row]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measured() -> str:
    """Return the measured part of the document."""
    found = (
        f"**Images found**, of {len(telling_pictures())} photographs and squares of {TILE} pixels cut from them, "
        "each registered as a dataset of its own."
    )
    mistaken = (
        f"**Images mistaken**, all ordered pairs of distinct squares of {SMALL_TILE} pixels. "
        "Squares of one photograph of grass, brick or gravel count as distinct."
    )
    others = (
        "**Texts and tables mistaken**: pairs that share under 2 % of their shingles or rows, in how many of them "
        "anything is found, the largest share, and how many stop; beside it, how far off the share of those pairs is "
        "that do share more."
    )
    shared = [shared_part(kind, percent) for kind in (Kind.IMAGE, Kind.TEXT) for percent in (2, 10, 30)]
    parts = [
        found,
        as_table(("edit", "near", "near or review", "median bits apart"), image_detection()),
        mistaken,
        as_table(("what", "count", "rate"), image_false_matches()),
        f"**Texts found**, of {len(prose(LEAST_WORDS))} of {LEAST_WORDS} words and more.",
        as_table(("edit", "stopped", "mean share found"), text_detection()),
        f"**Tables found**, of {len(tables())}.",
        as_table(("edit", "stopped", "mean share found"), table_detection(table_edits(), tables())),
        f"**Tables with one column changed found**, of the {len(wide_enough())} that have four columns or more.",
        as_table(("edit", "stopped", "mean share found"), table_detection(column_edits(), wide_enough())),
        others,
        as_table(("kind", "pairs", "with a finding", "largest share", "stopped", "mean error"), false_shares()),
        f"**Sets that share a part**, {SET} records each.",
        as_table(("kind", "in common", "share found", "result"), shared),
    ]
    return "\n\n".join(parts)


def main() -> None:
    """Rewrite the measured part of the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{measured()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
