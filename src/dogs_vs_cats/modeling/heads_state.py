"""The state of a recipe's heads, or a blend's weights: up to date, resumable, or stale, and why.

Standard library alone, unless the code of metrics has changed: then they are measured again.
"""

import json
from dataclasses import dataclass
from typing import Any

from dogs_vs_cats import artifacts
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import dataset
from dogs_vs_cats.features import features_state, rates
from dogs_vs_cats.modeling import blend, model_folder, training
from dogs_vs_cats.modeling.results import Evaluation
from dogs_vs_cats.workspace import Workspace

FOLDS = 5  # of data.folds, which imports NumPy
# Inputs of heads and blends -> what the user calls them.
WORDS = {
    "features": "recipe",
    "head": "recipe",
    "retrain": "recipe",
    "photos": "photos",
    "classes": "classes",
    "verdicts": "verdicts",
    "code": "code",
    "engine": "packages",
    "packages": "packages",
    "members": "members",
    "cache": "features",
}


@dataclass(frozen=True)
class HeadsState:
    """result: what they are worth, None unless they are up to date. changed: what they were made
    of that is not so now, in words; () if there are none. done: the seconds that each fold took
    which a stopped training has finished, and the next one goes on from.
    """

    result: Evaluation | None
    changed: tuple[str, ...] = ()
    done: tuple[float, ...] = ()

    def text(self) -> str:
        """Return `stale: the photos changed` or the like; of heads that are up to date, figures."""
        if self.result is not None:
            metrics = self.result.metrics
            return f"up to date: accuracy {metrics.accuracy:.2%}, log loss {metrics.log_loss:.4f}"
        if self.done:
            return f"resumable: {len(self.done)} of {FOLDS} folds done"
        if self.changed:
            return f"stale: {' and '.join(self.changed)} changed"
        return "none yet"


def of(workspace: Workspace, recipe: Recipe | Blend, engine: Engine) -> HeadsState:
    """Return the state of a recipe's heads, or of a blend's weights."""
    result = blend.fresh(workspace, recipe, engine)
    if result is not None:
        return HeadsState(result)
    if isinstance(recipe, Blend):
        return HeadsState(None, _changed_blend(workspace, recipe, engine))
    wanted = training.artifact(workspace, recipe, engine)
    done = model_folder.finished(workspace, recipe.name, wanted.inputs)
    stamp = artifacts.read(wanted.stamp)
    if stamp is None:
        there = workspace.model(recipe.name).exists()
        return HeadsState(None, ("files",) if there else (), done)
    before = stamp["inputs"]
    words = _words(before, wanted.inputs)
    if "features" in words:  # why are they others?
        made = workspace.cache / before.get("cache", {}).get("folder", "")
        why = features_state.changed(made, workspace, recipe.features, engine)
        words = ["engine"] if "engine" in why else [*dict.fromkeys([*words[:-1], *why])] or words
    return HeadsState(None, tuple(words) or ("files",), done)


def seconds_left(workspace: Workspace, recipe: Recipe, state: HeadsState) -> float | None:
    """Return about how long the training of the folds takes that are not done.

    As long as those that are done, or as such heads took before; None if there are neither.
    """
    labelled = sum(dataset.read(workspace).photos_per_class.values())
    done = state.done
    each = (
        sum(done) / len(done)
        if done
        else rates.fold(workspace, recipe, labelled * (FOLDS - 1) // FOLDS)
    )
    return None if each is None else (FOLDS - len(done)) * each


def _changed_blend(workspace: Workspace, recipe: Blend, engine: Engine) -> tuple[str, ...]:
    stamp = artifacts.read(workspace.model(recipe.name) / "stamp.json")
    if stamp is None:
        return ("files",) if workspace.model(recipe.name).exists() else ()
    if any(training.fresh(workspace, member, engine) is None for member in recipe.members):
        return ("members",)
    words = _words(stamp["inputs"], blend.artifact(workspace, recipe).inputs)
    return tuple(words) or ("files",)


def _words(before: dict[str, Any], inputs: dict[str, Any]) -> list[str]:
    """Return in words which inputs differ, features last. A recipe says which code and features."""
    now = json.loads(json.dumps(inputs))
    words = dict.fromkeys(
        WORDS[name] for name in WORDS if name in now and before.get(name) != now[name]
    )
    implied = ("code", "features") if "recipe" in words else ()
    return [word for word in words if word not in implied]
