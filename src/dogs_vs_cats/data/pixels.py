"""Pixels: the one place where image files are opened, for training, test and own photos alike."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dogs_vs_cats.config.views import CROPS, VIEWS
from dogs_vs_cats.errors import PhotoError

# What photos are stored as. Pillow reads more: some of it by other programs, such as EPS.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "JPEG2000", "AVIF")
TILE = 1024  # pixels: the side of the squares that 16-bit and float levels are scaled by


def upright(data: bytes, most: int | None = None) -> Image.Image:
    """Return a photo's bytes as an RGB image, turned as its EXIF orientation says.

    Any mode becomes RGB: 16-bit and float levels are scaled to 8 bits, transparency is laid on
    white, of an animation the first frame is taken. Raises PhotoError with the reason if the
    bytes can't be decoded to the last row, are of none of FORMATS, or would be more than `most`
    pixels, or more than twice Pillow's limit of 89 million (a decompression bomb).
    """
    if not data:
        raise PhotoError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if most is not None and image.width * image.height > most:
                raise PhotoError(f"more than {most // 10**6} million pixels")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # else a copy is always made
            return _rgb(image)
    except PhotoError:
        raise
    except Image.UnidentifiedImageError as error:
        raise PhotoError("not an image") from error
    except Image.DecompressionBombError as error:
        raise PhotoError("too many pixels: a decompression bomb") from error
    except MemoryError:
        raise  # the machine's fault, not the photo's
    # Hostile bytes make Pillow's decoders raise whatever they stumble over (OSError, SyntaxError,
    # struct.error, ...). Each means the same to us, and the reason is kept.
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
    """Return 16-bit, whole or float levels as mode L, clipped to 0 to 255 and rounded.

    If any is above 255 and none is NaN, they are taken for 0 to 65535 and divided by 257. Tile by
    tile: float64 of a whole photo is 8 bytes a pixel, and the steps would each hold their own.
    """
    deep = np.max([levels.max() for _, levels in _tiles(image)]) > 255
    found = Image.new("L", image.size)
    for corner, levels in _tiles(image):
        if deep:
            levels /= 257
        np.clip(levels, 0, 255, out=levels).round(out=levels)
        found.paste(Image.fromarray(levels.astype(np.uint8)), corner)
    return found


def _tiles(image: Image.Image) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield ((left, top), levels (height, width) float64) of squares of TILE pixels or less."""
    for top, left in product(range(0, image.height, TILE), range(0, image.width, TILE)):
        box = (left, top, min(left + TILE, image.width), min(top + TILE, image.height))
        yield (left, top), np.array(image.crop(box), dtype=np.float64)


def crops(
    path: Path, size: int, names: Sequence[str], sha256: str | None = None
) -> dict[str, np.ndarray]:
    """Return name -> (size, size, 3) uint8 RGB for some of `views.CROPS`, the file decoded once.

    Where `sha256` is given, the file must still have these bytes: features never belong to
    another photo than the table's. PhotoError says why the file can't be shown.

    The photo, or the part of it, is squashed to a square: padding would spend pixels on nothing,
    and a dog stays a dog at 4:3. The filter is bilinear; Pillow widens it when it shrinks, so
    that every source pixel counts and nothing aliases.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(error.strerror or str(error)) from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise PhotoError("the file has changed since the table of photos was made")
    image = upright(data)
    found = {}
    for name in names:
        left, top, right, bottom = CROPS[name]
        box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
        found[name] = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box))
    return found


def shown(images: np.ndarray, view: str) -> np.ndarray:
    """Return photos (n, height, width, 3), the crop of a view, as the view shows them."""
    return np.ascontiguousarray(images[:, :, ::-1]) if VIEWS[view].mirrored else images


def pixels(path: Path, size: int, sha256: str | None = None) -> np.ndarray:
    """Return the whole photo as (size, size, 3) uint8 RGB, as `crops` does."""
    return crops(path, size, ["plain"], sha256)["plain"]
