"""Photo files: the files below a folder that have a photo's suffix, or those that PHOTOS names."""

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

from dogs_vs_cats.errors import UserError

READABLE = frozenset(
    [".jpg", ".jpeg", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".jp2", ".avif"]
)
# Phones' .heic can be read with pillow-heif. They are always listed, so that each is reported.
SUFFIXES = READABLE | {".heic", ".heif"}


def below(folder: Path) -> Iterator[Path]:
    """Yield the files with a photo's suffix below `folder`, through links too, but not hidden ones.

    OSError names a folder that can't be read.
    """
    return (path for path in _visible_files(folder) if path.suffix.lower() in SUFFIXES)


def named_by(text: str) -> list[Path]:
    """Return the photos that PHOTOS names: a file, those in a folder, or those of a pattern.

    A file that is named itself may have any suffix. Each photo comes once, in natural order,
    hidden ones not at all. "~" is the home folder, "**" in a pattern any folders. UserError if
    there are none, OSError names a folder that can't be read.
    """
    path = Path(os.path.expanduser(text))
    exists = os.path.lexists(path)
    if not text or not (exists or glob.has_magic(text)):
        raise UserError(
            f"PHOTOS={text!r} {'is not there' if text else 'is empty'}. Give a photo, a folder of "
            "photos or a pattern such as 'cats/*.jpg'."
        )
    photos: set[Path] = set()
    for match in [path] if exists else map(Path, glob.iglob(str(path), recursive=True)):
        if match.is_dir():
            photos.update(below(match))
        elif exists or match.suffix.lower() in SUFFIXES:
            photos.add(match)
    photos = set(filter(can_be_opened, photos))
    if not photos:
        raise UserError(
            f"No photos in {text!r}: no file ends in {', '.join(sorted(READABLE))}. A photo with "
            "another suffix can be named itself."
        )
    return sorted(photos, key=lambda photo: natural_key(str(photo)))


def can_be_opened(path: Path) -> bool:
    """Return whether opening a file returns: not so for a pipe or a device.

    A broken link counts: it is a photo with a problem.
    """
    return path.is_file() or not path.exists()


def _visible_files(folder: Path) -> Iterator[Path]:
    seen = set()
    for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if name[0] != "." and name != "__MACOSX"]
        yield from (Path(parent, name) for name in names if name[0] != ".")


def _raise(error: OSError) -> None:
    # By default os.walk skips a folder that can't be read, and nobody would miss its photos.
    raise error


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts cat.2 before cat.10: [(0, 0, 'cat.'), (1, 2, '2')]."""
    parts = re.split(r"(\d+)", text)
    return [(1, int(p), p) if p.isdecimal() else (0, 0, p) for p in parts if p]
