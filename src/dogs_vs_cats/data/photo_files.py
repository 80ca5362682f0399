"""Photo files: the files below a folder that are photos, or those that PHOTOS names.

A file is a photo by its ending, or by its first bytes where the ending is no photo's.
"""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from dogs_vs_cats.errors import UserError

JPEG = {".jpg", ".jpeg", ".jpe", ".jif", ".jfif"}
NETPBM = {".ppm", ".pgm", ".pbm", ".pnm"}
READABLE = frozenset(
    {".png", ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".jp2", ".avif"} | JPEG | NETPBM
)
# Phones' .heic can be read with pillow-heif. They are always listed, so that each is reported.
SUFFIXES = READABLE | {".heic", ".heif"}
# A camera's raw files begin as TIFF does, and what can be read in them is a thumbnail.
RAW = {".3fr", ".arw", ".cr2", ".dng", ".iiq", ".nef", ".nrw", ".pef", ".sr2", ".srw"}
# Files that lie beside photos and that nobody misses among them.
COMPANIONS = {".csv", ".db", ".html", ".ini", ".json", ".md", ".py", ".tsv", ".txt", ".xml", ".yml"}
# What NAS servers, Windows, Linux, macOS and notebooks put beside photos; other hidden folders
# are left out too.
FOREIGN = {
    "#recycle",
    "$recycle.bin",
    ".ipynb_checkpoints",
    ".thumbnails",
    "@eadir",
    "@recycle",
    "__macosx",
    "lost+found",
    "recycler",
    "system volume information",
}
HEAD = 512  # bytes that MAGIC looks at
MAGIC = re.compile(
    rb"\xff\xd8\xff"  # JPEG
    rb"|\x89PNG\r\n\x1a\n"
    rb"|GIF8[79]a"
    rb"|BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}"  # BMP: no other header has these sizes
    rb"|RIFF.{4}WEBP"
    rb"|II[*+]\0|MM\0[*+]"  # TIFF and BigTIFF
    rb"|\0{3}\x0cjP  |\xff\x4f\xff\x51"  # JPEG 2000
    rb"|P[1-6]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s"  # PBM, PGM, PPM
    rb"|.{4}ftyp(?:avi[fs]|hei[cmsx]|hev[cmsx]|mif1|msf1)",  # AVIF, HEIC
    re.DOTALL,
)
# photo.jpg_large, photo.jpg.1, photo.JPG!d: what comes before the ending that is in the name.
INNER = re.compile(
    rf"(.+)\.(?:{'|'.join(sorted(x[1:] for x in SUFFIXES))})(?![A-Za-z0-9]).*",
    re.IGNORECASE | re.DOTALL,
)


def below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the photos below `folder`, and the files there that are none, but not COMPANIONS.

    Through links too, but no hidden files. OSError names a folder that can't be read.
    """
    photos, others = [], []
    for path in _visible_files(folder):
        if is_photo(path) and can_be_opened(path):
            photos.append(path)
        elif not is_companion(path):
            others.append(path)
    return photos, others


def has_photos(folder: Path) -> bool:
    """Return whether there is a photo below `folder`; OSError as of `below`."""
    return any(map(is_photo, _visible_files(folder)))


def named_by(text: str) -> list[Path]:
    """Return the photos that PHOTOS names: a file, those in a folder, or those of a pattern.

    A file that is named itself may be any. Each photo comes once, in natural order, hidden ones
    not at all. "~" is the home folder, "**" in a pattern any folders. UserError if there are none,
    OSError names a folder that can't be read.
    """
    path = Path(os.path.expanduser(text))
    if not text or not (os.path.lexists(path) or glob.has_magic(text)):
        raise UserError(
            f"PHOTOS={text!r} {'is not there' if text else 'is empty'}. Give a photo, a folder of "
            "photos or a pattern such as 'cats/*.jpg'."
        )
    photos = [x for x in _files_named_by(path) if x == path or is_photo(x)]
    photos = list(filter(can_be_opened, photos))
    if not photos:
        raise UserError(
            f"No photos in {text!r}: no file there is one by its ending "
            f"({', '.join(sorted(READABLE))}) or its first bytes. A photo can be named itself, "
            "whatever its ending."
        )
    return sorted(photos, key=lambda photo: natural_key(str(photo)))


def others_named_by(text: str) -> list[Path]:
    """Return the files that PHOTOS names and that `named_by` leaves out, but not COMPANIONS."""
    path = Path(os.path.expanduser(text))
    found = (x for x in _files_named_by(path) if x != path and not is_companion(x))
    others = [x for x in found if not is_photo(x)]
    return sorted(others, key=lambda other: natural_key(str(other)))


def is_photo(path: Path) -> bool:
    """Return whether a file is a photo; it is opened only if its ending is no photo's."""
    named = is_photo_by_name(path)
    return path.is_file() and is_photo_by_head(_head(path)) if named is None else named


def is_photo_by_name(path: PurePath) -> bool | None:
    """Return whether a file is a photo by its ending, None where its first bytes decide."""
    suffix = path.suffix.lower()
    return True if suffix in SUFFIXES else False if suffix in RAW else None


def is_photo_by_head(head: bytes) -> bool:
    """Return whether a file is a photo by its first HEAD bytes."""
    return MAGIC.match(head) is not None


def is_companion(path: PurePath) -> bool:
    """Return whether a file is one that nobody misses among photos, by its ending."""
    return path.suffix.lower() in COMPANIONS


def _head(path: Path) -> bytes:
    """Return a file's first bytes, none if it can't be read: then it is named as no photo."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def can_be_opened(path: Path) -> bool:
    """Return whether opening a file returns: not so for a pipe or a device.

    A broken link counts: it is a photo with a problem.
    """
    return path.is_file() or not path.exists()


def stem(path: PurePath) -> str:
    """Return a photo's name without its ending: `stem(Path('cat.0.jpg_large')) == 'cat.0'`."""
    if path.suffix.lower() in SUFFIXES:
        return path.stem
    inner = INNER.fullmatch(path.name)
    return inner[1] if inner else path.name


def ending(path: PurePath) -> str:
    """Return what `stem` takes away: `ending(Path('cat.0.jpg_large')) == '.jpg_large'`."""
    return path.name.removeprefix(stem(path))


def is_foreign(name: str) -> bool:
    """Return whether a folder of this name holds no photos of the user's: one of FOREIGN."""
    return name.lower() in FOREIGN


def places(paths: Sequence[PurePath], folder: PurePath) -> dict[str, int]:
    """Return where files below `folder` lie, and how many: a folder, or the file if it is alone."""
    count = Counter(path.parent for path in paths)
    alone = {path.parent: path for path in paths}
    return {
        str(alone[x].relative_to(folder)) if n == 1 else f"{x.relative_to(folder)}{os.sep}": n
        for x, n in sorted(count.items())
    }


def _files_named_by(path: Path) -> set[Path]:
    files: set[Path] = set()
    for match in [path] if os.path.lexists(path) else map(Path, _matches(path)):
        files.update(_visible_files(match) if match.is_dir() else [match])
    return files


def _matches(path: Path) -> Iterator[str]:
    """Yield what a pattern matches, but nothing in foreign folders that it does not name."""
    for match in glob.iglob(str(path), recursive=True):
        if not any(map(is_foreign, set(Path(match).parts) - set(path.parts))):
            yield match


def _visible_files(folder: Path) -> Iterator[Path]:
    seen = set()
    for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if name[0] != "." and not is_foreign(name)]
        yield from (Path(parent, name) for name in names if name[0] != ".")


def _raise(error: OSError) -> None:
    # By default os.walk skips a folder that can't be read, and nobody would miss its photos.
    raise error


def natural_key(text: str) -> str:
    """Return a sort key that puts cat.2 before cat.10, and cat.2 before cat.02.

    A string, as a list of texts and numbers takes five times the memory. Each part ends with a
    character that no name has; a number begins with how many digits it has.
    """
    parts = re.split(r"(\d+)", text)
    return "".join(_number_key(p) if p.isdecimal() else f"\0{p}\0" for p in parts if p)


def _number_key(text: str) -> str:
    digits = str(int(text))
    return f"\1{chr(len(digits))}{digits}\0{text}\0"
