"""Verdicts: verdicts.csv, what the user decides about training photos with doubtful labels.

data/<dataset>/verdicts.csv has a row a photo: photo, its id in photos.csv; verdict: keep, drop, or
the name of the class that it is; why, a remark that may be blank. The file is the user's: nothing
here writes or removes it. Heads are trained as it says; what they say is always measured on the
labels as they came, or leaving out what they get wrong would make them look better.
"""

import csv
import difflib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

COLUMNS = ["photo", "verdict", "why"]
KEEP, DROP = "keep", "drop"


@dataclass(frozen=True)
class Verdict:
    """verdict: keep, drop or a class's name. why: as the user wrote it, maybe blank."""

    verdict: str
    why: str


def decided(workspace: Workspace) -> dict[str, str]:
    """Return photo id -> verdict, {} where there is no file; for stamps.

    Those that keep a photo as it is are left out: they decide nothing that is trained. Whether the
    photos and classes exist is not asked. UserError if the file is no such CSV, or has a photo
    twice. Standard library alone.
    """
    rows = _rows(workspace)
    return {photo: one.verdict for photo, (_, one) in rows.items() if one.verdict != KEEP}


def read(workspace: Workspace, table, classes: list[str]) -> dict[str, Verdict]:
    """Return photo id -> verdict, {} where there is no file.

    table: rows of photos.csv, with all training photos. UserError names the line and the photo
    of a verdict that is unknown, could mean two things, or is on no training photo.
    """
    from dogs_vs_cats.data import photos

    found = _rows(workspace)
    known = set(photos.train(table)["id"]) if found else set()
    for photo, (line, one) in found.items():
        where = f"line {line} of {workspace.verdicts}"
        if photo not in known:
            raise UserError(
                f"Expected the id of a training photo in {where}. Received {photo!r}, "
                f"{_what(photo, table)}.{_nearest(photo, known)} Ids are in {workspace.table}."
            )
        if one.verdict not in (KEEP, DROP, *classes):
            raise UserError(
                f"Expected the verdict on {photo!r}, {where}, to be {KEEP}, {DROP} or a class: "
                f"{', '.join(classes)}. Received {one.verdict!r}."
                f"{_nearest(one.verdict, [KEEP, DROP, *classes])}"
            )
        if one.verdict in (KEEP, DROP) and one.verdict in classes:
            raise UserError(
                f"Expected the verdict on {photo!r}, {where}, to mean one thing. Received "
                f"{one.verdict!r}, which is a class here too. Rename the class's folder, then run "
                "`make data` again."
            )
    return {photo: one for photo, (_, one) in found.items()}


def taught(found: dict[str, Verdict], table, classes: list[str]) -> "np.ndarray":
    """Return (n,) int: the class that each training photo is taught as, -1 where it is dropped.

    table: the training photos, rows of photos.csv. UserError if no photo of a class is left.
    """
    import numpy as np

    names = []
    for photo, label in zip(table["id"], table["label"], strict=True):
        verdict = found[photo].verdict if photo in found else KEEP
        names.append({KEEP: label, DROP: None}.get(verdict, verdict))
    gone = [name for name in classes if name in set(table["label"]) - set(names)]
    if gone:
        raise UserError(
            f"Expected verdicts that leave photos of every class. Received none of {gone[0]} that "
            "is neither dropped nor of another class. Keep some of them."
        )
    return np.array([-1 if name is None else classes.index(name) for name in names], np.int64)


def counts(found: dict[str, Verdict], table) -> dict[str, int]:
    """Return how many photos are dropped and relabelled; their own class keeps them."""
    labels = dict(zip(table["id"], table["label"], strict=True))
    kept = sum(one.verdict in (KEEP, labels[photo]) for photo, one in found.items())
    dropped = sum(one.verdict == DROP for one in found.values())
    return {"dropped": dropped, "relabelled": len(found) - dropped - kept}


def _rows(workspace: Workspace) -> dict[str, tuple[int, Verdict]]:
    """Return photo -> the line that its row begins in, and its verdict."""
    path, found, start, headed = workspace.verdicts, {}, 1, False
    text = files.read_text(path) if path.exists() else ""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            line, start = start, reader.line_num + 1
            # As spreadsheets write empty lines.
            if not any(row):
                continue
            if not headed:
                _require_columns(workspace, row)
                headed = True
                continue
            if len(row) != len(COLUMNS):
                raise UserError(
                    f"Expected three fields in line {line} of {path}. Received {len(row)}, for "
                    f"{row[0]!r}. A blank why needs its comma, and one with a comma quotes around "
                    "it."
                )
            photo, verdict, why = row
            if photo in found:
                raise UserError(
                    f"Expected one verdict for each photo in {path}. Received two on {photo!r}, "
                    f"in lines {found[photo][0]} and {line}. Decide on one."
                )
            found[photo] = line, Verdict(verdict, why)
    except csv.Error as error:
        raise UserError(
            f"Expected {path} to be a CSV. Received, from line {start} on: {error}. Look for a "
            "quote that is not closed."
        ) from error
    return found


def _require_columns(workspace: Workspace, header: list[str]) -> None:
    if header != COLUMNS:
        raise UserError(
            f"Expected the columns photo,verdict,why in {workspace.verdicts}, with commas between "
            f"them. Received {','.join(header)[:100]!r}. Correct the first line, or save the file "
            "as CSV with commas."
        )


def _what(photo: str, table) -> str:
    rows = table[table["id"] == photo]
    if rows.empty:
        return "which is no photo's"
    return "a test photo's" if rows["label"].iloc[0] == "" else "a photo's that can't be read"


def _nearest(name: str, names: Iterable[str]) -> str:
    lower = {one.lower(): one for one in sorted(names)}
    found = difflib.get_close_matches(name.strip().lower(), lower, 1)
    return f" The nearest is {lower[found[0]]!r}." if found else ""
