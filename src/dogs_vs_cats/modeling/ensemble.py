"""Ensemble: all trained heads of a recipe or a blend, and what makes one answer of theirs.

From features to probabilities there is this one way, for test photos and one's own alike. A
recipe's heads are averaged, then calibrated; a blend calibrates, weighs and adds up its members'.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import calibration, heads, opinion_pool
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.opinion_pool import Pool
from dogs_vs_cats.workspace import Workspace


@dataclass(frozen=True)
class Ensemble:
    """models: name of a member -> its heads, loaded. last: what is done to their averages.

    A recipe that is no blend is its own only member.
    """

    models: dict[str, list]
    last: Calibration | Pool

    def averaged(
        self,
        member: Recipe,
        rows: Rows,
        tick: Callable[[int], None] = lambda predicted: None,
    ) -> np.ndarray:
        """Return (n, classes) float64: what a member's heads say of all rows, on average.

        Over heads and test views; not calibrated. A photo's is the same, to the last bit, in
        whatever company it is asked for. `tick` is as in heads.predict.
        """
        views = member.features.test_views
        everything = np.arange(len(rows.labels))
        return heads.predict(self.models[member.name], rows, everything, views, tick)

    def probabilities(self, said: dict[str, np.ndarray]) -> np.ndarray:
        """Return (n, classes) float64, rows summing to 1: the answer.

        said: name -> (n, classes), `averaged` of each member, with the same photos in the same
        rows.
        """
        if isinstance(self.last, Pool):
            return self.last.apply(said)
        (alone,) = said.values()
        return self.last.apply(alone)


def load(workspace: Workspace, recipe: Recipe | Blend) -> Ensemble:
    """Return the heads in models/<dataset>/, of each member, as they are."""
    models = {
        one.name: [
            heads.load(path) for path in sorted(workspace.model(one.name).glob("head-*.keras"))
        ]
        for one in members(recipe)
    }
    folder = workspace.model(recipe.name)
    if isinstance(recipe, Blend):
        return Ensemble(models, opinion_pool.read(folder))
    return Ensemble(models, calibration.read(folder / calibration.NAME))
