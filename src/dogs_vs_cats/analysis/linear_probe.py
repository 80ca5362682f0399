"""Linear probes of cached features (Alain & Bengio 2016, arXiv:1610.01644), out of fold.

A strongly regularised logistic regression can't memorise a single wrong label, as heads do: its
doubts about a label are better evidence, though its predictions are less accurate.
"""

import json
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from dogs_vs_cats.config import recipes
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import LogisticHead
from dogs_vs_cats.data import photos
from dogs_vs_cats.features import cache
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import heads, training
from dogs_vs_cats.modeling.heads.prediction import predict
from dogs_vs_cats.modeling.heads.protocol import Split
from dogs_vs_cats.workspace import Workspace

POOLINGS = ("avg", "avgmax", "tokens")  # whose features are few enough
STRENGTH = 0.01  # C: how much a photo counts against large weights
AT_ONCE = 2  # probes; each computes on one core, and takes 8 bytes a photo and feature


@dataclass(frozen=True)
class CachedPhotos:
    """All training photos with the pooled features that a recipe's heads were trained on.

    ids: in the order of `rows`; folds: (n,) int; classes: how many.
    """

    recipe: str
    ids: list[str]
    rows: Rows
    folds: np.ndarray
    classes: int
    views: tuple[str, ...]


def cached_photos(workspace: Workspace, recipe: str, engine: Engine) -> CachedPhotos | None:
    """Return the training photos with a recipe's features, labels as verdicts.csv corrects them.

    None if the recipe's features are not pooled, or those in the cache, computed by `engine`, are
    not the ones its heads were trained on or not of today's photos.
    """
    record = _record(workspace, recipe)
    if "members" in record["recipe"]:
        return None
    settings = recipes.recorded(record["recipe"])
    stores = cache.artifacts(workspace, settings.features, engine)
    known = record["cache"] == cache.identity(workspace, settings.features, engine) and all(
        store.fresh() for (role, _), store in stores.items() if role == "train"
    )
    if settings.features.pooling not in POOLINGS or not known:
        return None
    table, classes = photos.train(photos.read(workspace)), photos.read_classes(workspace)
    rows, _ = training.training_rows(workspace, settings, engine, table, classes)
    views = settings.features.test_views
    folds = table["fold"].to_numpy()
    return CachedPhotos(recipe, table["id"].tolist(), rows, folds, len(classes), views)


def of(
    workspace: Workspace, recipe: str, engine: Engine, on_fold: Callable[[], None] = lambda: None
) -> dict[str, np.ndarray] | None:
    """Return photo id -> (classes,) float64, the probabilities by probes of a recipe's features.

    Of all training photos, each by a probe that never saw it. None as of `cached_photos`. `on_fold`
    is called after each fold.
    """
    cached = cached_photos(workspace, recipe, engine)
    if cached is None:
        return None
    probed = out_of_fold(cached.rows, cached.folds, cached.classes, cached.views, on_fold)
    return dict(zip(cached.ids, probed, strict=True))


def features(workspace: Workspace, recipe: str) -> str:
    """Return a text that is the same for recipes whose probes are: those of the same features."""
    record = _record(workspace, recipe)
    return json.dumps([record["recipe"].get("features"), record.get("cache")], sort_keys=True)


def _record(workspace: Workspace, recipe: str) -> dict[str, Any]:
    path = workspace.model(recipe) / "record.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def out_of_fold(
    rows: Rows,
    fold_of: np.ndarray,
    classes: int,
    views: tuple[str, ...],
    on_fold: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Return (n, classes) float64: the probabilities of each photo by a probe that never saw it.

    fold_of: (n,) int. `rows.targets` are trained on; all `views` are trained on and predicted. A
    class without training photos gets a probability of 0. `on_fold` is called after each fold.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    probabilities = np.zeros((len(fold_of), classes))

    def probe(fold: int) -> None:
        chosen = np.flatnonzero((fold_of != fold) & (rows.targets >= 0))
        split = Split(fold, chosen, np.flatnonzero(fold_of == fold), views, views[0])
        trained = heads.train(LogisticHead(C=STRENGTH), rows, split, 0, classes)
        probabilities[split.held_out] = predict([trained], rows, split.held_out, views)

    # Training sets both for itself. They belong to the process, so that the first probe to end
    # would lift them for the others.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(probe, np.unique(fold_of).tolist()):
                on_fold()
    return probabilities
