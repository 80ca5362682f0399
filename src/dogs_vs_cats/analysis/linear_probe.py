"""Probe: a linear probe of cached features (Alain & Bengio 2016, arXiv:1610.01644), out of fold.

A logistic regression that is held back hard can't learn a single wrong label by heart, as heads
do: its doubts about a label say more, though its answers are less often right.
"""

import json
from collections.abc import Callable

import numpy as np

from dogs_vs_cats import artifacts, files
from dogs_vs_cats.config import recipes
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.data import photos
from dogs_vs_cats.features import cache
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import heads, training
from dogs_vs_cats.workspace import Workspace

POOLINGS = ("avg", "avgmax")  # whose features are few enough
STRENGTH = 0.01  # scikit-learn's C: how much a photo counts against weights that grow
ITERATIONS = 300


def of(
    workspace: Workspace, recipe: str, engine: Engine, tick: Callable[[], None] = lambda: None
) -> dict[str, np.ndarray] | None:
    """Return photo id -> (classes,) float64, what a probe of a trained recipe's features says.

    Of all training photos, each by a probe that never saw it; taught as verdicts.csv says. None
    where there are no pooled features in the cache that its heads were trained on, by `engine`, or
    they are not of the photos that there are now. `tick` is called after each fold.
    """
    record = json.loads((workspace.model(recipe) / "record.json").read_text(encoding="utf-8"))
    if "members" in record["recipe"]:
        return None
    settings = recipes.recorded(record["recipe"])
    here = cache.stores(workspace, settings.features, engine)
    train = [path for (role, _), path in here.items() if role == "train"]
    now = {"photos": files.digest(workspace.table)}
    known = all(
        path.parent.name == record["cache"] and artifacts.fresh(path / "stamp.json", now)
        for path in train
    )
    if settings.features.pooling not in POOLINGS or not known:
        return None
    table, classes = photos.train(photos.read(workspace)), photos.read_classes(workspace)
    rows, _ = training.taught_rows_of(workspace, settings, engine, table, classes)
    views = settings.features.test_views
    said = out_of_fold(rows, table["fold"].to_numpy(), len(classes), views, tick)
    return dict(zip(table["id"], said, strict=True))


def out_of_fold(
    rows: Rows,
    fold_of: np.ndarray,
    classes: int,
    views: tuple[str, ...],
    tick: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Return (n, classes) float64: the probabilities of each photo by a probe that never saw it.

    fold_of: (n,) int. A photo's features are averaged over views; photos are trained on as
    `rows.targets` says. A class that none is trained on has a probability of 0. `tick` is called
    after each fold.
    """
    from sklearn.linear_model import LogisticRegression

    everything = np.arange(len(fold_of))
    features = np.mean([rows.take(everything, view).astype(np.float32) for view in views], axis=0)
    found = np.zeros((len(fold_of), classes))
    for fold in np.unique(fold_of):
        chosen = np.flatnonzero((fold_of != fold) & (rows.targets >= 0))
        held_out = np.flatnonzero(fold_of == fold)
        taught = np.unique(rows.targets[chosen])
        if len(taught) == 1:  # which scikit-learn refuses
            found[held_out, taught[0]] = 1
        else:
            mean, variance = heads.standardisation(rows, chosen, views)
            scaled = (features - mean) / np.sqrt(variance)
            model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS)
            model.fit(scaled[chosen], rows.targets[chosen])
            found[np.ix_(held_out, taught)] = model.predict_proba(scaled[held_out])
        tick()
    return found
