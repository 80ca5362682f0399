"""Plots of the report, as SVG in the colours of a light and of a dark page."""

import base64
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.legible import legible
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.out_of_fold import Predictions

SIZE = (5.0, 3.2)  # inches; on a phone the text is still nine pixels high
BINS = 10
TIME = "%Y-%m-%dT%H:%M:%SZ"  # as the ledger has it
CLASSES = 8  # more than these share one line
# Blue, vermilion, green, orange, purple: safe for colour-blind readers (Okabe & Ito 2008).
LIGHT = ("#1b1f24", "#c9d1d9", ["#0072b2", "#d55e00", "#009e73", "#b07c00", "#a05a8c"])
DARK = ("#e6e9ed", "#454c55", ["#56b4e9", "#ff8f4d", "#2fcf9f", "#e6b800", "#dd9cc8"])

Draw = Callable[[Any], None]


@dataclass(frozen=True)
class Plot:
    """light, dark: data URIs of the same plot. alt: what it shows, for readers who can't see it."""

    light: str
    dark: str
    alt: str


def plot(draw: Draw, alt: str) -> Plot:
    """Return what `draw` draws into Matplotlib axes, in both colours."""
    return Plot(_uri(draw, *LIGHT), _uri(draw, *DARK), alt)


def svg(draw: Draw) -> str:
    """Return what `draw` draws as one SVG, in light colours or dark ones as its reader prefers."""
    text = _svg(draw, *LIGHT)
    light, dark = ([ink, line, *colours] for ink, line, colours in (LIGHT, DARK))
    for number, colour in enumerate(light):
        text = text.replace(colour, f"var(--c{number}, {colour})")
    named = "".join(f"--c{number}: {colour}; " for number, colour in enumerate(dark))
    style = f"<style>@media (prefers-color-scheme: dark) {{ svg {{ {named}}} }}</style>\n <defs>"
    return text.replace("<defs>", style, 1)


def _uri(draw: Draw, ink: str, line: str, colours: list[str]) -> str:
    text = _svg(draw, ink, line, colours)
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode("ascii")


def _svg(draw: Draw, ink: str, line: str, colours: list[str]) -> str:
    import matplotlib
    from cycler import cycler
    from matplotlib.figure import Figure

    style: Any = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
        **dict.fromkeys(("axes.edgecolor", "grid.color", "legend.edgecolor"), line),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "legend.facecolor"), "none"),
        "axes.prop_cycle": cycler(color=colours),
        "axes.grid": True,
        "grid.linewidth": 0.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 10,
        "legend.fontsize": 9,
        "svg.fonttype": "none",  # text, not outlines: the browser has glyphs of any language
        "svg.hashsalt": "report",  # or element ids would differ from run to run
        "text.parse_math": False,  # a class may be named "$"
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the browser may have it
        figure = Figure(figsize=SIZE, layout="constrained")
        draw(figure.subplots())
        text = io.BytesIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue().decode()


def logarithmic(axes: Any, name: str, marks: tuple[int, ...] = (1, 2, 5)) -> None:
    """Give an axis, x or y, a logarithmic scale with plain numbers at `marks` of each decade."""
    from matplotlib.ticker import LogLocator, NullFormatter

    getattr(axes, f"set_{name}scale")("log")
    axis = getattr(axes, f"{name}axis")
    axis.set_major_locator(LogLocator(subs=marks))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def learning_curves(history: pd.DataFrame, name: str, label: str) -> Plot:
    """Draw `loss` or `accuracy` by epoch, a line for each head. history: history.csv."""

    def draw(axes: Any) -> None:
        for number, (_, rows) in enumerate(history.groupby(["fold", "seed"])):
            kinds = (name, "C0", "training, with dropout"), (f"val_{name}", "C1", "held out")
            for column, colour, legend in kinds:
                once = None if number else legend
                axes.plot(rows["epoch"], rows[column], color=colour, alpha=0.6, label=once)
        if name == "loss":
            logarithmic(axes, "y")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="epoch", ylabel=label)
        axes.legend()

    return plot(draw, f"Learning curves: {label} by epoch, a line for each head")


def histogram(predictions: Predictions) -> Plot:
    """Draw a histogram of p, of class 1 if there are two classes, else of the true class."""
    classes, rows = predictions.classes, np.arange(len(predictions.labels))
    two = len(classes) == 2
    column = 1 if two else predictions.labels
    values = predictions.probabilities[rows, column]
    name = f"p of {short(classes[1])}" if two else "p of the true class"

    def draw(axes: Any) -> None:
        edges = np.linspace(0, 1, 2 * BINS + 1)
        if len(classes) > CLASSES:
            axes.hist(values, edges, histtype="stepfilled", alpha=0.6)
        else:
            for index, label in enumerate(classes):
                of_class = values[predictions.labels == index]
                legend = f"of {short(label)}"
                axes.hist(of_class, edges, histtype="step", linewidth=1.8, label=legend)
            axes.legend()
        logarithmic(axes, "y")
        axes.set(xlabel=name, ylabel="photos", xlim=(0, 1))

    return plot(draw, f"Histogram of the {name}, by class")


def reliability(predictions: Predictions) -> Plot:
    """Draw the share of correct predictions by their p, before and after calibration.

    p is that of class 1 if there are two classes, else of the predicted class (Guo et al. 2017).
    """
    two = len(predictions.classes) == 2
    name = f"p of {short(predictions.classes[1])}" if two else "p of the predicted class"
    share = f"share of {short(predictions.classes[1])}" if two else "share of correct predictions"

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color="gray", linewidth=1, linestyle="--")
        before = predictions.raw, "C1", "o", "before"
        after = predictions.probabilities, "C0", "s", "after"
        for probabilities, colour, marker, when in before, after:
            x, y, error = binned(*_confidence(predictions.labels, probabilities))
            axes.errorbar(x, y, error, color=colour, marker=marker, ms=4, lw=1.2, label=when)
        axes.set(xlabel=name, ylabel=share, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend()

    return plot(draw, f"Reliability: {name} against the {share}")


def _confidence(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) p, and (n,) bool: whether the event whose probability it is came true."""
    if probabilities.shape[1] == 2:
        return probabilities[:, 1], labels == 1
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels


def binned(p: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean p, the share of true events and its standard error, of each filled bin.

    p: (n,) in [0, 1]; true: (n,) bool; there are BINS bins of equal width.
    """
    index = np.minimum((p * BINS).astype(int), BINS - 1)
    count = np.bincount(index, minlength=BINS)
    filled = count > 0
    count = count[filled]
    x = np.bincount(index, p, BINS)[filled] / count
    y = np.bincount(index, true, BINS)[filled] / count
    return x, y, np.sqrt(y * (1 - y) / count)


def log_loss_by_clip(predictions: Predictions, fitted: Calibration) -> Plot:
    """Draw the out-of-fold log loss by clip, after the fitted temperature; mark the fitted clip."""
    most = min(30 * fitted.clip, 0.9 / len(predictions.classes))
    steps = np.geomspace(fitted.clip / 300, most, 60)

    def loss(clip: float) -> float:
        calibration = Calibration(fitted.temperature, clip, fitted.fitted_on)
        return float(log_losses(predictions.labels, calibration.apply(predictions.raw)).mean())

    losses, fitted_loss = [loss(step) for step in steps], loss(fitted.clip)

    def draw(axes: Any) -> None:
        axes.plot(steps, losses)
        axes.plot([fitted.clip], [fitted_loss], "o", color="C1", label=f"fitted: {fitted.clip:.2g}")
        logarithmic(axes, "x", (1,))
        axes.set(xlabel="clip: the least p of any class", ylabel="log loss")
        axes.legend()

    return plot(draw, "Out-of-fold log loss as a function of the clip")


def photo_sizes(table: pd.DataFrame) -> Plot:
    """Draw histograms of the photos' widths and heights. table: photos.csv."""
    table = table[table["problem"] == ""]

    def draw(axes: Any) -> None:
        edges = np.linspace(0, max(table["width"].max(), table["height"].max()), 41)
        for side in "width", "height":
            axes.hist(table[side], edges, histtype="step", linewidth=1.8, label=side)
        axes.set(xlabel="pixels", ylabel="photos")
        axes.legend(loc="upper left")

    return plot(draw, "Histograms of the photos' widths and heights")


def scores_over_time(lines: list[LedgerLine], metric: str) -> Plot:
    """Draw a metric of the ledger's lines over time: out of fold, and Kaggle's scores.

    A line whose time or score is in another format (a spreadsheet's, say) has no point.
    """
    from matplotlib.dates import ConciseDateFormatter

    kinds = {f"oof_{metric}": "out of fold", "public_score": "public", "private_score": "private"}
    table = pd.DataFrame(lines)
    table["time"] = pd.to_datetime(table["time"], format=TIME, errors="coerce")

    def draw(axes: Any) -> None:
        for (column, legend), marker in zip(kinds.items(), "o^s", strict=True):
            points = table.assign(y=pd.to_numeric(table[column], errors="coerce"))
            points = points.dropna(subset=["time", "y"])
            if len(points):
                axes.plot(points["time"], points["y"], marker, ms=6, label=legend)
                axes.legend()
        axes.set(ylabel=metric.replace("_", " "))
        axes.margins(0.15)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))

    return plot(draw, "The ledger: out-of-fold metrics and scores over time")


def short(name: str) -> str:
    return legible(name).replace("\n", " ")[:24]
