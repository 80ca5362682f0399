"""Plots of the page: SVG in its text, in light or dark colours as the reader prefers."""

import hashlib
import html
import io
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dogs_vs_cats.legible import legible
from dogs_vs_cats.modeling import learning_curves as curves
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.out_of_fold import Predictions

SIZE = (5.0, 3.2)  # inches; on a phone the text is still nine pixels high
BINS = 10
ROWS = 25  # of a plot that has a row for each class or submission
LONGEST = 24  # characters of a name in a plot
REACH = 5  # points around a value where the pointer shows it
# Blue, vermilion, green, orange, purple: safe for colour-blind readers (Okabe & Ito 2008).
LIGHT = ("#1b1f24", "#c9d1d9", ["#0072b2", "#d55e00", "#009e73", "#b07c00", "#a05a8c"])
DARK = ("#e6e9ed", "#454c55", ["#56b4e9", "#ff8f4d", "#2fcf9f", "#e6b800", "#dd9cc8"])

Value = tuple[Any, Any, str]  # x and y in the axes' units, and what the pointer shows there
Draw = Callable[[Any], Iterable[Value] | None]


@dataclass(frozen=True)
class Plot:
    """svg: an element of HTML. alt: what it shows, for readers who can't see it."""

    svg: str
    alt: str


def plot(draw: Draw, alt: str, size: tuple[float, float] = SIZE) -> Plot:
    """Return what `draw` draws into Matplotlib axes, with the values it returns. size: inches."""
    text = svg(draw, size)
    element = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    element = element.replace("<svg ", f'<svg role="img" aria-label="{html.escape(alt)}" ', 1)
    # Ids are unique in a page, not just in a plot.
    prefix = hashlib.sha256(element.encode()).hexdigest()[:8]
    names = re.compile(r"""( id="|href="#|url\(#)""")
    tags = re.compile("<[^>]*>")
    return Plot(tags.sub(lambda tag: names.sub(rf"\g<1>p{prefix}-", tag[0]), element), alt)


def svg(draw: Draw, size: tuple[float, float] = SIZE) -> str:
    """Return what `draw` draws as one SVG, in light colours or dark ones as its reader prefers."""
    text = _svg(draw, size)
    light, dark = ([ink, line, *colours] for ink, line, colours in (LIGHT, DARK))
    for number, colour in enumerate(light):
        text = text.replace(colour, f"var(--c{number}, {colour})")
    named = "".join(f"--c{number}: {colour}; " for number, colour in enumerate(dark))
    media = "@media screen and (prefers-color-scheme: dark)"
    return text.replace("<defs>", f"<style>{media} {{ svg {{ {named}}} }}</style>\n <defs>", 1)


def _svg(draw: Draw, size: tuple[float, float]) -> str:
    import matplotlib
    from cycler import cycler
    from matplotlib.figure import Figure

    ink, line, colours = LIGHT
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
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        values = list(draw(axes) or ())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    shown = "".join(_value(axes, value) for value in values)
    return text.getvalue().replace(
        "</svg>", f'<g fill="none" pointer-events="all">{shown}</g></svg>'
    )


def _value(axes: Any, value: Value) -> str:
    """Return a circle that can't be seen, with the text that the pointer shows there."""
    x, y, text = value
    points = axes.transData.transform((x, y)) * 72 / axes.figure.dpi  # from the lower left
    across, down = points[0], 72 * axes.figure.get_figheight() - points[1]
    title = html.escape(legible(text))
    return f'<circle cx="{across:.1f}" cy="{down:.1f}" r="{REACH}"><title>{title}</title></circle>'


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

    def draw(axes: Any) -> Iterable[Value]:
        if name == "loss":
            decades = np.ptp(np.log10(history[["loss", "val_loss"]].to_numpy().clip(1e-12)))
            logarithmic(axes, "y", (1, 2, 5) if decades < 3 else (1,))
        curves.draw(axes, history, name, label)
        return curves.values(history, name, label)

    return plot(draw, f"Learning curves: {label} by epoch, a line for each head")


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
        key(axes, 2)

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
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.set(xlabel="clip: the least p of any class", ylabel="log loss")
        key(axes, 2)

    return plot(draw, "Out-of-fold log loss as a function of the clip")


def tall(rows: int) -> tuple[float, float]:
    """Return the size, in inches, of a plot with so many rows of text beside it."""
    return SIZE[0], max(SIZE[1], 0.9 + 0.24 * rows)


def key(axes: Any, columns: int) -> None:
    """Put the legend above the axes, where it covers nothing."""
    where = {"loc": "outside upper center", "ncols": columns, "columnspacing": 1.2}
    axes.figure.legend(**where, frameon=False)


def short(name: str) -> str:
    """Return a name in at most LONGEST characters: names that differ at the end stay different."""
    text = legible(name).replace("\n", " ")
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[: LONGEST - half]}…{text[1 - half :]}"
