"""The stage: search for better settings of a recipe's head, on other folds than are reported."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from dogs_vs_cats import files, progress
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, HeadSettings, Recipe
from dogs_vs_cats.data import folds, photos
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache
from dogs_vs_cats.modeling import training
from dogs_vs_cats.search import coordinate_search, results
from dogs_vs_cats.search import space as spaces
from dogs_vs_cats.search.coordinate_search import estimate
from dogs_vs_cats.search.results import FoldSearch, NestedSearchResult, SearchResult
from dogs_vs_cats.search.space import Space
from dogs_vs_cats.search.trial_lines import TrialLines
from dogs_vs_cats.search.trials import Make, SearchPhotos, Trials, in_turn, require_finite
from dogs_vs_cats.workspace import Workspace

SEED = folds.SEED + 1  # of the folds that a search compares on; reported folds have folds.SEED


@dataclass(frozen=True)
class Run:
    """How to make trials. threads: of the processor (default: all).

    cluster: local, auto or host:port, where workers make them; None: this process does. insecure:
    a cluster that asks for no token will do. Nothing here changes a byte.
    """

    threads: int | None = None
    cluster: str | None = None
    insecure: bool = False


@dataclass(frozen=True)
class SearchReport:
    """A written report. path: the Markdown file; new_trials: trials that were not known before."""

    text: str
    path: Path
    new_trials: int


def build(
    workspace: Workspace,
    recipe: Recipe | Blend,
    space_file: Path | None,
    engine: Engine,
    nested: bool,
    run: Run,
) -> SearchReport:
    """Search; write reports/<dataset>/search-<recipe>[-nested].md and .json.

    The recipe itself stays as it is. UserError for a blend, a recipe with [retrain], a head without
    settings, a bad search space, or stale features.
    """
    recipe = _require_single(recipe)
    space = spaces.read(space_file or spaces.default(recipe.head.kind), type(recipe.head))
    _require_features(workspace, recipe, engine)
    name = f"search-{recipe.name}"
    with (
        files.locked(workspace.reports / f".{name}.lock", f"search of {recipe.name}"),
        _maker(workspace, recipe, engine, space, run) as make,
    ):
        trials = Trials(workspace, recipe, engine, workspace.reports / f"{name}.jsonl", make)
        labelled = _photos(workspace, recipe, engine)
        result: SearchResult | NestedSearchResult
        if nested:
            name += "-nested"
            result = search_nested(recipe.head, space, labelled, trials)
        else:
            labels = [str(label) for label in labelled.rows.labels]
            own = folds.split(labels, labelled.groups, folds.FOLDS, SEED)
            result = _search(recipe.head, space, dataclasses.replace(labelled, fold_of=own), trials)
        text = results.markdown(workspace.dataset, recipe.name, len(labelled.ids), result)
        path = workspace.reports / f"{name}.md"
        files.write_text(path, text)
        content = json.dumps(dataclasses.asdict(result), indent=1) + "\n"
        files.write_text(path.with_suffix(".json"), content)
        return SearchReport(text, path, trials.made)


@contextmanager
def _maker(
    workspace: Workspace, recipe: Recipe, engine: Engine, space: Space, run: Run
) -> Iterator[Make]:
    """Give the block what makes its trials: this process, or a cluster."""
    if run.cluster is None:
        yield in_turn(recipe, run.threads)
        return
    from dogs_vs_cats.search import side_by_side

    plan = side_by_side.Plan(workspace, recipe, engine, Path.cwd())
    at_once = max(map(len, space.values()))
    with side_by_side.on_cluster(run.cluster, run.insecure, plan, run.threads, at_once) as make:
        yield make


def _require_single(recipe: Recipe | Blend) -> Recipe:
    """Return a recipe whose head alone can be trained; UserError for any other."""
    if isinstance(recipe, Blend):
        raise UserError(
            f"{recipe.name} is a blend, which has no head of its own. Search its members, one "
            "after the other."
        )
    if recipe.retrain:
        raise UserError(
            f"{recipe.name} has a [retrain] section, which would be trained again for every value. "
            "Search a copy of it without [retrain]."
        )
    if not spaces.keys(type(recipe.head)):
        raise UserError(
            f"{recipe.name} has no settings to search: a [head] of kind = {recipe.head.kind!r} has "
            "none. Search another recipe."
        )
    return recipe


def _require_features(workspace: Workspace, recipe: Recipe, engine: Engine) -> None:
    if cache.fresh(workspace, recipe.features, engine) is None:
        raise UserError(
            f"The features of {recipe.name} are not up to date. Run `make features` first, with "
            "the same RECIPE, ENGINE and PRECISION."
        )


def _photos(workspace: Workspace, recipe: Recipe, engine: Engine) -> SearchPhotos:
    """Return the labelled photos, in the folds that `make train` reports."""
    table = photos.train(photos.read(workspace))
    classes = photos.read_classes(workspace)
    rows, _ = training.training_rows(workspace, recipe, engine, table, classes)
    ids, groups = table["id"].tolist(), table["group"].tolist()
    return SearchPhotos(ids, groups, rows, table["fold"].to_numpy(), len(classes))


def _search(
    head: HeadSettings, space: Space, labelled: SearchPhotos, trials: Trials
) -> SearchResult:
    total = spaces.trial_count(head, space)
    with progress.bar(total, "search", " trials") as bar:
        on_trial = TrialLines(head, total, bar).of()
        evaluate = partial(trials.out_of_fold, photos=labelled, on_trial=on_trial)
        return coordinate_search.search(head, space, labelled.groups, evaluate).result


def search_nested(
    head: HeadSettings, space: Space, labelled: SearchPhotos, trials: Trials
) -> NestedSearchResult:
    """For each fold, search on the other folds, then measure the head that was found on the fold.

    No label of a fold has a part in the choice, the training or the calibration of its head, so
    the estimates are unbiased, whatever the space.
    """
    count = len(labelled.ids)
    as_is, chosen = np.empty(count), np.empty(count)  # (n,) losses
    searches = []
    numbers = sorted(set(labelled.fold_of.tolist()))
    total = len(numbers) * (spaces.trial_count(head, space) + 2)
    with progress.bar(total, "search", " trials") as bar:
        lines = TrialLines(head, total, bar)
        for fold in numbers:
            others, in_fold = labelled.without(fold), labelled.fold_of == fold
            on_trial, on_fold = lines.of(f"without fold {fold}"), lines.of(f"on fold {fold}")
            evaluate = partial(trials.out_of_fold, photos=others, on_trial=on_trial)
            found = coordinate_search.search(head, space, others.groups, evaluate)
            for losses, tried, trial in (
                (as_is, head, found.first),
                (chosen, found.result.head, found.best),
            ):
                assert trial.calibration  # it did not diverge
                after = trials.held_out(tried, labelled, fold, trial.calibration, on_fold)
                losses[in_fold] = require_finite(after)
            groups = [group for group, here in zip(labelled.groups, in_fold, strict=True) if here]
            searches.append(
                FoldSearch(
                    fold,
                    found.result,
                    estimate(as_is[in_fold], groups),
                    estimate(chosen[in_fold], groups),
                    estimate((chosen - as_is)[in_fold], groups),
                )
            )
    return NestedSearchResult(
        searches,
        estimate(as_is, labelled.groups),
        estimate(chosen, labelled.groups),
        estimate(chosen - as_is, labelled.groups),
    )
