"""Out-of-fold predictions: out-of-fold.csv, each photo by heads that were not trained on it.

A row for each photo: id, group, fold, label; p_<class>, the calibrated probabilities;
raw_p_<class>, those before calibration.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dogs_vs_cats import files
from dogs_vs_cats.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

NAME = "out-of-fold.csv"
WITHOUT = "without-verdicts.csv"  # the same, by heads trained without verdicts.csv
COLUMNS = ["id", "group", "fold", "label"]


@dataclass(frozen=True)
class Predictions:
    """ids, groups: n texts, as in photos.csv. classes: names, in the order of the columns.

    labels: (n,) int class indices. probabilities: (n, classes) float64, calibrated. folds: (n,)
    int. raw: (n, classes) float64, before calibration.
    """

    ids: list[str]
    groups: list[str]
    classes: list[str]
    labels: np.ndarray
    probabilities: np.ndarray
    folds: np.ndarray
    raw: np.ndarray

    def names(self) -> list[str]:
        """Return the class of each photo."""
        return [self.classes[label] for label in self.labels]

    def described(self) -> dict[str, tuple[str, str, int]]:
        """Return id -> (class, group, fold)."""
        described = zip(self.names(), self.groups, self.folds.tolist(), strict=True)
        return dict(zip(self.ids, described, strict=True))


def write(
    folder: Path,
    table: "pd.DataFrame",
    classes: list[str],
    raw: np.ndarray,
    calibrated: np.ndarray,
) -> None:
    """Write the predictions of the photos in `table`, rows of photos.csv, into `folder`.

    raw, calibrated: (n, classes), in the order of the table's rows.
    """
    written = table[COLUMNS].copy()
    for index, name in enumerate(classes):
        written[f"p_{name}"] = calibrated[:, index]
    for index, name in enumerate(classes):
        written[f"raw_p_{name}"] = raw[:, index]
    files.write_text(folder / NAME, written.to_csv(index=False, lineterminator="\n"))


def read(folder: Path, name: str = NAME) -> Predictions:
    """Return the predictions in a recipe's folder; UserError if the file has other columns."""
    path = folder / name
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    classes = [name[2:] for name in header if name.startswith("p_")]
    expected = COLUMNS + [f"{kind}_{name}" for kind in ("p", "raw_p") for name in classes]
    if header != expected or not rows:
        raise UserError(
            f"{path} must have the columns id, group, fold, label, p_<class> and raw_p_<class>; it "
            f"has {','.join(header)[:100] or 'none, as it is empty'}. Run `make train "
            f"RECIPE={folder.name}` again, or remove {folder}."
        )
    number = {name: index for index, name in enumerate(classes)}
    first, second = len(COLUMNS), len(COLUMNS) + len(classes)
    return Predictions(
        [row[0] for row in rows],
        [row[1] for row in rows],
        classes,
        np.array([number[row[3]] for row in rows], np.int64),
        np.array([row[first:second] for row in rows], np.float64),
        np.array([row[2] for row in rows], np.int64),
        np.array([row[second:] for row in rows], np.float64),
    )
