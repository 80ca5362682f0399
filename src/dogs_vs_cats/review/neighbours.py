"""Neighbours: the training photos whose features are most like those of one."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from dogs_vs_cats.analysis import linear_probe
from dogs_vs_cats.analysis.linear_probe import CachedPhotos
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.workspace import Workspace

BLOCK = 1 << 26  # bytes of float32 features that are compared at once


@dataclass(frozen=True)
class Neighbour:
    """A training photo; similarity: the cosine of its features and those of the photo asked for."""

    id: str
    similarity: float


class FeatureSpace:
    """The training photos in a recipe's cached features, compared exactly, a block at a time."""

    def __init__(self, cached: CachedPhotos) -> None:
        self.recipe = cached.recipe
        self._ids, self._rows, self._view = cached.ids, cached.rows, cached.views[0]
        self._position = {photo: i for i, photo in enumerate(cached.ids)}

    def nearest(self, photo: str, count: int, besides: Collection[str] = ()) -> list[Neighbour]:
        """Return the `count` photos most like a training photo, apart from itself and `besides`."""
        similarities = self._similarities(self._position[photo])
        for other in (photo, *besides):
            if other in self._position:
                similarities[self._position[other]] = -np.inf
        order = np.argsort(-similarities, kind="stable")[:count]
        return [
            Neighbour(self._ids[i], round(float(similarities[i]), 4))
            for i in order
            if np.isfinite(similarities[i])
        ]

    def _similarities(self, position: int) -> np.ndarray:
        """Return (n,) float32: the cosine of each photo's features and those of the one there."""
        wanted = self._unit(np.array([position]))[0]  # (dimension,)
        size = max(1, BLOCK // (4 * self._rows.dimension))
        blocks = np.array_split(np.arange(len(self._ids)), -(-len(self._ids) // size))
        return np.concatenate([self._unit(block) @ wanted for block in blocks])

    def _unit(self, chosen: np.ndarray) -> np.ndarray:
        """Return (len(chosen), dimension) float32: features of length 1, or 0 where all are 0."""
        features = self._rows.take(chosen, self._view).astype(np.float32)
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        return features / np.maximum(lengths, np.finfo(np.float32).tiny)


def load(workspace: Workspace, recipes: list[str], engine: Engine) -> FeatureSpace | None:
    """Return the feature space of the first recipe that has pooled features in the cache."""
    for recipe in recipes:
        cached = linear_probe.cached_photos(workspace, recipe, engine)
        if cached is not None:
            return FeatureSpace(cached)
    return None
