"""Cross-validation: heads for each fold, trained on the others, and what they say of the fold."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dogs_vs_cats import progress
from dogs_vs_cats.config.recipes import Recipe
from dogs_vs_cats.features import weights
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import fine_tuning, heads
from dogs_vs_cats.modeling.heads import Split
from dogs_vs_cats.workspace import weights_folder


@dataclass(frozen=True)
class Fold:
    """One fold's heads, and what they say of the photos they never saw.

    trained: (model, history) a seed of the recipe; probabilities: (n, classes) float64 of the
    split's held-out photos, averaged over heads and views.
    """

    split: Split
    trained: list[tuple]
    probabilities: np.ndarray


def run(
    recipe: Recipe,
    rows: Rows,
    fold_of: np.ndarray,
    classes: int,
    only: list[int] | None = None,
) -> Iterator[Fold]:
    """Yield each fold, or each of `only`, its heads trained on all other folds.

    A photo that is never to be trained on (`rows.targets`) is predicted all the same. fold_of:
    (n,) int, the fold of each photo in `rows`.
    """
    numbers = sorted(set(fold_of.tolist())) if only is None else only
    splits = [_split(recipe, rows, fold_of, number) for number in numbers]
    if not splits:
        return
    layers, inner = None, rows
    if recipe.retrain:
        layers, inner = _pooled(recipe, rows, splits[0])
    slow = recipe.retrain or recipe.head  # what the bar counts the epochs of
    shown = sum(len(split.chosen) for split in splits) * len(recipe.head.seeds) * slow.epochs
    with progress.bar(shown, "training", " photos") as bar:
        for split in splits:
            trained = []
            for seed in recipe.head.seeds:
                tick = bar.update if layers is None else lambda shown: None
                model, history = heads.train(recipe.head, inner, split, seed, classes, tick)
                if layers is not None:
                    model, after = fine_tuning.train(
                        recipe, layers, model, rows, split, seed, classes, bar.update
                    )
                    history = {name: history[name] + after[name] for name in history}
                trained.append((model, history))
            models = [model for model, _ in trained]
            said = heads.predict(models, rows, split.held_out, recipe.features.test_views)
            yield Fold(split, trained, said)


def _split(recipe: Recipe, rows: Rows, fold_of: np.ndarray, fold: int) -> Split:
    chosen = np.flatnonzero((fold_of != fold) & (rows.targets >= 0))
    held_out = np.flatnonzero(fold_of == fold)
    views, measured = recipe.features.train_views, recipe.features.test_views[0]
    return Split(fold, chosen, held_out, views, measured)


def _pooled(recipe: Recipe, rows: Rows, split: Split) -> tuple:
    """Return the layers after the tap, and what they make of the rows that heads are trained on."""
    tensors = weights.load(recipe.features.backbone, weights_folder())
    layers = fine_tuning.layers_after_tap(recipe, tensors)
    views = tuple(dict.fromkeys((*split.views, split.measured)))
    with progress.bar(len(rows.labels) * len(views), "layers", " views") as bar:
        return layers, fine_tuning.pooled(layers, rows, views, bar.update)
