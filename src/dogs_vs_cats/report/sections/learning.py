"""Learning: the learning curves, and the confusion matrix."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.report import plots
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.report.plots import Plot

MATRIX = 10  # classes of a matrix that fits a page
LISTED = 25  # confusions, where there is no matrix


@dataclass(frozen=True)
class LearningSection:
    """curves: log loss and accuracy by epoch; [] for a blend, which has no heads of its own.

    confusion: photos by true class (rows) and predicted class (columns); [] of more than MATRIX
    classes, whose most frequent confusions are in `confusions`: true and predicted class, photos,
    and their share of the true class.
    """

    curves: list[Plot]
    classes: list[str]
    confusion: list[list[int]]
    confusions: list[list[str]]


def section(context: ReportContext) -> LearningSection:
    classes, cells = context.predictions.classes, confusion(context.predictions)
    few = len(classes) <= MATRIX
    confused = [] if few else confusions(classes, cells)
    return LearningSection(_curves(context.folder), classes, cells if few else [], confused)


def _curves(folder: Path) -> list[Plot]:
    path = folder / "history.csv"
    if not path.exists():
        return []
    history = pd.read_csv(path)
    columns = ("loss", "log loss"), ("accuracy", "accuracy")
    return [plots.learning_curves(history, name, label) for name, label in columns]


def confusion(predictions: Predictions) -> list[list[int]]:
    """Return how many photos of each class (rows) are predicted as each class (columns)."""
    count = len(predictions.classes)
    cells = np.zeros((count, count), int)
    np.add.at(cells, (predictions.labels, predictions.probabilities.argmax(axis=1)), 1)
    rows: list[list[int]] = cells.tolist()
    return rows


def confusions(classes: list[str], cells: list[list[int]]) -> list[list[str]]:
    """Return the LISTED most frequent mistakes: true and predicted class, photos, their share."""
    found = [
        (cells[true][guess], true, guess)
        for true in range(len(classes))
        for guess in range(len(classes))
        if true != guess and cells[true][guess]
    ]
    found.sort(key=lambda mistake: (-mistake[0], *mistake[1:]))
    return [
        [classes[true], classes[guess], f"{count:,}", f"{count / sum(cells[true]):.1%}"]
        for count, true, guess in found[:LISTED]
    ]
