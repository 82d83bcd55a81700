import io

import polars as pl
import pytest

from provenance.fingerprints.registry import ALGORITHMS, KINDS, Kind, kind_of, sketch_file, sniff_kind
from tests.fingerprints.makers import encoded, picture, prose

CSV = b"a,b,c\n" + b"1,2,x\n" * 10
PARQUET = io.BytesIO()
pl.DataFrame({"a": [1]}).write_parquet(PARQUET)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Kind.FILE),
        (b"\0\1\2\3", Kind.FILE),
        (b"PK\x03\x04 an archive", Kind.FILE),
        (b"%PDF-1.7\n\x00", Kind.FILE),
        (b"fLaC\0\0\0\x22", Kind.FILE),
        (encoded(picture(1)), Kind.IMAGE),
        (encoded(picture(1), "JPEG"), Kind.IMAGE),
        (encoded(picture(1), "WEBP"), Kind.IMAGE),
        (encoded(picture(1), "AVIF"), Kind.IMAGE),
        (encoded(picture(1), "BMP"), Kind.IMAGE),
        (encoded(picture(1), "TIFF"), Kind.IMAGE),
        (PARQUET.getvalue(), Kind.TABLE),
        (CSV, Kind.TABLE),
        (b"\xef\xbb\xbf" + CSV, Kind.TABLE),
        (CSV.replace(b",", b"\t"), Kind.TABLE),
        (CSV.decode().encode("utf-16"), Kind.TABLE),
        (prose(500, 1).encode(), Kind.TEXT),
        (prose(500, 1).encode("utf-16"), Kind.TEXT),
        ("naïve café, Latin text".encode("latin-1"), Kind.TEXT),
        (b'{"text": "a, b"}\n{"text": "c, d"}\n', Kind.TEXT),
        (b"<svg><script/></svg>", Kind.TEXT),
        (b"BMW and other words", Kind.TEXT),
        (b"one column\nof words\nand no more\n", Kind.TEXT),
    ],
)
def test_a_file_is_compared_as_what_its_bytes_say(data, kind):
    assert sniff_kind(data[:65_536]) is kind


def test_media_types_lead_to_the_same_kinds():
    assert kind_of("image/png") is Kind.IMAGE
    assert kind_of("image/svg+xml") is Kind.TEXT
    assert kind_of("text/x-python") is Kind.TEXT
    assert kind_of("application/zip") is Kind.FILE
    assert set(KINDS.values()) <= set(Kind)


def test_each_kind_but_file_has_one_algorithm_with_a_name_and_figures():
    assert {kind: algorithm.name for kind, algorithm in ALGORITHMS.items()} == {
        Kind.TEXT: "cadastre.text/1",
        Kind.IMAGE: "cadastre.image/2",
        Kind.TABLE: "cadastre.table/2",
    }
    assert len({algorithm.tag for algorithm in ALGORITHMS.values()}) == 3
    assert all(algorithm.parameters["algorithm"] == algorithm.name for algorithm in ALGORITHMS.values())


def test_a_file_of_no_kind_has_no_records():
    assert list(sketch_file(Kind.FILE, lambda: io.BytesIO(b"x"), 1)) == []
