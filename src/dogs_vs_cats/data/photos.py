"""The tables of a dataset: photos.csv, a row for each photo, and classes.csv.

A photo without a label is a test photo; a photo with a problem can't be read.
"""

import csv
import io
from collections.abc import Iterator, Sequence

import pandas as pd

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace

COLUMNS = ["id", "path", "label", "group", "fold", "width", "height", "sha256", "problem"]
NUMBERS = ("fold", "width", "height")
PART = 100_000  # rows read at once


def write(workspace: Workspace, table: pd.DataFrame) -> None:
    """Write photos.csv; UserError if an id occurs twice."""
    twice = table["id"][table["id"].duplicated()]
    if len(twice):
        raise UserError(f"There are two photos for id {twice.iloc[0]}. Rename one.")
    with files.whole(workspace.table) as temporary:
        table.to_csv(
            temporary,
            columns=COLUMNS,
            index=False,
            lineterminator="\n",
            encoding="utf-8",
            errors="surrogateescape",
        )


def read(workspace: Workspace, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """Return photos.csv: text, but width and height in pixels and fold are int, -1 for no fold.

    UserError if it is not as `make data` wrote it, or if a group is in more than one fold: heads
    that were trained on one part of it would predict the rest.
    """
    needed = {*columns, "id", "group", "fold"}
    table = pd.concat(parts(workspace, list(needed)), ignore_index=True)
    if table["id"].duplicated().any():
        raise _changed(workspace)
    folds = table[table["fold"] >= 0].groupby("group")["fold"].nunique()
    if (folds > 1).any():
        raise UserError(
            f"Group {folds.idxmax()} of {workspace.table} is in {folds.max()} folds; a group "
            "belongs in one. Run `make data` again."
        )
    return table[list(columns)]


def parts(workspace: Workspace, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Yield some columns of photos.csv, as of `read`, PART rows at a time; at least one part.

    UserError if it is not as `make data` wrote it, but neither ids nor groups are looked through.
    """
    # A spreadsheet may have put a byte order mark before it, and other ends of lines.
    with workspace.table.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        if file.readline().rstrip("\n") != ",".join(COLUMNS):
            raise _changed(workspace)
    with pd.read_csv(
        workspace.table,
        header=0,
        names=COLUMNS,
        usecols=columns,
        dtype=str,
        keep_default_na=False,
        encoding="utf-8",
        encoding_errors="surrogateescape",
        chunksize=PART,
    ) as tables:
        for table in tables:
            for column in (x for x in NUMBERS if x in columns):
                table[column] = table[column].replace("", "-1").astype(int)
            yield table


def _changed(workspace: Workspace) -> UserError:
    return UserError(
        f"{workspace.table} is not as `make data` wrote it, with the columns "
        f"{', '.join(COLUMNS)} and each id once. Run `make data` again."
    )


def train(table: pd.DataFrame) -> pd.DataFrame:
    """Return the labelled photos that can be read."""
    return table[(table["label"] != "") & (table["problem"] == "")]


def test(table: pd.DataFrame) -> pd.DataFrame:
    """Return the test photos, readable or not, ids ascending as integers."""
    tests = table[table["label"] == ""]
    return tests.iloc[tests["id"].astype(int).argsort(kind="stable")]


def write_classes(workspace: Workspace, classes: list[str]) -> None:
    """Write classes.csv: index and name, in the order of the columns of probabilities."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("index", "class"), *enumerate(classes)])
    files.write_text(workspace.classes, text.getvalue())


def read_classes(workspace: Workspace) -> list[str]:
    """Return the class names, in the order of the columns of every array of probabilities."""
    table = pd.read_csv(
        workspace.classes,
        dtype={"class": str},
        keep_default_na=False,
        encoding="utf-8",
        encoding_errors="surrogateescape",
    )
    if table["index"].tolist() != list(range(len(table))):
        raise UserError(
            f"The indices in {workspace.classes} are {table['index'].tolist()}, not 0, 1, ... in "
            "order. Run `make data` again."
        )
    names: list[str] = table["class"].tolist()
    return names
