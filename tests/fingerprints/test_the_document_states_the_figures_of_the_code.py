import re
from pathlib import Path

from provenance.fingerprints import gate, image, pixels, sandbox, search, table, text
from provenance.fingerprints.records import FORMS, SLOTS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "algorithms" / "gate.md").read_text(encoding="utf-8")

FIGURES = {
    "text.shingle_words": text.SHINGLE,
    "text.slots": SLOTS,
    "text.bands": text.BANDS,
    "text.band_slots": text.BAND_SLOTS,
    "text.segment_shortest": text.SHORTEST,
    "text.segment_longest": text.LONGEST,
    "text.cut_mask": text.CUT_MASK,
    "text.near_slots": search.NEAR_SLOTS,
    "text.review_slots": search.REVIEW_SLOTS,
    "image.near_bits": image.NEAR_BITS,
    "image.review_bits": image.REVIEW_BITS,
    "image.dhash_bits": image.DHASH_BITS,
    "image.lowest_quality": image.LOWEST_QUALITY,
    "image.forms": FORMS,
    "image.windows": len(image.WINDOWS),
    "image.angles": len(image.ANGLES),
    "image.quarters": len(image.QUARTERS),
    "image.memory_bytes": pixels.MEMORY,
    "image.most_pixels": pixels.MOST_PIXELS,
    "table.row_floor": table.ROWS.floor,
    "table.column_floor": table.VALUES.floor,
    "table.telling_distinct": table.TELLING_DISTINCT,
    "table.less_floor": table.LESS.floor,
    "table.less_columns": table.MOST_LESSENED,
    "table.less_spread": table.LESS_SPREAD,
    "table.column_bps": search.COLUMN_BPS,
    "table.least_columns": search.LEAST_COLUMNS,
    "sandbox.memory_bytes": sandbox.MEMORY,
    "gate.text_bps": gate.THRESHOLDS.text_bps,
    "gate.image_bps": gate.THRESHOLDS.image_bps,
    "gate.table_bps": gate.THRESHOLDS.table_bps,
    "gate.file_bps": gate.THRESHOLDS.file_bps,
    "gate.minor_bps": gate.THRESHOLDS.minor_bps,
    "gate.chance_per_million": gate.CHANCE_PER_MILLION,
}


def test_every_figure_in_the_document_is_the_one_in_the_code():
    stated = {name: int(value) for name, value in re.findall(r"^\| `([a-z_.]+)` \| (\d+) \|$", DOCUMENT, re.MULTILINE)}
    assert stated == FIGURES


def test_the_rates_were_measured_and_written_down():
    measured = DOCUMENT.split("<!-- rates -->")[1].split("<!-- /rates -->")[0]
    for heading in ("Images found", "Images mistaken", "Texts found", "Tables found", "Texts and tables mistaken"):
        assert f"**{heading}**" in measured
    assert len(re.findall(r"^\| .* \|$", measured, re.MULTILINE)) > 50


def test_the_band_probability_worked_in_the_document_is_right():
    assert f"{1 - (1 - 0.8**text.BAND_SLOTS) ** text.BANDS:.2f}"[1:] == ".92"
    assert "which is .92 for J = .8" in DOCUMENT
