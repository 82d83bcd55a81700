import io

import numpy as np
import pdqhash
import pytest
from PIL import Image, ImageDraw, ImageOps

from provenance.fingerprints import pixels
from provenance.fingerprints.algorithm import FingerprintRefusal
from provenance.fingerprints.image import NEAR_BITS, sketch_image
from provenance.fingerprints.pdq import coefficients, pdq_hashes, sampled
from provenance.fingerprints.registry import Kind
from tests.fingerprints.makers import encoded, picture, record_of


def bits_apart(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).bit_count()


def forms(view):
    return [view.pdq[at : at + 32] for at in range(0, 256, 32)]


def nearest(copy, original) -> int:
    """How far a copy, in any form, is from any view of the original."""
    mine = [*forms(copy.full), *(forms(copy.trimmed) if copy.trimmed else [])]
    theirs = [original.full.pdq[:32], *([original.trimmed.pdq[:32]] if original.trimmed else [])]
    theirs += [crop.pdq for crop in original.crops]
    return min(bits_apart(a, b) for a in mine for b in theirs)


@pytest.mark.parametrize(
    "edit",
    [
        lambda i: encoded(i, "JPEG", quality=30),
        lambda i: encoded(i.resize((320, 240)), "JPEG", quality=80),
        lambda i: encoded(ImageOps.grayscale(i)),
        lambda i: encoded(ImageOps.mirror(i)),
        lambda i: encoded(ImageOps.flip(i), "WEBP"),
        lambda i: encoded(i.transpose(Image.Transpose.ROTATE_90), "BMP"),
        lambda i: encoded(i.transpose(Image.Transpose.TRANSVERSE)),
        lambda i: encoded(ImageOps.expand(i, 50, "white")),
        lambda i: encoded(i.crop((16, 12, 624, 468))),
        lambda i: encoded(i.crop((32, 24, 608, 456))),
        lambda i: encoded(i.crop((0, 0, 576, 432))),
        lambda i: encoded(i.quantize(256), "GIF"),
        lambda i: encoded(i.convert("CMYK"), "JPEG", quality=90),
        lambda i: encoded(i.convert("RGBA")),
        lambda i: encoded(i, "TIFF"),
        lambda i: encoded(i, "AVIF", quality=60),
    ],
)
def test_an_altered_copy_stays_within_31_bits(edit):
    original = picture(1)
    copy = record_of(edit(original))
    assert copy.full.quality >= 50
    assert nearest(copy, record_of(encoded(original))) <= NEAR_BITS


def test_other_pictures_are_far_away():
    records = [record_of(encoded(picture(seed))) for seed in range(6)]
    assert min(nearest(a, b) for a in records for b in records if a is not b) > 63


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(picture(2), "JPEG", quality=95, exif=exif)
    upright = encoded(picture(2).transpose(Image.Transpose.ROTATE_270), "JPEG", quality=95)
    assert bits_apart(record_of(turned).full.pdq[:32], record_of(upright).full.pdq[:32]) <= 4


def test_what_is_transparent_does_not_show():
    base = picture(3).convert("RGBA")
    hidden = Image.new("RGBA", base.size, (255, 255, 255, 0))
    box = (0, 0, 320, 480)
    visible = Image.new("RGBA", base.size, "white")
    visible.paste(base.crop(box), box)
    covered = picture(4).convert("RGBA")
    covered.putalpha(0)
    covered.paste(base.crop(box), box)
    assert record_of(encoded(covered)).full.pdq == record_of(encoded(visible)).full.pdq
    assert record_of(encoded(hidden)).full.quality == 0


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_pixels_of_16_bits_and_floats_are_stretched(mode):
    gray = ImageOps.grayscale(picture(5))
    wide = np.asarray(gray).astype(np.uint16 if mode == "I;16" else np.float32) * 200
    data = encoded(Image.fromarray(wide), "TIFF")
    assert bits_apart(record_of(data).full.pdq[:32], record_of(encoded(gray)).full.pdq[:32]) <= NEAR_BITS


def test_the_same_pixels_are_exact_whatever_the_file():
    original = picture(6)
    assert record_of(encoded(original)).exact == record_of(encoded(original, "TIFF", compression="tiff_lzw")).exact
    assert record_of(encoded(original)).exact != record_of(encoded(original, "JPEG")).exact


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [(1024, 768), (1600, 1200), (511, 300)])
def test_the_hash_is_the_one_of_the_reference(seed, size):
    image = picture(seed, *size)
    reference, quality = pdqhash.compute(np.asarray(image))
    luma = np.asarray(image.convert("RGB"), dtype=np.float64) @ np.array([0.299, 0.587, 0.114])
    mine = np.unpackbits(pdq_hashes(coefficients(sampled(luma))), bitorder="little")
    assert int((mine != reference[::-1]).sum()) <= 10
    assert abs(record_of(encoded(image)).full.quality - quality) <= 10


def test_a_jpeg_of_12_megapixels_decoded_small_is_within_10_bits_of_the_reference():
    image = picture(7, 4000, 3000)
    data = encoded(image, "JPEG", quality=90)
    reference, _ = pdqhash.compute(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    record = sketch_image(io.BytesIO(data))
    mine = np.unpackbits(np.frombuffer(record.full.pdq[:32], dtype=np.uint8), bitorder="little")
    assert (record.width, record.height) == (4000, 3000)
    assert int((mine != reference[::-1]).sum()) <= 10


def test_a_plain_picture_has_a_quality_that_never_matches():
    gradient = Image.linear_gradient("L").resize((400, 300))
    assert record_of(encoded(gradient)).full.quality < 50
    assert record_of(encoded(Image.new("RGB", (400, 300), "navy"))).full.quality == 0
    assert record_of(encoded(Image.new("L", (1, 1)))).full.quality == 0


def bomb(width: int, height: int) -> bytes:
    return encoded(Image.new("1", (width, height)), "PNG")


def test_a_picture_of_169_megapixels_is_refused_by_its_header(monkeypatch):
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("it was decoded"))
    data = bomb(13_000, 13_000)
    assert len(data) < 200_000
    with pytest.raises(FingerprintRefusal) as refusal:
        record_of(data)
    assert (refusal.value.code, refusal.value.limit, refusal.value.actual) == (
        "image.too_large",
        128_000_000,
        169_000_000,
    )
    assert "128000000" in str(refusal.value)


def test_a_picture_beyond_the_limit_of_the_library_itself_is_refused_with_its_size(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    with pytest.raises(FingerprintRefusal) as refusal:
        record_of(bomb(100, 50))
    assert refusal.value.actual == 5_000


def test_color_that_would_need_more_than_256_mebibytes_is_refused():
    class Wide:
        size = (9_000, 8_000)
        mode = "RGB"
        info: dict[str, object] = {}

    with pytest.raises(FingerprintRefusal) as refusal:
        pixels._check_memory(Wide(), 72_000_000)
    assert refusal.value.limit < refusal.value.actual == 72_000_000
    Wide.size = (6_000, 8_000)
    pixels._check_memory(Wide(), 48_000_000)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0junk", b"RIFF....WEBPVP8 ", b"GIF89a"])
def test_what_only_begins_like_a_picture_is_refused(data):
    with pytest.raises(FingerprintRefusal) as refusal:
        record_of(data, Kind.IMAGE)
    assert refusal.value.code in {"image.unknown", "image.unreadable"}


def test_a_picture_cut_off_is_refused():
    with pytest.raises(FingerprintRefusal) as refusal:
        record_of(encoded(picture(8))[:20_000])
    assert refusal.value.code == "image.unreadable"


@pytest.mark.parametrize("data", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"8BPS\0\1" + bytes(30)])
def test_formats_that_run_other_programs_are_never_opened(data):
    with pytest.raises(FingerprintRefusal) as refusal:
        record_of(data, Kind.IMAGE)
    assert refusal.value.code == "image.unknown"


def test_a_watermark_and_a_box_go_to_review():
    image = picture(9)
    marked = image.copy()
    draw = ImageDraw.Draw(marked)
    draw.text((100, 200), "COPY SHOP", fill="white", font_size=80)
    draw.rectangle((0, 0, 130, 100), fill="navy")
    assert nearest(record_of(encoded(marked)), record_of(encoded(image))) <= 63
