"""groups.csv: the user's list of photos that belong together, as of one patient or one animal.

It has a row for each such photo, with the columns photo and group. A photo is given by its id, the
name of its file, or as much of the end of its path as it takes to tell it from others.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import TypeVar

from dogs_vs_cats.data.photo_names import PhotoNames, same_form
from dogs_vs_cats.data.remote import RemoteFile
from dogs_vs_cats.errors import UserError

NAME = "groups.csv"
COLUMNS = ["photo", "group"]
F = TypeVar("F", Path, RemoteFile)


def find(folders: list[Path]) -> Path | None:
    """Return the only groups.csv directly in one of `folders`, or None; UserError if several."""
    different = {folder.resolve(): folder for folder in folders}
    return only([folder / NAME for folder in different.values() if (folder / NAME).is_file()])


def only(paths: list[F]) -> F | None:
    """Return the only groups.csv of those found, or None; UserError if several."""
    if len(paths) > 1:
        raise UserError(
            f"There are two {NAME}, {paths[0]} and {paths[1]}. Put the rows of both in one."
        )
    return paths[0] if paths else None


def read(
    path: Path | RemoteFile, folder: PurePath, photos: Sequence[PurePath], ids: Sequence[str]
) -> list[str]:
    """Return the group of each of `photos`, which are paths below `folder`; "" for none.

    ids: of the photos.

    UserError names the row of `path` whose photo is none of them, could be several, or is in two
    groups, or whose group is empty.
    """
    paths = [str(photo.relative_to(folder)) for photo in photos]
    names = PhotoNames(ids, paths, folder)
    groups = [""] * len(photos)
    for number, (name, text) in _rows(path):
        group = same_form(text.strip())  # an invisible blank is no different group
        where = f"Row {number} of {path}"
        matches = names.find(name)
        if not matches:
            raise UserError(
                f"{where} is for {name!r}, which is no photo: neither an id nor a file name nor a "
                f"path below {folder}. Correct it, or remove the row."
            )
        if len(matches) > 1:
            several = " or ".join(paths[i] for i in matches[:2])
            raise UserError(f"{where} is for {name!r}, which may be {several}. Write its path.")
        if not group:
            raise UserError(
                f"{where}, for {name!r}, has no group. Photos that stand alone need no row."
            )
        if groups[matches[0]] not in ("", group):
            raise UserError(
                f"{where} puts {name!r} in group {group!r}, an earlier row in "
                f"{groups[matches[0]]!r}. Decide on one."
            )
        groups[matches[0]] = group
    return groups


def _rows(path: Path | RemoteFile) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each row in the file, from 2, and its two fields."""
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise UserError(
            f"{path} is no valid CSV: {error}. Look for a quote that is not closed."
        ) from error
    if not rows or rows[0] != COLUMNS:
        header = f"begins with {','.join(rows[0])[:100]!r}" if rows else "is empty"
        raise UserError(f"{path} {header}. Its first line must be photo,group.")
    for number, row in enumerate(rows[1:], start=2):
        if row and len(row) != 2:
            raise UserError(
                f"Row {number} of {path}, {','.join(row)[:100]!r}, has {len(row)} fields, not two. "
                "A name with a comma needs quotes around it."
            )
        if row:
            yield number, row
