"""Predictions for the test photos, by all heads and views of a recipe, joined by id."""

from typing import Any

from dogs_vs_cats import progress
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.workspace import Workspace


def probabilities(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> dict[str, list[float]]:
    """Return photo id -> the probability of each class, in the order of photos.csv.

    An unreadable photo gets the shares of the classes among the training photos. UserError if
    features or heads are missing.
    """
    from dogs_vs_cats.data import photos

    table, classes = photos.read(workspace), photos.read_classes(workspace)
    tests, labels = photos.test(table), photos.train(table)["label"]
    shares = [float((labels == name).mean()) for name in classes]
    every: dict[str, list[float]] = dict.fromkeys(tests["id"], shares)
    readable = tests[tests["problem"] == ""]
    if not readable.empty:
        every |= _predict(workspace, recipe, engine, threads, readable, classes)
    return every


def _predict(
    workspace: Workspace,
    recipe: Recipe | Blend,
    engine: Engine,
    threads: int | None,
    tests: Any,
    classes: list[str],
) -> dict[str, list[float]]:
    """Return photo id -> the probability of each class. tests: rows of photos.csv, readable."""
    from dogs_vs_cats.features import keras_backend
    from dogs_vs_cats.features.join import join
    from dogs_vs_cats.modeling import ensemble

    keras_backend.limit_threads(threads)  # a Keras head starts it, a logistic one doesn't
    heads = ensemble.load(workspace, recipe)
    averages = {}  # member -> (n, classes), in the order of `tests`
    for member in members(recipe):
        rows = join(workspace, member, engine, "test", tests, classes)
        with progress.bar(len(tests), "predicting") as bar:
            averages[member.name] = heads.averaged(member, rows, bar.update)
    p = heads.probabilities(averages)  # (n, classes)
    return dict(zip(tests["id"], p.tolist(), strict=True))
