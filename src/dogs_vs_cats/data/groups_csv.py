"""The group list: groups.csv, in which people say which photos belong together.

Photos of one patient, one camera, one animal: a row a photo, with the columns photo and group.
A photo is named by its file's name, or by as much of its path as it takes to tell it from others.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dogs_vs_cats.errors import UserError

NAME = "groups.csv"
COLUMNS = ["photo", "group"]


def find(folders: list[Path]) -> Path | None:
    """Return the only groups.csv directly in one of `folders`, or None; UserError if several."""
    different = {folder.resolve(): folder for folder in folders}
    found = [folder / NAME for folder in different.values() if (folder / NAME).is_file()]
    if len(found) > 1:
        raise UserError(
            f"Expected one {NAME}. Received {found[0]} and {found[1]}. Put the rows of all in one."
        )
    return found[0] if found else None


def read(path: Path, folder: Path, photos: list[Path]) -> list[str]:
    """Return the group of each of `photos`, paths below `folder`, as `path` says; "" for none.

    UserError names the row whose photo is none of them, could be several, or is in two groups,
    and whose group is empty.
    """
    known = _names(folder, photos)
    groups = [""] * len(photos)
    for number, (name, written) in _rows(path):
        group = written.strip()  # a blank that nobody sees makes no other patient
        where = f"in row {number} of {path}"
        found = known[PurePosixPath(name).parts]
        if not found:
            raise UserError(
                f"Expected a photo's file name, or its path below {folder}, {where}. Received "
                f"{name!r}, which is no photo there. Correct it, or remove the row."
            )
        if len(found) > 1:
            several = " and ".join(str(photos[i].relative_to(folder)) for i in found[:2])
            raise UserError(
                f"Expected the name of one photo {where}. Received {name!r}, which may be "
                f"{several}. Write its path."
            )
        if not group:
            raise UserError(
                f"Expected the name of a group {where}. Received none for {name!r}. Photos that "
                "stand alone need no row."
            )
        if groups[found[0]] not in ("", group):
            raise UserError(
                f"Expected one group for each photo in {path}. Received {groups[found[0]]!r} and, "
                f"in row {number}, {group!r} for {name!r}. Decide on one."
            )
        groups[found[0]] = group
    return groups


def _names(folder: Path, photos: list[Path]) -> dict[tuple[str, ...], list[int]]:
    """Return which photos a name may mean: any end of their paths; a whole path means its own."""
    known = defaultdict(list)
    whole = [photo.relative_to(folder).parts for photo in photos]
    for i, parts in enumerate(whole):
        for start in range(1, len(parts)):
            known[parts[start:]].append(i)
    for i, parts in enumerate(whole):
        known[parts] = [i]
    return known


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each row in the file, 2 the first, and its two fields."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except csv.Error as error:
        raise UserError(f"Expected {path} to be a CSV. Received: {error}.") from error
    if not rows or rows[0] != COLUMNS:
        received = ",".join(rows[0] if rows else [])[:100] or "an empty file"
        raise UserError(f"Expected the columns photo,group in {path}. Received {received}.")
    for number, row in enumerate(rows[1:], start=2):
        if row and len(row) != 2:
            raise UserError(
                f"Expected two fields in each row of {path}. Received {','.join(row)[:100]!r} "
                f"in row {number}. A name with a comma needs quotes around it."
            )
        if row:
            yield number, row
