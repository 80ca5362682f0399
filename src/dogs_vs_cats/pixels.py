"""Pixels: the one place where image files are opened, for training, test and own photos alike."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.views import CROPS, VIEWS

# What photos are stored as. Pillow reads more: some of it by other programs, such as EPS.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "JPEG2000", "AVIF")


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
            return _rgb(ImageOps.exif_transpose(image))
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
        # 16-bit levels, by whichever mode Pillow reads them: (height, width), 0 to 65535.
        levels = np.asarray(image, dtype=np.float64)
        if levels.max() > 255:
            levels = levels / 257
        image = Image.fromarray(np.clip(levels, 0, 255).round().astype(np.uint8))
    if image.mode == "PA" or "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


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
