"""Learning curves: curves.png, the losses of each fold by epoch.

An artifact of its own: after a change of this code the picture is drawn again, and no head trained.
"""

from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import code_keys, files
from dogs_vs_cats.artifacts import Artifact

NAME = "curves.png"
CODE = ("modeling.learning_curves",)


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
        wanted.record([folder / NAME], _draw(folder, title))
    return True


def _draw(folder: Path, title: str) -> Curves:
    """Draw loss and accuracy by epoch, a line for each head, to a PNG."""
    import pandas as pd
    from matplotlib.figure import Figure

    history = pd.read_csv(folder / "history.csv")
    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    heads = [rows for _, rows in history.groupby(["fold", "seed"])]
    for axes, name, label in (left, "loss", "log loss"), (right, "accuracy", "accuracy"):
        for number, rows in enumerate(heads):
            axes.plot(
                rows["epoch"],
                rows[name],
                color="tab:blue",
                alpha=0.45,
                label=None if number else "training, with dropout",
            )
            axes.plot(
                rows["epoch"],
                rows[f"val_{name}"],
                color="tab:orange",
                label=None if number else "held-out fold",
            )
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    left.set_yscale("log")
    left.legend()
    figure.suptitle(f"{title}: a line for each head")
    with files.whole(folder / NAME) as beside:
        figure.savefig(beside)
    return Curves(len(heads))
