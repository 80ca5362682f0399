"""Figures of the report, as SVG in the colours of a light and of a dark page."""

import base64
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.legible import legible
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.out_of_fold import Predictions

SIZE = (5.0, 3.2)  # inches: on a phone its text is still nine pixels high
BINS = 10
TIME = "%Y-%m-%dT%H:%M:%SZ"  # as the ledger has it
CLASSES = 8  # more than these share one line
# Blue, vermilion, green, orange, purple: told apart by the colour-blind too (Okabe & Ito 2008).
LIGHT = ("#1b1f24", "#c9d1d9", ["#0072b2", "#d55e00", "#009e73", "#b07c00", "#a05a8c"])
DARK = ("#e6e9ed", "#454c55", ["#56b4e9", "#ff8f4d", "#2fcf9f", "#e6b800", "#dd9cc8"])


@dataclass(frozen=True)
class Picture:
    """light, dark: data URIs of the same figure. alt: what it shows, for who can't see it."""

    light: str
    dark: str
    alt: str


def picture(draw: Callable, alt: str) -> Picture:
    """Return what `draw` draws into the axes that it is given, in both colours."""
    return Picture(_uri(draw, *LIGHT), _uri(draw, *DARK), alt)


def _uri(draw: Callable, ink: str, line: str, colours: list[str]) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    style = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
        **dict.fromkeys(("axes.edgecolor", "grid.color", "legend.edgecolor"), line),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "legend.facecolor"), "none"),
        "axes.prop_cycle": matplotlib.cycler(color=colours),
        "axes.grid": True,
        "grid.linewidth": 0.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 10,
        "legend.fontsize": 9,
        "svg.fonttype": "none",  # letters, not shapes: the browser has them for any language
        "svg.hashsalt": "report",  # or ids change from run to run
        "text.parse_math": False,  # a class may be called "$"
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the browser may well have it
        figure = Figure(figsize=SIZE, layout="constrained")
        draw(figure.subplots())
        text = io.BytesIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(text.getvalue()).decode("ascii")


def _logarithmic(axes, name: str) -> None:
    """Give an axis, x or y, a logarithmic scale with plain numbers at 1, 2, 5, 10, ..."""
    from matplotlib.ticker import LogLocator, NullFormatter

    getattr(axes, f"set_{name}scale")("log")
    axis = getattr(axes, f"{name}axis")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if name == "y" else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def curves(history: pd.DataFrame, name: str, label: str) -> Picture:
    """Draw `loss` or `accuracy` by epoch, a line a head. history: history.csv."""

    def draw(axes) -> None:
        for number, (_, rows) in enumerate(history.groupby(["fold", "seed"])):
            kinds = (name, "C0", "training, with dropout"), (f"val_{name}", "C1", "held out")
            for column, colour, what in kinds:
                what = None if number else what
                axes.plot(rows["epoch"], rows[column], color=colour, alpha=0.6, label=what)
        if name == "loss":
            _logarithmic(axes, "y")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="epoch", ylabel=label)
        axes.legend()

    return picture(draw, f"Learning curves: {label} by epoch, a line for each head")


def histogram(found: Predictions) -> Picture:
    """Draw how often which probability is given: p of class 1 of two, or p of the true class."""
    two = len(found.classes) == 2
    rows = np.arange(len(found.labels))
    values = found.probabilities[:, 1] if two else found.probabilities[rows, found.labels]
    what = f"p of {_short(found.classes[1])}" if two else "p of the photo's own class"

    def draw(axes) -> None:
        edges = np.linspace(0, 1, 2 * BINS + 1)
        if len(found.classes) > CLASSES:
            axes.hist(values, edges, histtype="stepfilled", alpha=0.6)
        else:
            for number, name in enumerate(found.classes):
                mine = values[found.labels == number]
                axes.hist(mine, edges, histtype="step", linewidth=1.8, label=f"of {_short(name)}")
            axes.legend()
        _logarithmic(axes, "y")
        axes.set(xlabel=what, ylabel="photos", xlim=(0, 1))

    return picture(draw, f"Histogram of the {what}, by class")


def reliability(found: Predictions) -> Picture:
    """Draw how often it is right where it says p, before and after calibration.

    Of two classes p is that of class 1, of more that of the class it says (Guo et al. 2017).
    """
    two = len(found.classes) == 2
    what = f"p of {_short(found.classes[1])}" if two else "p of the class it says"
    share = f"share of {_short(found.classes[1])}" if two else "share that is right"

    def draw(axes) -> None:
        axes.plot([0, 1], [0, 1], color="gray", linewidth=1, linestyle="--")
        kinds = (found.raw, "C1", "o", "before"), (found.probabilities, "C0", "s", "after")
        for probabilities, colour, marker, when in kinds:
            p, right = _sureness(found.labels, probabilities)
            x, y, error = binned(p, right)
            axes.errorbar(x, y, error, color=colour, marker=marker, ms=4, lw=1.2, label=when)
        axes.set(xlabel=what, ylabel=share, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend()

    return picture(draw, f"Reliability: {what} against how often it is so")


def _sureness(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) p, and (n,) whether what p is the probability of is so."""
    if probabilities.shape[1] == 2:
        return probabilities[:, 1], labels == 1
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels


def binned(p: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean p, the share that is right and its standard error, of each bin with photos.

    p: (n,) in [0, 1]; right: (n,) bool; the bins are BINS of equal width.
    """
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    filled = count > 0
    count = count[filled]
    x = np.bincount(place, p, BINS)[filled] / count
    y = np.bincount(place, right, BINS)[filled] / count
    return x, y, np.sqrt(y * (1 - y) / count)


def clips(found: Predictions, fitted: Calibration) -> Picture:
    """Draw the log loss out of fold by the clip, after the temperature; the fitted one marked."""
    most = min(30 * fitted.clip, 0.9 / len(found.classes))
    steps = np.geomspace(fitted.clip / 300, most, 60)

    def loss(clip: float) -> float:
        one = Calibration(fitted.temperature, clip, fitted.fitted_on)
        return float(log_losses(found.labels, one.apply(found.raw)).mean())

    losses, here = [loss(step) for step in steps], loss(fitted.clip)

    def draw(axes) -> None:
        axes.plot(steps, losses)
        axes.plot([fitted.clip], [here], "o", color="C1", label=f"fitted: {fitted.clip:.2g}")
        _logarithmic(axes, "x")
        axes.set(xlabel="clip: the least p of any class", ylabel="log loss")
        axes.legend()

    return picture(draw, "Log loss out of fold as a function of the clip")


def sizes(table: pd.DataFrame) -> Picture:
    """Draw how many photos are how wide and how high. table: photos.csv."""
    table = table[table["problem"] == ""]

    def draw(axes) -> None:
        edges = np.linspace(0, max(table["width"].max(), table["height"].max()), 41)
        for side in "width", "height":
            axes.hist(table[side], edges, histtype="step", linewidth=1.8, label=side)
        axes.set(xlabel="pixels", ylabel="photos")
        axes.legend(loc="upper left")

    return picture(draw, "How many photos are how wide and how high")


def past(lines: list[LedgerLine], metric: str) -> Picture:
    """Draw a metric of the ledger's lines over time: out of fold, and what came back.

    A line whose time or figure is not as the ledger has it (a spreadsheet's, say) has no point.
    """
    from matplotlib.dates import ConciseDateFormatter

    kinds = {f"oof_{metric}": "out of fold", "public_score": "public", "private_score": "private"}
    table = pd.DataFrame(lines)
    table["time"] = pd.to_datetime(table["time"], format=TIME, errors="coerce")

    def draw(axes) -> None:
        for (column, what), marker in zip(kinds.items(), "o^s", strict=True):
            points = table.assign(y=pd.to_numeric(table[column], errors="coerce"))
            points = points.dropna(subset=["time", "y"])
            if len(points):
                axes.plot(points["time"], points["y"], marker, ms=6, label=what)
                axes.legend()
        axes.set(ylabel=metric.replace("_", " "))
        axes.margins(0.15)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))

    return picture(draw, "The ledger: figures out of fold and scores over time")


def _short(name: str) -> str:
    return legible(name).replace("\n", " ")[:24]
