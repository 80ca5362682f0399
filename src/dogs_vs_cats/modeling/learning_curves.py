"""Learning curves: the losses of each fold by epoch, as curves.png and as the report draws them.

curves.png is an artifact of its own: after a change of this code the picture is drawn again, and no
head trained.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogs_vs_cats import code_keys, files
from dogs_vs_cats.artifacts import Artifact

if TYPE_CHECKING:
    import pandas as pd

NAME = "curves.png"
CODE = ("modeling.learning_curves",)
GAP = 0.075  # between the names of two folds, as a share of the axes' height
SHOWN = 25  # epochs of a line whose values the pointer shows, at most


@dataclass(frozen=True)
class Curves:
    """heads: how many lines of each kind were drawn."""

    heads: int


def artifact(folder: Path, title: str) -> Artifact[Curves]:
    """Return the curves of the heads in a folder, fresh or not."""
    inputs = {
        "history": files.digest(folder / "history.csv"),
        "title": title,
        "code": code_keys.code_key(*CODE),
    }
    return Artifact(folder / "curves-stamp.json", inputs, Curves)


def update(folder: Path, title: str) -> bool:
    """Draw the curves of the heads in a folder if they are not up to date.

    Return whether there are any: heads without epochs have none.
    """
    if not (folder / "history.csv").exists():
        return False
    wanted = artifact(folder, title)
    if wanted.fresh() is None:
        wanted.record([folder / NAME], _picture(folder, title))
    return True


def _picture(folder: Path, title: str) -> Curves:
    """Draw loss and accuracy by epoch to a PNG."""
    import pandas as pd
    from matplotlib.figure import Figure

    history = pd.read_csv(folder / "history.csv")
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set_yscale("log")
    draw(left, history, "loss", "log loss")
    draw(right, history, "accuracy", "accuracy")
    figure.suptitle(title)
    with files.whole(folder / NAME) as beside:
        figure.savefig(beside)
    return Curves(history.groupby(["fold", "seed"]).ngroups)


def draw(axes: Any, history: "pd.DataFrame", name: str, label: str) -> None:
    """Draw `loss` or `accuracy` by epoch into Matplotlib axes, a line for each head.

    history: history.csv. Each fold has a colour, and its name stands where its held-out lines end.
    """
    ends = {}  # fold -> where its held-out lines end, on average
    for fold, heads in history.groupby("fold"):
        for _, rows in heads.groupby("seed"):
            style = {"color": f"C{fold}", "lw": 1}
            axes.plot(rows["epoch"], rows[name], ls=":", alpha=0.7, **style)
            axes.plot(rows["epoch"], rows[f"val_{name}"], **style | {"lw": 1.6})
        last = heads[heads["epoch"] == heads["epoch"].max()]
        ends[fold] = (last["epoch"].iloc[0], last[f"val_{name}"].mean())
    for dashes, width, legend in ("-", 1.6, "held out"), (":", 1, "training, with dropout"):
        axes.plot([], [], color="gray", ls=dashes, lw=width, label=legend)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="epoch", ylabel=label)
    axes.grid(alpha=0.3)
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2}
    axes.legend(**above, frameon=False, borderaxespad=0.2)
    _name(axes, ends)


def _name(axes: Any, ends: dict[int, tuple[float, float]]) -> None:
    """Write the name of each fold right of the axes, at the end of its line or near it."""
    low, high = axes.get_ylim()
    scale = axes.yaxis.get_transform().transform
    bottom, top, *heights = scale([low, high, *(y for _, y in ends.values())])
    shares = [(height - bottom) / (top - bottom) for height in heights]
    for (fold, end), share in zip(ends.items(), apart(shares), strict=True):
        axes.annotate(
            f"fold {fold}",
            end,
            (1.04, share),
            textcoords="axes fraction",
            color=f"C{fold}",
            fontsize=9,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": f"C{fold}", "lw": 0.6, "shrinkA": 0},
        )


def apart(heights: list[float]) -> list[float]:
    """Return heights moved as little as needed to be GAP apart, in the same order."""
    stacks: list[list[int]] = []  # from below, of names that would touch: their indices
    for index in sorted(range(len(heights)), key=lambda index: heights[index]):
        stacks.append([index])
        while len(stacks) > 1 and _bottom(stacks[-1], heights) < _bottom(
            stacks[-2], heights
        ) + GAP * len(stacks[-2]):
            stacks[-2:] = [stacks[-2] + stacks[-1]]
    moved = list(heights)
    for stack in stacks:
        for place, index in enumerate(stack):
            moved[index] = _bottom(stack, heights) + GAP * place
    return moved


def _bottom(stack: list[int], heights: list[float]) -> float:
    """Return the height of the lowest name of a stack that is centred on its own heights."""
    middle = sum(heights[index] for index in stack) / len(stack)
    return middle - GAP * (len(stack) - 1) / 2


def values(history: "pd.DataFrame", name: str, label: str) -> Iterator[tuple[float, float, str]]:
    """Yield the points of the lines: epoch, value, and what they are, in words.

    Of a head with many epochs, those of every second, third, ... and of the last.
    """
    for (fold, _), rows in history.groupby(["fold", "seed"]):
        kept = rows[:: -math.ceil(len(rows) / SHOWN)]  # the last one always
        for row in kept.itertuples():
            for column, kind in (f"val_{name}", "held out"), (name, "training"):
                value = getattr(row, column)
                yield (
                    row.epoch,
                    value,
                    f"fold {fold}, {kind}, epoch {row.epoch}: {label} {value:.4g}",
                )
