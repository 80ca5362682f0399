"""Pixels: the only module that opens image files: photos to train on, to test, and the user's."""

import hashlib
import importlib.util
import io
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from dogs_vs_cats.config.views import CROPS, VIEWS
from dogs_vs_cats.data import containers, jpeg, orientation
from dogs_vs_cats.errors import PhotoError

if TYPE_CHECKING:
    from dogs_vs_cats.data.remote import RemoteFile

# Photos' formats. Pillow reads more, some of it by running other programs, such as EPS.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "PPM", "WEBP", "TIFF", "JPEG2000", "AVIF")
TILE = 1024  # pixels: the side of the squares in which 16-bit and float levels are scaled
LIMIT = 178_956_970  # pixels: what has more is a decompression bomb to Pillow
COEFFICIENTS = 1_000_000_000  # bytes, of a JPEG in several scans with more pixels than LIMIT
EIGHTH = 8  # by which a JPEG with more pixels than LIMIT is made smaller as it is decoded
HEIC = "HEIC: run `make setup EXTRAS=heic` once to read it, or save it as JPEG"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """Return a photo's bytes as an RGB image, turned as its EXIF orientation says.

    Any mode becomes RGB: 16-bit and float levels are scaled to 8 bits, transparency is laid on
    white, an animation gives its first frame. A JPEG with more pixels than LIMIT is decoded at an
    eighth of its width and height. Metadata is left out unread, whatever is wrong with it.
    PhotoError has the reason if the bytes can't be decoded to the last row (the end marker of a
    JPEG may be missing), are in none of FORMATS nor HEIC with pillow-heif installed, or would take
    too much memory: more than `max_pixels` or LIMIT pixels, but a JPEG in one scan may have any
    number, and without `max_pixels` one in several scans as many as COEFFICIENTS allows.
    """
    if not data:
        raise PhotoError("empty file")
    try:
        parts = containers.split(data)
        if containers.is_heic(data):
            return _rgb(_heic(parts.data, max_pixels))
        image = _decoded(parts.data, parts.header, max_pixels)
        exif = parts.exif or image.info.get("exif", b"")
        xmp = parts.xmp or image.info.get("xmp", b"")
        turn = TURNS.get(orientation.orientation(exif, xmp))
        return _rgb(image if turn is None else image.transpose(turn))
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError("not an image") from error
    except Image.DecompressionBombError as error:
        raise _too_many(LIMIT) from error
    except MemoryError:
        raise  # the machine's fault, not the photo's
    # Damaged bytes make Pillow's decoders raise almost anything (OSError, SyntaxError,
    # struct.error, ...). It all means the same here, and the reason is kept.
    except Exception as error:
        raise PhotoError(f"can't be decoded: {' '.join(str(error).split())}") from error


def _too_many(limit: int) -> PhotoError:
    bomb = ": a decompression bomb" if limit == LIMIT else ""
    return PhotoError(f"more than {limit // 10**6} million pixels{bomb}")


def _decoded(data: bytes, header: jpeg.Header | None, max_pixels: int | None) -> Image.Image:
    """Return the image, as stored, that is in a file without metadata."""
    image = _opened(data, header, max_pixels)
    try:
        image.load()
    except OSError:
        whole = _lacking_its_end(data, header)
        if whole is None:
            raise
        return whole
    return image


def _lacking_its_end(data: bytes, header: jpeg.Header | None) -> Image.Image | None:
    """Return the image of a JPEG without its end marker; None if anything else is missing."""
    first: Image.Image | None = None
    for ended in jpeg.endings(data) if header else ():
        image = _opened(ended, header, None)
        try:
            image.load()
        except OSError:
            return None
        if first is None:
            first = image
        elif image.tobytes() != first.tobytes():
            return None
    return first


def _opened(data: bytes, header: jpeg.Header | None, max_pixels: int | None) -> Image.Image:
    """Return the image, not decoded yet; PhotoError if that would take too much memory."""
    limit = LIMIT if max_pixels is None else max_pixels
    if header and header.pixels > limit and not header.one_scan:
        if max_pixels is not None:
            raise PhotoError(
                f"more than {limit // 10**6} million pixels in several scans (progressive): save "
                "it as a baseline JPEG"
            )
        if header.coefficients > COEFFICIENTS:
            raise PhotoError(
                f"its {header.pixels // 10**6} million pixels in several scans (progressive) take "
                f"more than {COEFFICIENTS // 10**9} GB: save it as a baseline JPEG"
            )
    if header and header.pixels > LIMIT:
        large = JpegImageFile(io.BytesIO(data))  # Image.open would refuse it
        large.draft(None, (large.width // EIGHTH, large.height // EIGHTH))
        return large
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if not header and image.width * image.height > limit:
        raise _too_many(limit)
    return image


def _heic(data: bytes, max_pixels: int | None) -> Image.Image:
    """Return the image that is in a HEIC file without metadata, upright."""
    if importlib.util.find_spec("pillow_heif") is None:
        raise PhotoError(HEIC)
    import pillow_heif

    file = pillow_heif.open_heif(io.BytesIO(data))
    limit = min(max_pixels or LIMIT, LIMIT)
    if file.size[0] * file.size[1] > limit:
        raise _too_many(limit)
    image = Image.frombytes(file.mode, file.size, file.data, "raw", file.mode, file.stride)
    return image.convert("RGBA") if image.mode == "RGBa" else image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    if image.mode == "PA" or "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


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
    path: "Path | RemoteFile", size: int, names: Sequence[str], sha256: str | None = None
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


def pixels(path: "Path | RemoteFile", size: int, sha256: str | None = None) -> NDArray[np.uint8]:
    """Return the whole photo as (size, size, 3) uint8 RGB, as `crops` does."""
    return crops(path, size, ["plain"], sha256)["plain"]
