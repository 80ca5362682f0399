"""Blending: the stage that fits a blend's weights on what its members predicted out of fold.

Asking whether a blend is up to date uses the standard library alone.
"""

import dataclasses
import json
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import artifacts, code_keys, environment, files
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.modeling import training
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    from dogs_vs_cats.modeling.out_of_fold import Predictions


def inputs(workspace: Workspace, blend: Blend) -> dict:
    """Return all that decides a blend, ready for a stamp: its trained members and our code."""
    return {
        "members": [
            [member.name, files.digest(workspace.model(member.name) / "stamp.json")]
            for member in blend.members
        ],
        "code": code_keys.code_key(
            "modeling.opinion_pool",
            "modeling.blend",
            "modeling.calibration",
            "modeling.metrics",
            "modeling.out_of_fold",
        ),
        "packages": environment.versions("numpy", "scipy"),
    }


def summary(workspace: Workspace, recipe: Recipe | Blend, engine: Engine) -> dict | None:
    """Return the metrics of a recipe, or of a blend and its members, if up to date, else None."""
    if isinstance(recipe, Recipe):
        return training.summary(workspace, recipe, engine)
    if any(training.summary(workspace, member, engine) is None for member in recipe.members):
        return None
    return artifacts.fresh(workspace.model(recipe.name) / "stamp.json", inputs(workspace, recipe))


def require(workspace: Workspace, recipe: Recipe | Blend, engine: Engine, called: str) -> None:
    """Raise UserError unless a recipe, or a blend and its members, are trained and up to date.

    `called` is RECIPE as the user gave it.
    """
    if summary(workspace, recipe, engine) is None:
        raise UserError(
            f"Expected heads of {recipe.name} that fit the photos and features. Received none, or "
            f"stale ones. Run `make train RECIPE={shlex.quote(called)}` first."
        )


def build(workspace: Workspace, blend: Blend) -> dict:
    """Fit a blend of trained members; write its weights, metrics and predictions; return metrics.

    The metrics are as those of a recipe, each fold blended and calibrated by what was fitted on
    the others. UserError if the members differ in photos, labels, groups or folds.
    """

    def make(folder: Path, given: dict) -> dict:
        return _build(workspace, blend, folder)

    return training.put(workspace, blend, lambda: inputs(workspace, blend), make)


def _build(workspace: Workspace, blend: Blend, folder: Path) -> dict:
    import pandas as pd

    from dogs_vs_cats.modeling import calibration, metrics, out_of_fold
    from dogs_vs_cats.modeling import opinion_pool as pools

    started = time.monotonic()
    found = joined({one.name: out_of_fold.read(workspace.model(one.name)) for one in blend.members})
    first = next(iter(found.values()))
    labels, groups, folds = first.labels, first.groups, first.folds
    raw = {name: one.raw for name, one in found.items()}
    mixed, blended, by_fold = pools.out_of_fold(labels, folds, raw)
    final = pools.fit(labels, raw)
    calibrations = {fold: one.calibration for fold, one in by_fold.items()}
    figures = calibration.report(labels, groups, folds, mixed, blended, calibrations)
    figures |= dataclasses.asdict(final.calibration)
    figures["members"] = [
        {"name": name, "weight": final.weights[name]}
        | metrics.of(labels, one.probabilities, groups)
        for name, one in found.items()
    ]
    calibrated = {name: one.probabilities for name, one in found.items()}
    figures["error_correlations"] = pools.correlations(labels, calibrated)
    figures["seconds"] = round(time.monotonic() - started, 1)
    table = pd.DataFrame({"id": first.ids, "group": first.groups, "fold": folds})
    table["label"] = [first.classes[label] for label in labels]
    files.write_text(folder / "metrics.json", json.dumps(figures, indent=1) + "\n")
    out_of_fold.write(folder, table, first.classes, mixed, blended)
    pools.write(folder, final, by_fold)
    return figures


def joined(found: dict[str, "Predictions"]) -> dict[str, "Predictions"]:
    """Return the members' predictions with the first one's photos in the first one's order.

    found: name -> predictions. UserError names two members that differ, and a photo.
    """
    (name, first), *others = found.items()
    done = {name: first}
    for other, theirs in others:
        _require_same(name, first, other, theirs)
        row = {photo: i for i, photo in enumerate(theirs.ids)}
        order = [row[photo] for photo in first.ids]
        done[other] = dataclasses.replace(
            first, probabilities=theirs.probabilities[order], raw=theirs.raw[order]
        )
    return done


def _require_same(name: str, first: "Predictions", other: str, theirs: "Predictions") -> None:
    """Raise UserError unless both predict the same photos, of the same label, group and fold."""
    one, two = first.described(), theirs.described()
    if first.classes == theirs.classes and one == two:
        return
    differ = sorted(photo for photo in one.keys() | two.keys() if one.get(photo) != two.get(photo))
    if differ:
        photo = differ[0]
        what = f"which differ in {len(differ):,} photos: {photo} is {_text(one, photo)} and "
        what += _text(two, photo)
    else:
        what = f"whose classes are {', '.join(first.classes)} and {', '.join(theirs.classes)}"
    raise UserError(
        "Expected members of a blend with the same photos and classes, and the same class, group "
        f"and fold of each photo. Received {name} and {other}, {what}. Remove their folders from "
        "models/, then train them again."
    )


def _text(described: dict[str, tuple], photo: str) -> str:
    if photo not in described:
        return "not there"
    label, group, fold = described[photo]
    return f"{label}, group {group}, fold {fold}"
