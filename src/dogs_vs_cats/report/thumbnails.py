"""Thumbnails: photos as pictures inside the page."""

import base64
import hashlib
import io
from pathlib import Path

from PIL import Image

from dogs_vs_cats.data import pixels
from dogs_vs_cats.data.remote import RemoteFile
from dogs_vs_cats.errors import PhotoError

SIDE = 480  # pixels of the longer side, enough to look at a photo alone
QUALITY = 70  # of WebP


def thumbnail(path: Path | RemoteFile, sha256: str, side: int = SIDE) -> Image.Image:
    """Return a photo, upright, its sides at most `side` pixels.

    PhotoError if it can't be shown.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(error.strerror or str(error)) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise PhotoError("the file has changed since the table of photos was made")
    image = pixels.upright(data)
    image.thumbnail((side, side))
    return image


def data_uri(image: Image.Image) -> str:
    """Return a picture, RGB or RGBA, as a data URI."""
    data = io.BytesIO()
    image.save(data, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode("ascii")
