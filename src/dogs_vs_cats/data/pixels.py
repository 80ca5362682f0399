"""Pixels: the only module that opens image files: photos to train on, to test, and the user's."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dogs_vs_cats.config.views import CROPS, VIEWS
from dogs_vs_cats.errors import PhotoError

# Photos' formats. Pillow reads more, some of it by running other programs, such as EPS.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "JPEG2000", "AVIF")
TILE = 1024  # pixels: the side of the squares in which 16-bit and float levels are scaled


def upright(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """Return a photo's bytes as an RGB image, turned as its EXIF orientation says.

    Any mode becomes RGB: 16-bit and float levels are scaled to 8 bits, transparency is laid on
    white, an animation gives its first frame. PhotoError has the reason if the bytes can't be
    decoded to the last row, are in none of FORMATS, or would give more than `max_pixels`, or more
    than twice Pillow's limit of 89 million (a decompression bomb).
    """
    if not data:
        raise PhotoError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise PhotoError(f"more than {max_pixels // 10**6} million pixels")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # not in place it always copies
            return _rgb(image)
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError("not an image") from error
    except Image.DecompressionBombError as error:
        raise PhotoError("too many pixels: a decompression bomb") from error
    except MemoryError:
        raise  # the machine's fault, not the photo's
    # Damaged bytes make Pillow's decoders raise almost anything (OSError, SyntaxError,
    # struct.error, ...). It all means the same here, and the reason is kept.
    except Exception as error:
        raise PhotoError(f"can't be decoded: {' '.join(str(error).split())}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    if image.mode == "PA" or "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return integer or float levels as mode L, clipped to 0 to 255 and rounded.

    If any level is above 255 and none is NaN, the range is taken to be 0 to 65535, and levels are
    divided by 257. Works tile by tile: float64 copies of a whole photo need 8 bytes a pixel each.
    """
    deep = np.max([levels.max() for _, levels in _tiles(image)]) > 255
    result = Image.new("L", image.size)
    for corner, levels in _tiles(image):
        if deep:
            levels /= 257
        np.clip(levels, 0, 255, out=levels).round(out=levels)
        result.paste(Image.fromarray(levels.astype(np.uint8)), corner)
    return result


def _tiles(image: Image.Image) -> Iterator[tuple[tuple[int, int], NDArray[np.float64]]]:
    """Yield ((left, top), levels (height, width) float64) of tiles, TILE pixels a side or less."""
    for top, left in product(range(0, image.height, TILE), range(0, image.width, TILE)):
        box = (left, top, min(left + TILE, image.width), min(top + TILE, image.height))
        yield (left, top), np.array(image.crop(box), dtype=np.float64)


def crops(
    path: Path, size: int, names: Sequence[str], sha256: str | None = None
) -> dict[str, NDArray[np.uint8]]:
    """Return name -> (size, size, 3) uint8 RGB for some of `views.CROPS`; decodes the file once.

    If `sha256` is given, the file must still have these bytes, so that features never belong to
    another photo than the table's. PhotoError has the reason if the file can't be read.

    The crop is squashed to a square: padding would waste pixels, and a dog is still a dog at 4:3.
    The filter is bilinear. Pillow widens it when it shrinks, so every source pixel counts and
    nothing aliases.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(error.strerror or str(error)) from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise PhotoError("the file has changed since the table of photos was made")
    image = upright(data)
    result = {}
    for name in names:
        left, top, right, bottom = CROPS[name]
        box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
        result[name] = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box))
    return result


def as_view(images: NDArray[np.uint8], view: str) -> NDArray[np.uint8]:
    """Return crops (n, height, width, 3) uint8 as a view of that crop shows them."""
    return np.ascontiguousarray(images[:, :, ::-1]) if VIEWS[view].mirrored else images


def pixels(path: Path, size: int, sha256: str | None = None) -> NDArray[np.uint8]:
    """Return the whole photo as (size, size, 3) uint8 RGB, as `crops` does."""
    return crops(path, size, ["plain"], sha256)["plain"]
