"""Ensemble: the trained heads of a recipe or a blend, combined into one prediction.

Test photos and a user's own photos go through the same code, from features to probabilities. A
recipe's heads are averaged, then calibrated; a blend calibrates, weighs and adds up its members.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import calibration, heads, opinion_pool
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.heads.prediction import predict
from dogs_vs_cats.modeling.heads.protocol import Head
from dogs_vs_cats.modeling.opinion_pool import Pool
from dogs_vs_cats.workspace import Workspace


@dataclass(frozen=True)
class Ensemble:
    """heads: name of a member -> its heads. last: what is done to their averages.

    A recipe that is no blend is its own only member.
    """

    heads: dict[str, list[Head]]
    last: Calibration | Pool

    def averaged(
        self,
        member: Recipe,
        rows: Rows,
        on_step: Callable[[int], None] = lambda photos: None,
    ) -> np.ndarray:
        """Return (n, classes) float64: a member's predictions of all rows, not calibrated.

        Averaged over heads and test views. A photo's are bitwise identical whatever else is in the
        rows. `on_step` is as in `predict`.
        """
        views = member.features.test_views
        everything = np.arange(len(rows.labels))
        return predict(self.heads[member.name], rows, everything, views, on_step)

    def probabilities(self, averages: dict[str, np.ndarray]) -> np.ndarray:
        """Return (n, classes) float64, rows summing to 1: the ensemble's prediction.

        averages: name -> (n, classes), `averaged` of each member, with the same photos in the
        same rows.
        """
        if isinstance(self.last, Pool):
            return self.last.apply(averages)
        (alone,) = averages.values()
        return self.last.apply(alone)


def load(workspace: Workspace, recipe: Recipe | Blend) -> Ensemble:
    """Return the heads in models/<dataset>/ of each member, up to date or not."""
    loaded = {
        member.name: [heads.load(path) for path in heads.paths(workspace.model(member.name))]
        for member in members(recipe)
    }
    folder = workspace.model(recipe.name)
    if isinstance(recipe, Blend):
        return Ensemble(loaded, opinion_pool.read(folder))
    return Ensemble(loaded, calibration.read(folder / calibration.NAME))
