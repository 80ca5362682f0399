"""Inspection: what a photo file is. It is decoded to the last row."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.data import perceptual_hash, pixels
from dogs_vs_cats.data.remote import RemoteFile
from dogs_vs_cats.errors import PhotoError

CODE = (
    "data.containers",
    "data.inspection",
    "data.jpeg",
    "data.orientation",
    "data.perceptual_hash",
    "data.pixels",
)


@dataclass(frozen=True)
class Inspection:
    """What a photo file is.

    width, height: pixels, once decoded and upright; 0 if it can't be read. sha256: in hex.
    hashes: as of `perceptual_hash.hashes`, None if it can't be read. problem: why not, or "".
    """

    width: int
    height: int
    sha256: str
    hashes: tuple[str, str] | None
    problem: str


def inspect(path: Path | RemoteFile) -> Inspection:
    """Return what a photo file is.

    OSError if the disk doesn't give the file, UserError if a server doesn't: that is not the
    photo's fault, and may pass.
    """
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        image = pixels.upright(data)
    except PhotoError as error:
        return Inspection(0, 0, sha256, None, str(error))
    return Inspection(image.width, image.height, sha256, perceptual_hash.hashes(image), "")
