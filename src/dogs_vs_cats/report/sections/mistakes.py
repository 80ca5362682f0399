"""Mistakes: the most confident mistakes and the most uncertain photos, with heat maps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from dogs_vs_cats import progress
from dogs_vs_cats.analysis import grad_cam
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import pixels, remote
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.modeling import opinion_pool
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.report.thumbnails import data_uri, thumbnail

SHOWN = 24  # mistakes, and uncertain photos, at most

# (n, size, size, 3) uint8 photos, (n,) classes, (n,) folds -> (n, side, side) heat maps.
HeatMaps = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Tile:
    """A photo as the page shows it.

    label, guess: its true and its predicted class. p: the probability of the guess. photo, heat:
    data URIs, of the photo and of what lies on it; None if the file can't be shown, for the reason
    in `problem`.
    """

    id: str
    label: str
    guess: str
    p: float
    photo: str | None
    heat: str | None
    problem: str

    @property
    def pictures(self) -> list[tuple[str, str]]:
        return [(self.photo, f"photo {self.id}")] if self.photo else []


@dataclass(frozen=True)
class MistakesSection:
    """count: all mistakes. wrong, uncertain: the first of each. heat_maps_of: the recipe whose
    heads the heat maps explain; for a blend, the member with the largest weight.
    """

    count: int
    wrong: list[Tile]
    uncertain: list[Tile]
    heat_maps_of: Recipe


def section(context: ReportContext) -> MistakesSection:
    predictions = context.predictions
    recipe = _explained(context)
    wrong = most_confident_mistakes(predictions)
    uncertain = most_uncertain(predictions, wrong)

    def heat_maps(images: np.ndarray, classes: np.ndarray, folds: np.ndarray) -> np.ndarray:
        return _heat_maps(context, recipe, images, classes, folds)

    rows, size = wrong + uncertain, recipe.features.size
    shown = tiles(context.table, predictions, rows, size, heat_maps)
    count = int((predictions.probabilities.argmax(axis=1) != predictions.labels).sum())
    return MistakesSection(count, shown[: len(wrong)], shown[len(wrong) :], recipe)


def _explained(context: ReportContext) -> Recipe:
    if not isinstance(context.recipe, Blend):
        return context.recipe
    weights = opinion_pool.read(context.folder).weights
    return max(context.recipe.members, key=lambda member: weights[member.name])


def most_confident_mistakes(predictions: Predictions) -> list[int]:
    """Return the rows of up to SHOWN wrong predictions, the most confident first."""
    guess = predictions.probabilities.argmax(axis=1)
    rows: list[int] = np.flatnonzero(guess != predictions.labels).tolist()
    # Predictions at the clip are equally confident: before it, they were not.
    confidence, unclipped = predictions.probabilities.max(axis=1), predictions.raw.max(axis=1)
    ids = predictions.ids
    return sorted(rows, key=lambda row: (-confidence[row], -unclipped[row], ids[row]))[:SHOWN]


def most_uncertain(predictions: Predictions, without: list[int]) -> list[int]:
    """Return the rows of the SHOWN most uncertain photos, apart from those in `without`."""
    two = np.sort(predictions.probabilities, axis=1)[:, -2:]
    margin = two[:, 1] - two[:, 0]
    rows = [row for row in range(len(margin)) if row not in set(without)]
    return sorted(rows, key=lambda row: (margin[row], predictions.ids[row]))[:SHOWN]


def _heat_maps(
    context: ReportContext,
    recipe: Recipe,
    images: np.ndarray,
    classes: np.ndarray,
    folds: np.ndarray,
) -> np.ndarray:
    """Return heat maps (n, side, side), each by heads that were not trained on the photo."""
    with progress.bar(len(images), "heat maps") as bar:
        maker = grad_cam.load(context.workspace, recipe, context.engine, context.threads)
        maps = []
        for start in range(0, len(images), grad_cam.BATCH):
            batch = slice(start, start + grad_cam.BATCH)
            maps.append(maker.of(images[batch], classes[batch].tolist(), folds[batch].tolist()))
            bar.update(len(maps[-1]))
    return np.concatenate(maps)


def _layer(photo: Image.Image, heat: np.ndarray) -> Image.Image:
    """Return the heat in the photo's shape and half its size, which the browser doubles."""
    return grad_cam.layer(heat, (max(photo.width // 2, 1), max(photo.height // 2, 1)))


def tiles(
    table: pd.DataFrame,
    predictions: Predictions,
    rows: list[int],
    size: int,
    heat_maps: HeatMaps,
) -> list[Tile]:
    """Return a tile of each photo in `rows` of the predictions, in order.

    table: photos.csv. size: of the network's input, in pixels. `heat_maps` explains the predicted
    classes; it is not called if no photo can be shown.
    """
    files = table.set_index("id")
    small: dict[int, Image.Image] = {}
    images, problems = {}, {}
    for row in rows:
        path, sha256 = files.loc[predictions.ids[row], ["path", "sha256"]]
        try:
            small[row] = thumbnail(remote.photo(path), sha256)
            images[row] = pixels.pixels(remote.photo(path), size, sha256)
        except PhotoError as error:
            problems[row] = str(error)
    guess = predictions.probabilities.argmax(axis=1)
    heats = {}
    if images:
        shown = list(images)
        maps = heat_maps(np.stack(list(images.values())), guess[shown], predictions.folds[shown])
        heats = dict(zip(shown, maps, strict=True))
    return [
        Tile(
            predictions.ids[row],
            predictions.classes[predictions.labels[row]],
            predictions.classes[guess[row]],
            float(predictions.probabilities[row, guess[row]]),
            None if row in problems else data_uri(small[row]),
            None if row in problems else data_uri(_layer(small[row], heats[row])),
            problems.get(row, ""),
        )
        for row in rows
    ]
