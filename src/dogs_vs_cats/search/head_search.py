"""Search: better settings for a recipe's head, on other folds than those that are reported.

One key at a time, in the order of the space (coordinate search, a single pass): what is kept of
one key is there when the next is tried. A value is kept if it is better than what was there by
more than the standard error of their difference, paired by photo, over groups.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dogs_vs_cats import files, progress
from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, KerasHead, Recipe
from dogs_vs_cats.data import folds, photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache
from dogs_vs_cats.modeling import metrics, training
from dogs_vs_cats.search import findings
from dogs_vs_cats.search.findings import Choice, Figure, Found, Nested, Step
from dogs_vs_cats.search.trials import Photos, Trial, Trials
from dogs_vs_cats.workspace import Workspace

SPACE = recipe_files.FOLDER / "spaces" / "heads.toml"
SEED = folds.SEED + 1  # of the search's own folds; those that are reported have folds.SEED


def read_space(path: Path) -> dict[str, tuple]:
    """Return key of [head] -> the values to try, in the order of the file.

    UserError names the key that is unknown, or the value that can't be.
    """
    if not path.is_file():
        raise UserError(f"Expected SPACE to be a .toml file. Received {str(path)!r}: none there.")
    table = recipe_files.parsed(path)
    known = [field.name for field in dataclasses.fields(KerasHead) if field.name != "kind"]
    for key, values in table.items():
        if key not in known:
            raise UserError(
                f"Expected only keys of [head] in {path.name}: {', '.join(known)}. "
                f"Received {key!r} too."
            )
        if not isinstance(values, list) or not values:
            raise UserError(
                f"Expected {key} in {path.name} to be a list of the values to try, such as "
                f"dropout = [0.3, 0.6]. Received {values!r}."
            )
    if not table:
        raise UserError(
            f"Expected keys of [head] and their values in {path.name}, such as "
            "dropout = [0.3, 0.6]. Received none."
        )
    return {
        key: tuple(recipe_files.head_value(path, KerasHead, key, value) for value in values)
        for key, values in table.items()
    }


def build(
    workspace: Workspace,
    recipe: Recipe | Blend,
    space: dict[str, tuple],
    engine: Engine,
    nested: bool = False,
    threads: int | None = None,
) -> tuple[str, Path, int]:
    """Search; write reports/<dataset>/search-<recipe>[-nested].md and .json.

    Return the text, its file, and how many trials were made that the journal did not have. The
    recipe stays as it is. UserError for a blend, a recipe that retrains, or stale features.
    """
    _require_searchable(workspace, recipe, engine)
    name = f"search-{recipe.name}"
    with files.locked(workspace.reports / f".{name}.lock", f"search of {recipe.name}"):
        trials = Trials(workspace, recipe, engine, workspace.reports / f"{name}.jsonl", threads)
        everything = _photos(workspace, recipe, engine)
        if nested:
            name += "-nested"
            found = search_nested(recipe.head, space, everything, trials)
        else:
            own = folds.split(_names(everything), everything.groups, folds.FOLDS, SEED)
            found = _search(
                recipe.head, space, dataclasses.replace(everything, fold_of=own), trials
            )
        text = findings.text(workspace.dataset, recipe.name, len(everything.ids), found)
        path = workspace.reports / f"{name}.md"
        files.write_text(path, text)
        written = json.dumps(dataclasses.asdict(found), indent=1) + "\n"
        files.write_text(path.with_suffix(".json"), written)
        return text, path, trials.made


def _require_searchable(workspace: Workspace, recipe: Recipe | Blend, engine: Engine) -> None:
    if isinstance(recipe, Blend):
        raise UserError(
            f"Expected one recipe with a head of its own. Received {recipe.name}, a blend. Search "
            "its members, one after the other."
        )
    if recipe.retrain:
        raise UserError(
            f"Expected a recipe without [retrain], which would be trained anew for every value. "
            f"Received {recipe.name}. Search a copy of it without."
        )
    if cache.summary(workspace, recipe.features, engine) is None:
        raise UserError(
            f"Expected the features of {recipe.name} to be up to date. Received: they are not. "
            "Run `make features` first, with the same RECIPE, ENGINE and PRECISION."
        )


def _photos(workspace: Workspace, recipe: Recipe, engine: Engine) -> Photos:
    """Return the labelled photos, in the folds that `make train` reports."""
    table = photos.train(photos.read(workspace))
    classes = photos.read_classes(workspace)
    rows, _ = training.taught_rows_of(workspace, recipe, engine, table, classes)
    ids, groups = table["id"].tolist(), table["group"].tolist()
    return Photos(ids, groups, rows, table["fold"].to_numpy(), len(classes))


def _names(shown: Photos) -> list[str]:
    return [str(label) for label in shown.rows.labels]


def _search(head: KerasHead, space: dict[str, tuple], shown: Photos, trials: Trials) -> Found:
    with progress.bar(size(head, space), "search", " trials") as bar:

        def judge(candidate: KerasHead) -> Trial:
            trial = trials.out_of_fold(candidate, shown)
            bar.update()
            return trial

        return coordinate(head, space, shown.groups, judge)[0]


def search_nested(
    head: KerasHead, space: dict[str, tuple], shown: Photos, trials: Trials
) -> Nested:
    """Search for each fold on the other folds alone, then judge what was found on the fold.

    Neither the choice, nor the head, nor the calibration of a fold's predictions has seen a
    label of that fold, so the figures are honest whatever was searched.
    """
    choices, as_is, chosen = [], np.empty(len(shown.ids)), np.empty(len(shown.ids))
    numbers = sorted(set(shown.fold_of.tolist()))
    with progress.bar(len(numbers) * (size(head, space) + 2), "search", " trials") as bar:
        for fold in numbers:
            others, mine = shown.without(fold), shown.fold_of == fold

            def judge(candidate: KerasHead, others=others) -> Trial:
                trial = trials.out_of_fold(candidate, others)
                bar.update()
                return trial

            found, first, best = coordinate(head, space, others.groups, judge)
            for losses, tried, trial in (as_is, head, first), (chosen, found.head, best):
                after = trials.held_out(tried, shown, fold, trial.calibration)
                losses[mine] = _require_finite(after).losses
                bar.update()
            groups = [group for group, here in zip(shown.groups, mine, strict=True) if here]
            figures = [figure(x[mine], groups) for x in (as_is, chosen, chosen - as_is)]
            choices.append(Choice(fold, found, *figures))
    figures = [figure(x, shown.groups) for x in (as_is, chosen, chosen - as_is)]
    return Nested(choices, *figures)


def size(head: KerasHead, space: dict[str, tuple]) -> int:
    """Return how many trials a search takes: the head as it is, and each other value."""
    return 1 + sum(value != getattr(head, key) for key in space for value in space[key])


def coordinate(
    head: KerasHead, space: dict[str, tuple], groups: list[str], judge: Callable[[KerasHead], Trial]
) -> tuple[Found, Trial, Trial]:
    """Return what was found, the trial of `head` as it is, and that of what was found.

    groups: of the photos whose losses `judge` gives, in their order. Of a key's values that are
    better by more than noise the one of the least log loss is kept.
    """
    first = kept = _require_finite(judge(head))
    start, steps = figure(first.losses, groups), []
    for key, values in space.items():
        before, tried = getattr(head, key), []
        for value in values:
            if value != before:
                trial = judge(dataclasses.replace(head, **{key: value}))
                tried.append((_step(key, value, before, trial, kept, groups), trial))
        better = [one for one in tried if one[0].is_better()]
        if better:
            best, kept = min(better, key=lambda one: one[0].log_loss.mean)
            head = dataclasses.replace(head, **{key: best.value})
            tried = [(dataclasses.replace(x, kept=x is best), trial) for x, trial in tried]
        steps += [step for step, _ in tried]
    gained = figure(kept.losses - first.losses, groups)
    return Found(head, start, steps, figure(kept.losses, groups), gained), first, kept


def _step(
    key: str, value: object, before: object, trial: Trial, kept: Trial, groups: list[str]
) -> Step:
    if trial.losses is None:
        return Step(key, value, before, None, None)
    gap = figure(trial.losses - kept.losses, groups)
    return Step(key, value, before, figure(trial.losses, groups), gap)


def figure(values: np.ndarray, groups: list[str]) -> Figure:
    """Return the mean of (n,) values and its standard error over groups."""
    return Figure(float(values.mean()), metrics.group_error(values, groups))


def _require_finite(trial: Trial) -> Trial:
    if trial.losses is None:
        raise UserError(
            "Expected finite predictions. Received some that are not: the training diverged. "
            "Lower learning_rate in the recipe."
        )
    return trial
