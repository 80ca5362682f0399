"""Verdicts: what the user decides about training photos with doubtful labels.

data/<dataset>/verdicts.csv has a row for each such photo: photo, its id or path in photos.csv, or
as much of the end of the path as it takes; verdict: keep, drop, or the name of its true class; why,
a remark that may be blank. The file is the user's: only `make review` writes it, a decision at a
time (verdict_writer.py), and no stage does. Heads are trained as it says, but always measured on
the labels as they came: leaving out the photos they get wrong would make them look better.
"""

import csv
import difflib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import files
from dogs_vs_cats.data import remote
from dogs_vs_cats.data.photo_names import PhotoNames, same_form
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


@dataclass(frozen=True)
class Row:
    """A row of the file: the line that it begins in, the photo's name as it is written there."""

    line: int
    name: str
    verdict: Verdict


@dataclass(frozen=True)
class LabelledPhotos:
    """What a verdict may name: the ids of the labelled photos, and their names, None of none."""

    ids: list[str]
    names: PhotoNames | None


def changes(workspace: Workspace, named: LabelledPhotos | None = None) -> dict[str, str]:
    """Return photo id -> verdict, for the photos that are not trained on as they came.

    {} if there is no file. named: of `labelled_photos`, where it is known already. UserError if the
    file can't be parsed, has a photo twice, or a name that may be several; whether its photos and
    classes exist is not checked. Standard library only.
    """
    rows = rows_of(workspace, named).items()
    return {photo: row.verdict.verdict for photo, row in rows if row.verdict.verdict != KEEP}


def read(
    workspace: Workspace,
    table: "pd.DataFrame",
    classes: list[str],
    named: LabelledPhotos | None = None,
) -> dict[str, Verdict]:
    """Return photo id -> verdict, {} if there is no file.

    table: rows of photos.csv, with all training photos. named: as in `changes`. UserError names the
    line and the photo of a verdict that is unknown, ambiguous, or not on a training photo.
    """
    from dogs_vs_cats.data import photos

    rows = rows_of(workspace, named)
    ids = set(photos.train(table)["id"]) if rows else set()
    by_form = {same_form(name): name for name in classes}
    decided = {}
    for photo, row in rows.items():
        verdict = row.verdict.verdict
        verdict = verdict if verdict in classes else by_form.get(same_form(verdict), verdict)
        where = f"Line {row.line} of {workspace.verdicts}"
        if photo not in ids:
            raise UserError(
                f"{where} names {row.name!r}, {_what_it_is(photo, table)}. It must be the id or "
                f"path of a training photo, as in {workspace.table}.{_nearest(row.name, ids)}"
            )
        if verdict not in (KEEP, DROP, *classes):
            raise UserError(
                f"{where} says {verdict!r} of {row.name!r}. A verdict is {KEEP}, {DROP} or a "
                f"class: {', '.join(classes)}.{_nearest(verdict, [KEEP, DROP, *classes])}"
            )
        if verdict in (KEEP, DROP) and verdict in classes:
            raise UserError(
                f"{where} says {verdict!r} of {row.name!r}, which is ambiguous: it is also the "
                "name of a class. Rename the class's folder, then run `make data` again."
            )
        decided[photo] = Verdict(verdict, row.verdict.why)
    return decided


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


def rows_of(workspace: Workspace, named: LabelledPhotos | None = None) -> dict[str, Row]:
    """Return photo id -> its row; a name that no labelled photo has stands for itself.

    named, and UserError: as in `changes`.
    """
    parsed = _parsed(workspace)
    if named is None:
        named = labelled_photos(workspace) if parsed else LabelledPhotos([], None)
    ids, names = named.ids, named.names
    rows: dict[str, Row] = {}
    for row in parsed:
        matches = names.find(row.name) if names else []
        if len(matches) > 1:
            raise UserError(
                f"Line {row.line} of {workspace.verdicts} names {row.name!r}, which may be "
                f"{' or '.join(ids[i] for i in matches[:2])}. Write its id."
            )
        photo = ids[matches[0]] if matches else row.name
        if photo in rows:
            raise UserError(
                f"{workspace.verdicts} has two verdicts on {photo!r}, in lines {rows[photo].line} "
                f"and {row.line}. Decide on one."
            )
        rows[photo] = row
    return rows


def labelled_photos(workspace: Workspace) -> LabelledPhotos:
    """Return the labelled photos of photos.csv, none if there is no such file."""
    if not workspace.table.exists():
        return LabelledPhotos([], None)
    with workspace.table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("label") and row.get("path")]
    ids = [row["id"] for row in rows]
    paths = [remote.place(row["path"]) for row in rows]
    return LabelledPhotos(ids, PhotoNames(ids, paths, Path()))


def _parsed(workspace: Workspace) -> list[Row]:
    path = workspace.verdicts
    rows = []
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
            rows.append(Row(line, photo, Verdict(verdict, why)))
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
