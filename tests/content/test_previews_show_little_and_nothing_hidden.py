import io
import json
import struct
import zlib

import polars as pl
import pytest
from PIL import Image

from provenance import previews
from provenance.fingerprints.sandbox import run_limited


@pytest.fixture
def photo(tmp_path):
    """A picture taken at a place, by somebody, lying on its side."""
    image = Image.new("RGB", (400, 200), "navy")
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x013B] = "Ada Lovelace"
    exif[0x8825] = {1: "N", 2: (51.0, 30.0, 0.0)}
    path = tmp_path / "photo.jpg"
    image.save(path, exif=exif, comment=b"Ada Lovelace")
    return path


def bomb(path, width, height):
    """A PNG of `width` × `height` white pixels that is a few hundred kilobytes small."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + b"\xff" * ((width + 7) // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return path


def shown(path, *arguments):
    """What a table or text shows, made as the worker makes it."""
    with path.open("rb") as stream:
        if path.suffix in {".parquet", ".arrow"}:
            return json.loads(
                run_limited("provenance.previews:first_columnar_rows", arguments, stream=stream, cpu_seconds=20)
            )
        make = previews.first_rows if path.suffix == ".csv" else previews.first_lines
        return make(stream, *arguments)


def test_a_thumbnail_is_small_upright_and_says_nothing_about_who_and_where(photo):
    with photo.open("rb") as stream:
        data, width, height = previews.thumbnail(stream, 100)
    with Image.open(io.BytesIO(data)) as small:
        assert (small.format, small.size) == ("WEBP", (50, 100))
        assert not small.getexif()
    assert (width, height) == (400, 200)
    assert b"Lovelace" not in data


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "CMYK", "1", "I;16", "F"])
def test_pictures_of_every_mode_have_a_thumbnail(tmp_path, mode):
    path = tmp_path / "picture.tiff"
    Image.new(mode, (64, 64)).save(path)
    with path.open("rb") as stream:
        data, _, _ = previews.thumbnail(stream, 32)
    with Image.open(io.BytesIO(data)) as small:
        assert small.size == (32, 32)


def test_a_picture_of_169_megapixels_is_refused_by_its_header_with_both_figures(tmp_path):
    path = bomb(tmp_path / "bomb.png", 13_000, 13_000)
    assert path.stat().st_size < 200_000
    with pytest.raises(previews.PreviewRefusal) as refused:
        previews.image_size(path, pixels=128_000_000)
    assert refused.value.code == "image.too_large"
    assert (refused.value.limit, refused.value.actual) == (128_000_000, 169_000_000)
    assert "13000 × 13000" in str(refused.value)


def test_a_picture_within_the_limit_tells_its_size(photo):
    assert previews.image_size(photo, pixels=80_000) == (400, 200)


def test_a_broken_picture_is_refused_by_name(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    with pytest.raises(previews.PreviewRefusal) as refused:
        previews.image_size(path, pixels=100)
    assert refused.value.code == "image.broken"


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX"])
def test_no_decoder_is_tried_but_those_of_kinds_that_are_accepted(tmp_path, kind):
    path = tmp_path / "picture.png"
    Image.new("RGB", (8, 8)).save(path, kind)
    with pytest.raises(previews.PreviewRefusal):
        previews.image_size(path, pixels=100)
    with path.open("rb") as stream, pytest.raises(previews.PreviewRefusal):
        previews.thumbnail(stream, 8)


def test_a_table_shows_its_first_rows_and_types(tmp_path):
    frame = pl.DataFrame({"name": ["Ada", None, "x" * 999], "year": [1815, 1816, 1817]})
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_ipc(tmp_path / "t.arrow")
    for name, media_type in (
        ("t.csv", "text/csv"),
        ("t.parquet", "application/vnd.apache.parquet"),
        ("t.arrow", "application/vnd.apache.arrow.file"),
    ):
        made = shown(tmp_path / name, media_type, 3)
        assert made["columns"] == [{"name": "name", "type": "String"}, {"name": "year", "type": "Int64"}]
        assert made["rows"][:2] == [["Ada", "1815"], [None, "1816"]]
        assert len(made["rows"][2][0]) == previews.CELL_CHARACTERS
        assert len(shown(tmp_path / name, media_type, 1)["rows"]) == 1


def test_a_table_with_semicolons_is_read_as_one(tmp_path):
    (tmp_path / "t.csv").write_text("a;b\n1;2\n")
    assert shown(tmp_path / "t.csv", "text/csv", 5)["rows"] == [["1", "2"]]


def test_a_table_of_zero_rows_has_columns_and_no_rows(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n")
    made = shown(tmp_path / "t.csv", "text/csv", 5)
    assert (len(made["columns"]), made["rows"]) == (2, [])


def test_lines_are_cut_and_control_characters_replaced(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(b"\xef\xbb\xbffirst\x1b[31m\n" + b"y" * 2000 + b"\nthird\n\xff")
    assert shown(path, "text/plain", 2)["lines"] == ["first·[31m", "y" * 499 + "…"]


def test_records_of_json_lines_show_their_text(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "once upon"}\n{"a": [1, 2]}\nnot json\n')
    assert shown(path, "application/jsonl", 9)["lines"] == [
        "once upon",
        '{"a": [1, 2]}',
        "not json",
    ]


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"text":['])
def test_a_record_that_is_nested_without_end_is_shown_as_the_line_that_it_is(tmp_path, opening: str):
    path = tmp_path / "t.jsonl"
    path.write_text(opening * 20_000 + '\n{"text": "next"}\n')
    first, second = shown(path, "application/jsonl", 2)["lines"]
    assert first == (opening * 500)[: previews.LINE_CHARACTERS - 1] + "…"
    assert second == "next"
