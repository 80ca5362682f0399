"""Histograms of the page: of probabilities, by class, and of the photos' sizes."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from dogs_vs_cats.legible import counted
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.report.plots import BINS, ROWS, Plot, Value, key, logarithmic, plot, short, tall

OUTLINES = 5  # classes that are drawn as lines; a colour each


def histogram(predictions: Predictions) -> Plot:
    """Draw a histogram of p, of class 1 if there are two classes, else of the true class.

    A line for each class; for more than OUTLINES classes, a row of dots.
    """
    classes, labels = predictions.classes, predictions.labels
    two = len(classes) == 2
    values = predictions.probabilities[np.arange(len(labels)), 1 if two else labels]
    name = f"p of {short(classes[1])}" if two else "p of the true class"
    if len(classes) > OUTLINES:
        return _dots(classes, labels, values)

    def draw(axes: Any) -> None:
        edges = np.linspace(0, 1, 2 * BINS + 1)
        for index, label in enumerate(classes):
            legend = f"of {short(label)}"
            of_class = values[labels == index]
            axes.hist(of_class, edges, histtype="step", linewidth=1.8, label=legend)
        logarithmic(axes, "y")
        axes.set(xlabel=name, ylabel="photos", xlim=(0, 1))
        key(axes, 2)

    return plot(draw, f"Histogram of the {name}, by class")


def _dots(classes: list[str], labels: np.ndarray, values: np.ndarray) -> Plot:
    """Draw a row for each class: a dot for each bin of p, the more photos the larger.

    labels: (n,) class indices; values: (n,) p of the true class. The hardest come first, and of
    more than ROWS classes only they are drawn.
    """
    total = np.bincount(labels, minlength=len(classes))
    means = np.bincount(labels, values, len(classes)) / np.maximum(total, 1)
    rows = [index for index in np.argsort(means, kind="stable").tolist() if total[index]][:ROWS]
    bins = np.minimum((values * BINS).astype(int), BINS - 1)
    counts = np.stack([np.bincount(bins[labels == row], minlength=BINS) for row in rows])
    y, x = counts.nonzero()
    middles = (x + 0.5) / BINS

    def draw(axes: Any) -> Iterable[Value]:
        areas = 150 * counts[y, x] / counts.max()
        axes.scatter(middles, y, np.maximum(areas, 2), linewidths=0)
        axes.set_yticks(range(len(rows)), [short(classes[row]) for row in rows], fontsize=9)
        axes.set(xlabel="p of the true class", xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6))
        for middle, row, bin_ in zip(middles, y, x, strict=True):
            photos = counted(int(counts[row, bin_]), "photo")
            between = f"p of {bin_ / BINS:.1f} to {(bin_ + 1) / BINS:.1f}"
            yield middle, row, f"{classes[rows[row]]}, {between}: {photos}"

    which = (
        "by class" if len(rows) == total.astype(bool).sum() else f"of the {ROWS} hardest classes"
    )
    return plot(draw, f"Histogram of the p of the true class, {which}", tall(len(rows)))


def photo_sizes(table: pd.DataFrame) -> Plot:
    """Draw histograms of the photos' widths and heights. table: photos.csv."""
    table = table[table["problem"] == ""]

    def draw(axes: Any) -> None:
        edges = np.linspace(0, max(table["width"].max(), table["height"].max()), 41)
        for side in "width", "height":
            axes.hist(table[side], edges, histtype="step", linewidth=1.8, label=side)
        axes.set(xlabel="pixels", ylabel="photos")
        key(axes, 2)

    return plot(draw, "Histograms of the photos' widths and heights")
