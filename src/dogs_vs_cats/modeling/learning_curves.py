"""Curves: the losses of each fold, as a picture."""

from pathlib import Path

import pandas as pd

from dogs_vs_cats import files


def draw(history: pd.DataFrame, title: str, path: Path) -> None:
    """Draw loss and accuracy by epoch, a line a head, to a PNG.

    `history` has the columns fold, seed, epoch, loss, accuracy, val_loss, val_accuracy.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, name, label in (left, "loss", "log loss"), (right, "accuracy", "accuracy"):
        for number, (_, rows) in enumerate(history.groupby(["fold", "seed"])):
            first = number == 0
            axes.plot(
                rows["epoch"],
                rows[name],
                color="tab:blue",
                alpha=0.45,
                label="training, with dropout" if first else None,
            )
            axes.plot(
                rows["epoch"],
                rows[f"val_{name}"],
                color="tab:orange",
                label="the fold held out" if first else None,
            )
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    left.set_yscale("log")
    left.legend()
    figure.suptitle(f"{title}: a line a head, of each fold")
    with files.whole(path) as beside:
        figure.savefig(beside)
