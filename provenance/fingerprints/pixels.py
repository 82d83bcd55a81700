"""From a file to the gray pixels that are fingerprinted, with a bound on memory that is checked before decoding.

1. The header alone gives size and mode; an image that would need more than 256 MiB when decoded is refused.
2. A JPEG is decoded at 1/2, 1/4 or 1/8 of its size, gray only, as long as both sides keep 256 pixels.
3. Transparency is laid on white, 16-bit and float pixels are stretched to 8 bits, palettes and CMYK become gray.
4. Whole blocks of pixels are averaged until the shorter side has 256 to 511.
5. The orientation that EXIF states is applied.

Only raster formats that Pillow reads by itself are opened: no SVG, PostScript or PDF.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from provenance.fingerprints.algorithm import FingerprintRefusal

MEMORY = 256 * 1024 * 1024
MOST_PIXELS = 128_000_000
SIDE = 256
FORMATS = tuple(
    plugin.format
    for plugin in (
        PngImagePlugin.PngImageFile,
        JpegImagePlugin.JpegImageFile,
        GifImagePlugin.GifImageFile,
        WebPImagePlugin.WebPImageFile,
        TiffImagePlugin.TiffImageFile,
        BmpImagePlugin.BmpImageFile,
        AvifImagePlugin.AvifImageFile,
    )
)

Gray = npt.NDArray[np.float64]

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's decoders raise on broken files, each format in its own way.
_BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_WIDE_MODES = frozenset({"I", "F"})
_BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "LA": 4, "PA": 4}


@dataclass(frozen=True, slots=True)
class Picture:
    """Gray pixels 0-255 of shape (rows, columns), as shown; `width` and `height` as the file states them."""

    width: int
    height: int
    gray: Gray


def read_picture(stream: BinaryIO) -> Picture:
    """Decode an image. Raises FingerprintRefusal for what is too large, broken or of another format."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            image = Image.open(stream, formats=FORMATS)
            with image:
                return _read(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        found = re.search(r"\d+", str(error))
        raise _too_large(MOST_PIXELS, int(found[0]) if found else 0) from error
    except UnidentifiedImageError as error:
        raise FingerprintRefusal(
            "image.unknown", "This is not an image of a format that is read here.", todo=f"Use {', '.join(FORMATS)}."
        ) from error
    except _BROKEN as error:
        raise FingerprintRefusal(
            "image.unreadable", f"The image cannot be decoded: {error}.", todo="Save it anew and upload it again."
        ) from error


def _read(image: Image.Image) -> Picture:
    width, height = image.size
    orientation = image.getexif().get(_ORIENTATION, 1)
    if image.format in {"JPEG", "MPO"}:
        image.draft("L", (SIDE, SIDE))
    _check_memory(image, width * height)
    gray = _to_gray(image)
    factor = max(1, min(gray.size) // SIDE)
    if factor > 1:
        gray = gray.reduce(factor)
    turn = _TURNS.get(orientation)
    if turn is not None:
        gray = gray.transpose(turn)
    return Picture(width, height, np.asarray(gray, dtype=np.float64))


def _check_memory(image: Image.Image, pixels: int) -> None:
    if pixels > MOST_PIXELS:
        raise _too_large(MOST_PIXELS, pixels)
    decoded = image.size[0] * image.size[1] * _bytes_per_pixel(image)
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.info.get("progressive"):
        decoded += 2 * pixels * len(image.layer)  # libjpeg keeps all coefficients of a progressive image
    if decoded > MEMORY:
        raise _too_large(pixels * MEMORY // decoded, pixels)


def _bytes_per_pixel(image: Image.Image) -> int:
    if "transparency" in image.info:
        return 9  # the palette, RGBA, and what lies behind it
    if image.mode in {"RGBA", "RGBa", "La", "LA", "PA"}:
        return 9
    return _BYTES_PER_PIXEL.get(image.mode, 4) + (image.mode != "L")


def _to_gray(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode in _WIDE_MODES:
        return _stretched(image)
    if image.mode in {"RGBA", "RGBa", "LA", "La", "PA"} or "transparency" in image.info:
        opaque = image.convert("RGBA")
        gray = opaque.convert("L")
        gray.paste(255, mask=opaque.getchannel("A").point(_inverted))
        return gray
    if image.mode == "LAB":
        return image.getchannel(0)
    if image.mode in {"CMYK", "YCbCr", "HSV"}:
        return image.convert("RGB").convert("L")
    return image.convert("L")


def _inverted(value: int) -> int:
    return 255 - value


def _stretched(image: Image.Image) -> Image.Image:
    pixels = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = float(pixels.min()), float(pixels.max())
    scale = 255.0 / (high - low) if high > low else 0.0
    return Image.fromarray(((pixels - low) * scale).astype(np.uint8))


def _too_large(limit: int, actual: int) -> FingerprintRefusal:
    return FingerprintRefusal(
        "image.too_large",
        "The image has more pixels than are decoded here.",
        limit=limit,
        actual=actual,
        todo="Upload it at a smaller size, or cut it into tiles.",
    )
