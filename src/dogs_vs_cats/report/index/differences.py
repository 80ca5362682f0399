"""Differences: of any two recipes, the photos that one gets right and the other wrong."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dogs_vs_cats import environment
from dogs_vs_cats.data import remote
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.legible import legible, percent
from dogs_vs_cats.report.index.predicted import Predicted
from dogs_vs_cats.report.thumbnails import data_uri, thumbnail

SHOWN = 150  # photos of a dataset that are in the page, for all pairs of recipes together
SIDE = 160  # pixels of the longer side of their pictures


@dataclass(frozen=True)
class Picture:
    """A photo's picture as a data URI, "" if it can't be shown, for the reason in `problem`."""

    uri: str
    problem: str


@dataclass(frozen=True)
class Differences:
    """data: what the page's script reads (`_data`). missing: photos that are no longer on the disk
    as they were.
    """

    data: dict[str, object]
    missing: int


def between(table: pd.DataFrame, classes: list[str], recipes: dict[str, Predicted]) -> Differences:
    """Return the differences of all pairs of recipes.

    table: the training photos, rows of photos.csv, in the order of the predictions.
    recipes: by name, two or more.
    """
    right = np.stack([its.right for its in recipes.values()], axis=1)  # (n, recipes)
    wrong_p = np.stack([np.where(its.right, 0, its.p) for its in recipes.values()], axis=1)
    rows = choose(right, wrong_p.max(axis=1), SHOWN)
    shown = table.iloc[rows]
    with ThreadPoolExecutor(environment.cores()) as pool:
        pictures = list(pool.map(_picture, shown["path"], shown["sha256"]))
    data = _data(table, classes, recipes, right, rows, pictures)
    gone = [
        not picture.uri and not remote.is_url(path)
        for picture, path in zip(pictures, shown["path"], strict=True)
    ]
    return Differences(data, sum(gone))


def choose(right: np.ndarray, confidence: np.ndarray, most: int) -> list[int]:
    """Return the rows of up to `most` photos on which recipes differ, by falling confidence.

    right: (n, recipes) bool. confidence: (n,) that of the most confident wrong guess. Each photo
    is the one that serves pairs best that have few so far: the first photo of an ordered pair
    counts 1, the second 1/2, the third 1/4 and so on. Of equal ones the most confident is taken.
    """
    rows = np.flatnonzero(right.any(axis=1) & ~right.all(axis=1))
    rows = rows[np.argsort(-confidence[rows], kind="stable")]
    good = right[rows].astype(np.float64)  # (m, recipes)
    bad = 1 - good
    worth = np.ones((right.shape[1],) * 2)  # of one more photo, for (right, wrong)
    gain = (good @ worth * bad).sum(axis=1)  # (m,)
    chosen = []
    for _ in range(min(most, len(rows))):
        best = int(gain.argmax())
        chosen.append(best)
        pairs = np.ix_(good[best] == 1, bad[best] == 1)
        worth[pairs] /= 2
        gain -= (good[:, good[best] == 1] @ worth[pairs] * bad[:, bad[best] == 1]).sum(axis=1)
        gain[chosen] = -np.inf
    return [int(row) for row in rows[sorted(chosen)]]


def _picture(path: str, sha256: str) -> Picture:
    if remote.is_url(path):  # the index is written without a network too
        return Picture("", f"it is at {legible(remote.place(path))}")
    try:
        image = thumbnail(remote.photo(path), sha256)
    except PhotoError as error:
        return Picture("", legible(str(error)))
    image.thumbnail((SIDE, SIDE))
    return Picture(data_uri(image), "")


def _data(
    table: pd.DataFrame,
    classes: list[str],
    recipes: dict[str, Predicted],
    right: np.ndarray,
    rows: list[int],
    pictures: list[Picture],
) -> dict[str, object]:
    """Return JSON: what is counted of all photos, and the photos that are shown.

    right: photos that a recipe is right about. only: [a][b], those that a is right about and b
    wrong. A photo's guesses and p are in the order of the recipes.
    """
    photos = [
        {
            "id": legible(table["id"].iat[row]),
            "label": legible(table["label"].iat[row]),
            "picture": picture.uri,
            "problem": picture.problem,
            "right": right[row].astype(int).tolist(),
            "guesses": [int(its.guesses[row]) for its in recipes.values()],
            "p": [percent(float(its.p[row])) for its in recipes.values()],
        }
        for row, picture in zip(rows, pictures, strict=True)
    ]
    return {
        "recipes": [legible(name) for name in recipes],
        "classes": [legible(name) for name in classes],
        "count": len(table),
        "right": right.sum(axis=0).tolist(),
        "only": [(own[:, None] & ~right).sum(axis=0).tolist() for own in right.T],
        "photos": photos,
    }
