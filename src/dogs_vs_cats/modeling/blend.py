"""Blend: the stage that fits a blend's weights on its members' out-of-fold predictions.

Asking whether a blend is up to date takes the standard library alone.
"""

import dataclasses
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import code_keys, environment, files
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.legible import counted
from dogs_vs_cats.modeling import evaluation, model_folder, training
from dogs_vs_cats.modeling.results import BlendResult, FittedBlend, TrainingResult
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    from dogs_vs_cats.modeling.out_of_fold import Predictions

# What decides weights, calibrations and predictions.
CODE = (
    "modeling.blend",
    "modeling.calibration",
    "modeling.opinion_pool",
    "modeling.out_of_fold",
)


def artifact(workspace: Workspace, blend: Blend) -> Artifact[FittedBlend]:
    """Return a blend of the trained members that there are, fresh or not."""
    inputs = {
        "members": [
            [member.name, files.digest(workspace.model(member.name) / "stamp.json")]
            for member in blend.members
        ],
        "code": code_keys.code_key(*CODE),
        "packages": environment.versions("numpy", "scipy"),
    }
    return Artifact(workspace.model(blend.name) / "stamp.json", inputs, FittedBlend)


def fresh(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine
) -> TrainingResult | BlendResult | None:
    """Return the result of a recipe, or of a blend, if it and its members are fresh, else None."""
    if isinstance(recipe, Recipe):
        return training.fresh(workspace, recipe, engine)
    if any(training.fresh(workspace, member, engine) is None for member in recipe.members):
        return None
    if artifact(workspace, recipe).fresh() is None:
        return None
    return evaluation.read(workspace.model(recipe.name))


def require(workspace: Workspace, recipe: Recipe | Blend, engine: Engine, called: str) -> None:
    """Raise UserError unless a recipe, or a blend and its members, are trained and up to date.

    `called` is RECIPE as the user gave it.
    """
    if fresh(workspace, recipe, engine) is None:
        raise UserError(
            f"The heads of {recipe.name} are missing or stale. Run `make train "
            f"RECIPE={shlex.quote(called)}` first."
        )


def build(workspace: Workspace, blend: Blend) -> BlendResult:
    """Fit a blend of trained members; write its weights and predictions; return its metrics.

    Each fold is blended and calibrated by what was fitted on the others. UserError if the members
    differ in photos, labels, groups or folds.
    """

    def fill(folder: Path, wanted: Artifact[FittedBlend]) -> FittedBlend:
        return _fit(workspace, blend, folder)

    model_folder.make(workspace, blend, lambda: artifact(workspace, blend), fill)
    result = evaluation.read(workspace.model(blend.name))
    assert isinstance(result, BlendResult)
    return result


def _fit(workspace: Workspace, blend: Blend, folder: Path) -> FittedBlend:
    import pandas as pd

    from dogs_vs_cats.modeling import opinion_pool, out_of_fold

    started = time.monotonic()
    members = joined(
        {member.name: out_of_fold.read(workspace.model(member.name)) for member in blend.members}
    )
    first = next(iter(members.values()))
    raw = {name: predictions.raw for name, predictions in members.items()}
    mixed, blended, by_fold = opinion_pool.out_of_fold(first.labels, first.folds, raw)
    final = opinion_pool.fit(first.labels, raw)
    calibrated = {name: predictions.probabilities for name, predictions in members.items()}
    table = pd.DataFrame({"id": first.ids, "group": first.groups, "fold": first.folds})
    table["label"] = first.names()
    out_of_fold.write(folder, table, first.classes, mixed, blended)
    opinion_pool.write(folder, final, by_fold)
    return FittedBlend(
        seconds=round(time.monotonic() - started, 1),
        weights=final.weights,
        error_correlations=opinion_pool.correlations(first.labels, calibrated),
    )


def joined(predictions: dict[str, "Predictions"]) -> dict[str, "Predictions"]:
    """Return the members' predictions, all with the photos in the order of the first one's.

    predictions: name of a member -> its own. UserError names two members that differ, and a photo.
    """
    (name, first), *others = predictions.items()
    ordered = {name: first}
    for other, second in others:
        _require_same(name, first, other, second)
        row = {photo: i for i, photo in enumerate(second.ids)}
        order = [row[photo] for photo in first.ids]
        ordered[other] = dataclasses.replace(
            first, probabilities=second.probabilities[order], raw=second.raw[order]
        )
    return ordered


def _require_same(name: str, first: "Predictions", other: str, second: "Predictions") -> None:
    """Raise UserError unless both predict the same photos, of the same label, group and fold."""
    one, two = first.described(), second.described()
    if first.classes == second.classes and one == two:
        return
    differ = sorted(photo for photo in one.keys() | two.keys() if one.get(photo) != two.get(photo))
    if differ:
        photo = differ[0]
        what = (
            f"They differ in {counted(len(differ), 'photo')}: {photo} is {_text(one, photo)} and "
        )
        what += _text(two, photo)
    else:
        what = f"Their classes are {', '.join(first.classes)} and {', '.join(second.classes)}"
    raise UserError(
        f"{name} and {other} can't be blended: members need the same photos and classes, and the "
        f"same class, group and fold of each photo. {what}. Remove their folders from models/, "
        "then train them again."
    )


def _text(described: dict[str, tuple[str, str, int]], photo: str) -> str:
    if photo not in described:
        return "not there"
    label, group, fold = described[photo]
    return f"{label}, group {group}, fold {fold}"
