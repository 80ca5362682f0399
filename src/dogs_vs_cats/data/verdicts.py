"""Verdicts: what the user decides about training photos with doubtful labels.

data/<dataset>/verdicts.csv has a row for each such photo: photo, its id in photos.csv; verdict:
keep, drop, or the name of its true class; why, a remark that may be blank. The file is the user's:
nothing here writes or removes it. Heads are trained as it says, but always measured on the labels
as they came: leaving out the photos they get wrong would make them look better.
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
    import pandas as pd
    from numpy.typing import NDArray

COLUMNS = ["photo", "verdict", "why"]
KEEP, DROP = "keep", "drop"


@dataclass(frozen=True)
class Verdict:
    """verdict: keep, drop or a class's name. why: as the user wrote it, maybe blank."""

    verdict: str
    why: str


def changes(workspace: Workspace) -> dict[str, str]:
    """Return photo id -> verdict, for the photos that are not trained on as they came.

    {} if there is no file. UserError if the file can't be parsed or has a photo twice; whether
    its photos and classes exist is not checked. Standard library only.
    """
    rows = _rows(workspace).items()
    return {photo: verdict.verdict for photo, (_, verdict) in rows if verdict.verdict != KEEP}


def read(workspace: Workspace, table: "pd.DataFrame", classes: list[str]) -> dict[str, Verdict]:
    """Return photo id -> verdict, {} if there is no file.

    table: rows of photos.csv, with all training photos. UserError names the line and the photo
    of a verdict that is unknown, ambiguous, or not on a training photo.
    """
    from dogs_vs_cats.data import photos

    rows = _rows(workspace)
    ids = set(photos.train(table)["id"]) if rows else set()
    for photo, (line, row) in rows.items():
        where = f"Line {line} of {workspace.verdicts}"
        if photo not in ids:
            raise UserError(
                f"{where} names {photo!r}, {_what_it_is(photo, table)}. It must be the id of a "
                f"training photo, as in {workspace.table}.{_nearest(photo, ids)}"
            )
        if row.verdict not in (KEEP, DROP, *classes):
            raise UserError(
                f"{where} says {row.verdict!r} of {photo!r}. A verdict is {KEEP}, {DROP} or a "
                f"class: {', '.join(classes)}.{_nearest(row.verdict, [KEEP, DROP, *classes])}"
            )
        if row.verdict in (KEEP, DROP) and row.verdict in classes:
            raise UserError(
                f"{where} says {row.verdict!r} of {photo!r}, which is ambiguous: it is also the "
                "name of a class. Rename the class's folder, then run `make data` again."
            )
    return {photo: verdict for photo, (_, verdict) in rows.items()}


def corrected_labels(
    verdicts: dict[str, Verdict], table: "pd.DataFrame", classes: list[str]
) -> "NDArray[np.int64]":
    """Return (n,) int64: the class index that each photo is trained on as, -1 if it is dropped.

    table: the training photos, rows of photos.csv. UserError if no photo of a class is left.
    """
    import numpy as np

    labels = table["label"].tolist()
    corrected = []
    for photo, label in zip(table["id"], labels, strict=True):
        verdict = verdicts[photo].verdict if photo in verdicts else KEEP
        corrected.append({KEEP: label, DROP: None}.get(verdict, verdict))
    gone = [name for name in classes if name in set(labels) - set(corrected)]
    if gone:
        raise UserError(
            f"The verdicts leave no photo of {gone[0]}: all are dropped or of another class. Keep "
            "some of them."
        )
    return np.array([-1 if name is None else classes.index(name) for name in corrected], np.int64)


def counts(verdicts: dict[str, Verdict], table: "pd.DataFrame") -> dict[str, int]:
    """Return how many photos are dropped and how many get another class."""
    labels = dict(zip(table["id"], table["label"], strict=True))
    kept = sum(x.verdict in (KEEP, labels[photo]) for photo, x in verdicts.items())
    dropped = sum(x.verdict == DROP for x in verdicts.values())
    return {"dropped": dropped, "relabelled": len(verdicts) - dropped - kept}


def _rows(workspace: Workspace) -> dict[str, tuple[int, Verdict]]:
    """Return photo -> the line that its row begins in, and its verdict."""
    path = workspace.verdicts
    rows: dict[str, tuple[int, Verdict]] = {}
    start, has_header = 1, False
    text = files.read_text(path) if path.exists() else ""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            line, start = start, reader.line_num + 1
            if not any(row):  # an empty line, as spreadsheets write it
                continue
            if not has_header:
                _require_columns(workspace, row)
                has_header = True
                continue
            if len(row) != len(COLUMNS):
                raise UserError(
                    f"Line {line} of {path}, for {row[0]!r}, has {len(row)} fields, not three. A "
                    "blank why still needs its comma, and one with a comma needs quotes around it."
                )
            photo, verdict, why = row
            if photo in rows:
                raise UserError(
                    f"{path} has two verdicts on {photo!r}, in lines {rows[photo][0]} and {line}. "
                    "Decide on one."
                )
            rows[photo] = line, Verdict(verdict, why)
    except csv.Error as error:
        raise UserError(
            f"{path} is no valid CSV from line {start} on: {error}. Look for a quote that is not "
            "closed."
        ) from error
    return rows


def _require_columns(workspace: Workspace, header: list[str]) -> None:
    if header != COLUMNS:
        raise UserError(
            f"{workspace.verdicts} begins with {','.join(header)[:100]!r}, not with the columns "
            "photo,verdict,why and commas between them. Correct the first line, or save the file "
            "as CSV with commas."
        )


def _what_it_is(photo: str, table: "pd.DataFrame") -> str:
    rows = table[table["id"] == photo]
    if rows.empty:
        return "which is no photo"
    return "a test photo" if rows["label"].iloc[0] == "" else "a photo that can't be read"


def _nearest(name: str, names: Iterable[str]) -> str:
    lower = {name.lower(): name for name in sorted(names)}
    matches = difflib.get_close_matches(name.strip().lower(), lower, 1)
    return f" The nearest is {lower[matches[0]]!r}." if matches else ""
