"""Predicted: the class that a recipe predicts of each photo, out of fold.

The same file as `modeling.out_of_fold` reads, by pandas: the index reads it for every recipe.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dogs_vs_cats.errors import UserError
from dogs_vs_cats.modeling import out_of_fold
from dogs_vs_cats.modeling.log_loss import log_losses


@dataclass(frozen=True)
class Predicted:
    """A recipe's predictions of n photos.

    guesses: (n,) int, the predicted classes; p: (n,) float64, their probabilities, calibrated.
    right: (n,) bool, whether the guess is the label. losses: (n,) float64, log losses in nats.
    """

    guesses: np.ndarray
    p: np.ndarray
    right: np.ndarray
    losses: np.ndarray


def read(folder: Path, table: pd.DataFrame, classes: list[str]) -> Predicted | None:
    """Return what the recipe in `folder` predicts of the photos in `table`, in its order.

    table: the training photos, rows of photos.csv. None if the recipe was trained on others, or
    with other classes, labels, groups or folds. UserError if the file can't be parsed.
    """
    path = folder / out_of_fold.NAME
    try:
        found = pd.read_csv(
            path,
            usecols=lambda name: not name.startswith("raw_p_"),
            dtype=dict.fromkeys(("id", "group", "label"), str),
            keep_default_na=False,
            encoding="utf-8",
            encoding_errors="surrogateescape",
        )
    except ValueError as error:
        raise UserError(
            f"{path} is not as `make train` writes it. Run `make train RECIPE={folder.name}` "
            f"again, or remove {folder}."
        ) from error
    columns = [f"p_{name}" for name in classes]
    if list(found.columns) != [*out_of_fold.COLUMNS, *columns] or len(found) != len(table):
        return None
    ids = found["id"].tolist()
    if ids != table["id"].tolist():
        row = {photo: number for number, photo in enumerate(ids)}
        order = [row.get(photo, -1) for photo in table["id"]]
        if -1 in order:
            return None
        found = found.iloc[order]
    if any(found[name].tolist() != table[name].tolist() for name in out_of_fold.COLUMNS):
        return None
    probabilities = found[columns].to_numpy(np.float64)  # (n, classes)
    labels = np.asarray(pd.Categorical(table["label"], classes).codes, np.int64)
    guesses = probabilities.argmax(axis=1)
    p = probabilities.max(axis=1)
    return Predicted(guesses, p, guesses == labels, log_losses(labels, probabilities))
