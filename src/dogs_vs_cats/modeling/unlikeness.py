"""Unlikeness: how far a picture is from the training photos, in feature space.

A head knows its own classes only: to a head, a screenshot is a cat or a dog. The measure is the
cosine distance to the fifth nearest training photo (Sun et al. 2022, "Out-of-Distribution
Detection with Deep Nearest Neighbors", arXiv:2204.06507). Its limit comes from the training photos
alone, each measured against the other folds, where none of its near-duplicates are.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats import code_keys, files
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config import backbones
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings, Recipe
from dogs_vs_cats.data import photos, verdicts
from dogs_vs_cats.features import cache
from dogs_vs_cats.modeling import training
from dogs_vs_cats.workspace import Workspace

NAME = "unlikeness.npz"
CODE = ("data.verdicts", "features.join", "features.rows", "modeling.unlikeness")
NEIGHBOURS = 5
MARKED = 0.01  # at most this share of the training photos is marked, out of fold
REFERENCES = 5000  # training photos that are kept, evenly spaced in photos.csv: 51 MB of `light`
BLOCK = 256  # photos at a time
LEAST = 1e-6  # limit or length, where photos are all alike or features 0


@dataclass(frozen=True)
class Calibrated:
    """references: training photos kept. limit: a cosine distance. marked: share of them beyond."""

    references: int
    limit: float
    marked: float


@dataclass(frozen=True)
class Unlikeness:
    """references: (n, dimension) float32, training photos at length 1. limit: a cosine distance.

    depth: of the maps that the features are, or 0 if they are pooled already.
    """

    references: np.ndarray
    limit: float
    depth: int

    def of(self, features: np.ndarray) -> np.ndarray:
        """Return (n,) float64: the distance of each photo over the limit; above 1 it is unlike.

        features: (n, dimension) float16, of the recipe's first test view.
        """
        return distances(directions(features, self.depth), self.references) / self.limit


def directions(features: np.ndarray, depth: int) -> np.ndarray:
    """Return (n, dimension) float32 at length 1; maps of `depth` channels are averaged first."""
    wide = features.astype(np.float32)
    if depth:
        wide = wide.reshape(len(wide), -1, depth).mean(axis=1)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(lengths, LEAST))


def distances(measured: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Return (n,) float64: the cosine distance, 0 to 2, to the NEIGHBOURS-th nearest reference.

    measured, references: at length 1. With fewer references, to the farthest of them.
    """
    nth = min(NEIGHBOURS, len(references))
    found = np.empty(len(measured))
    for start in range(0, len(measured), BLOCK):
        cosines = measured[start : start + BLOCK] @ references.T
        found[start : start + BLOCK] = 1 - np.partition(cosines, -nth, axis=1)[:, -nth]
    return np.maximum(found, 0)


def out_of_fold(references: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return (n,) float64: the distance of each reference to those of the other folds."""
    found = np.empty(len(references))
    for fold in np.unique(folds):
        held_out = folds == fold
        found[held_out] = distances(references[held_out], references[~held_out])
    return found


def artifact(workspace: Workspace, recipe: Recipe, engine: Engine) -> Artifact[Calibrated]:
    """Return what a recipe measures unlikeness by, fresh or not; it lies beside its heads."""
    inputs = {
        "features": dataclasses.asdict(recipe.features),
        "cache": cache.identity(workspace, recipe.features, engine),
        "photos": files.digest(workspace.table),
        "verdicts": verdicts.changes(workspace),
        "code": code_keys.code_key(*CODE),
    }
    return Artifact(workspace.model(recipe.name) / "unlikeness-stamp.json", inputs, Calibrated)


def load(workspace: Workspace, recipe: Recipe, engine: Engine) -> Unlikeness:
    """Return a recipe's measure, made from its cached features if it is missing or stale.

    UserError if it has to be made and the features are missing.
    """
    wanted = artifact(workspace, recipe, engine)
    path = workspace.model(recipe.name) / NAME
    result = wanted.fresh() or _build(workspace, recipe, engine, wanted, path)
    with np.load(path) as kept:
        references = kept["references"].astype(np.float32)
    return Unlikeness(references, result.limit, _depth(recipe.features))


def _build(
    workspace: Workspace, recipe: Recipe, engine: Engine, wanted: Artifact[Calibrated], path: Path
) -> Calibrated:
    table = photos.train(photos.read(workspace))
    classes = photos.read_classes(workspace)
    rows, _ = training.training_rows(workspace, recipe, engine, table, classes)
    # A photo that the user dropped is no example of its class.
    usable = np.flatnonzero(rows.targets >= 0)
    chosen = usable[np.linspace(0, len(usable) - 1, min(REFERENCES, len(usable))).astype(int)]
    view, depth = recipe.features.test_views[0], _depth(recipe.features)
    # Maps are a hundred times as wide as what is kept of them.
    parts = [
        directions(rows.take(chosen[start : start + BLOCK], view), depth)
        for start in range(0, len(chosen), BLOCK)
    ]
    references = np.concatenate(parts).astype(np.float16)
    found = out_of_fold(references.astype(np.float32), table["fold"].to_numpy()[chosen])
    limit = max(LEAST, float(np.quantile(found, 1 - MARKED, method="higher")))
    result = Calibrated(len(chosen), limit, float((found > limit).mean()))
    with files.whole(path) as beside, beside.open("wb") as file:
        np.savez(file, references=references)
    wanted.record([path], result)
    return result


def _depth(settings: FeatureSettings) -> int:
    """Return the channels of the maps that a recipe caches, 0 if it caches pooled features."""
    if settings.pooling != "none":
        return 0
    return backbones.table()[settings.backbone].taps[settings.tap].depth
