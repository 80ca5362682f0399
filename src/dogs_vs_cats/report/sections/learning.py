"""Learning: the learning curves, and the confusion matrix."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.report import plots
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.report.plots import Plot


@dataclass(frozen=True)
class LearningSection:
    """curves: log loss and accuracy by epoch; [] for a blend, which has no heads of its own.

    confusion: photos by true class (rows) and predicted class (columns).
    """

    curves: list[Plot]
    classes: list[str]
    confusion: list[list[int]]


def section(context: ReportContext) -> LearningSection:
    predictions = context.predictions
    return LearningSection(_curves(context.folder), predictions.classes, confusion(predictions))


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
