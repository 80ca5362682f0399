"""Cross-validation: heads for each fold, trained on the others, and what they predict of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dogs_vs_cats import progress
from dogs_vs_cats.config.recipes import Recipe
from dogs_vs_cats.features import weights
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import fine_tuning, heads
from dogs_vs_cats.modeling.heads.prediction import predict
from dogs_vs_cats.modeling.heads.protocol import Head, Split
from dogs_vs_cats.workspace import weights_folder


@dataclass(frozen=True)
class Fold:
    """One fold's heads, and their predictions of the photos they never saw.

    heads: one for each seed of the recipe. probabilities: (n, classes) float64 of the split's
    held-out photos, averaged over heads and views.
    """

    split: Split
    heads: list[Head]
    probabilities: np.ndarray


def run(
    recipe: Recipe,
    rows: Rows,
    fold_of: np.ndarray,
    classes: int,
    only: list[int] | None = None,
) -> Iterator[Fold]:
    """Yield each fold, or each of `only`, its heads trained on all other folds.

    A photo that is left out of training (`rows.targets`) is predicted all the same. fold_of:
    (n,) int, the fold of each photo in `rows`.
    """
    numbers = sorted(set(fold_of.tolist())) if only is None else only
    splits = [_split(recipe, rows, fold_of, number) for number in numbers]
    if not splits:
        return
    layers, features = None, rows
    if recipe.retrain:
        layers, features = _pooled(recipe, rows, splits[0])
    epochs = (recipe.retrain or recipe.head).epochs  # of the slow part, which the bar counts
    total = sum(len(split.chosen) for split in splits) * len(recipe.head.seeds) * epochs
    with progress.bar(total, "training", " photos") as bar:
        for split in splits:
            trained = [
                _head(recipe, layers, rows, features, split, seed, classes, bar.update)
                for seed in recipe.head.seeds
            ]
            probabilities = predict(trained, rows, split.held_out, recipe.features.test_views)
            yield Fold(split, trained, probabilities)


def _head(
    recipe: Recipe,
    layers: Any,
    rows: Rows,
    features: Rows,
    split: Split,
    seed: int,
    classes: int,
    on_step: Callable[[int], None],
) -> Head:
    """Return a trained head; with `layers`, one that is fine-tuned together with them.

    features: the rows, as `layers` pool them; the same where there are none.
    """
    if layers is None:
        return heads.train(recipe.head, features, split, seed, classes, on_step)
    first = heads.train(recipe.head, features, split, seed, classes)
    return fine_tuning.train(recipe, layers, first, rows, split, seed, classes, on_step)


def _split(recipe: Recipe, rows: Rows, fold_of: np.ndarray, fold: int) -> Split:
    chosen = np.flatnonzero((fold_of != fold) & (rows.targets >= 0))
    held_out = np.flatnonzero(fold_of == fold)
    views, measured = recipe.features.train_views, recipe.features.test_views[0]
    return Split(fold, chosen, held_out, views, measured)


def _pooled(recipe: Recipe, rows: Rows, split: Split) -> tuple[Any, Rows]:
    """Return the layers after the tap, and the rows as they pool them, which heads begin on."""
    tensors = weights.load(recipe.features.backbone, weights_folder())
    layers = fine_tuning.layers_after_tap(recipe, tensors)
    views = tuple(dict.fromkeys((*split.views, split.measured)))
    with progress.bar(len(rows.labels) * len(views), "layers", " views") as bar:
        return layers, fine_tuning.pooled(layers, rows, views, bar.update)
