"""Datasets of the index: their recipes, ranked if they are up to date, and their submissions."""

import math
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from dogs_vs_cats.analysis import compare, freshness
from dogs_vs_cats.analysis.compare import TrainedRecipe
from dogs_vs_cats.data import dataset, photos
from dogs_vs_cats.data.dataset import Dataset
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.kaggle import competitions
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.modeling.metrics import group_error
from dogs_vs_cats.report import frontier, submission_plot
from dogs_vs_cats.report.index import differences, predicted
from dogs_vs_cats.report.index.differences import Differences
from dogs_vs_cats.report.index.predicted import Predicted
from dogs_vs_cats.report.plots import Plot
from dogs_vs_cats.workspace import REPORTS, Workspace

LISTED = 50  # submissions of a dataset
OTHER_PHOTOS = "other photos, labels, groups or folds than there are now"


@dataclass(frozen=True)
class RecipeRow:
    """A trained recipe. cells: column of `compare.HEADER` -> text; of a stale recipe, accuracy and
    log loss alone. page: its report's address seen from the index, "" if there is none. stale: why
    it is not ranked and what to run, "" if it is. warnings: what it does not beat by more
    than noise.
    """

    name: str
    about: str
    cells: dict[str, str]
    page: str
    stale: str
    warnings: list[str]


@dataclass(frozen=True)
class Recipes:
    """The trained recipes of a dataset, the stale ones last. stopped: those whose first training
    was stopped, and what to run. frontier: None if no CPU time is known. unmeasured: recipes
    without a CPU time. differences: None for fewer than two that are up to date.
    """

    rows: list[RecipeRow]
    stopped: list[str]
    frontier: Plot | None
    unmeasured: list[str]
    differences: Differences | None

    @property
    def best(self) -> RecipeRow | None:
        return next((row for row in self.rows if not row.stale), None)


@dataclass(frozen=True)
class IndexedDataset:
    """A dataset. facts, recipes: None where its files can't be read, for the reason in `problem`.

    lines: its submissions, the newest first. past: their scores as a plot, None if there is none.
    best_score: the best public score in the dataset's metric, "" if there is none.
    """

    name: str
    facts: Dataset | None
    recipes: Recipes | None
    problem: str
    lines: list[LedgerLine]
    past: Plot | None
    best_score: str

    @property
    def submissions(self) -> list[list[str]]:
        return [[line.recipe or "elsewhere", *cells(line)] for line in self.lines[:LISTED]]


def cells(line: LedgerLine) -> list[str]:
    """Return what the index shows of a submission, but for its recipe."""
    return [
        *(line.time[:16].replace("T", " "), line.public_score, line.private_score),
        *(line.oof_log_loss, line.oof_accuracy, line.competition or "not uploaded"),
    ]


def read(workspace: Workspace, ledger: list[LedgerLine]) -> IndexedDataset:
    """Return what the index shows of a dataset. ledger: the lines of all datasets.

    What is wrong with one dataset is said in its place: the others are shown all the same.
    """
    name = workspace.dataset
    lines = sorted(
        (line for line in ledger if line.dataset == name), key=lambda line: line.time, reverse=True
    )
    try:
        facts = dataset.read(workspace)
        recipes = _recipes(workspace)
    except (UserError, OSError) as error:
        return IndexedDataset(name, None, None, str(error), lines, None, "")
    past = submission_plot.submissions(lines[::-1], facts.metric)
    return IndexedDataset(name, facts, recipes, "", lines, past, best_score(lines, facts.metric))


def best_score(lines: list[LedgerLine], metric: str) -> str:
    """Return the best public score of submissions that are scored by `metric`, "" if none is."""
    scores = {}
    for line in lines:
        if line.public_score and competitions.facts(line.competition).metric == metric:
            try:
                scores[line.public_score] = float(line.public_score)
            except ValueError:
                continue  # a text of a spreadsheet is no score
    known = [text for text, score in scores.items() if not math.isnan(score)]
    lower = metric == "log_loss"
    return (min if lower else max)(known, key=scores.__getitem__, default="")


def _recipes(workspace: Workspace) -> Recipes:
    trained = [compare.read(workspace, folder) for folder in compare.folders(workspace)]
    by_name = {recipe.name: recipe for recipe in trained}
    behind = freshness.behind(workspace)
    stale = {name: text.removeprefix(f"{name} ") for name, text in behind.items()}
    stopped = [text for name, text in behind.items() if name not in by_name]
    if not trained:
        return Recipes([], stopped, None, [], None)
    table = photos.train(photos.read(workspace)).reset_index(drop=True)
    classes = photos.read_classes(workspace)
    found: dict[str, Predicted] = {}
    for recipe in compare.ordered([one for one in trained if one.name not in stale]):
        own = predicted.read(recipe.folder, table, classes)
        if own is None:
            stale[recipe.name] = f"({OTHER_PHOTOS})"
        else:
            found[recipe.name] = own
    compared = compare.compared([by_name[name] for name in found], _gaps(found, table["group"]))
    rows = [
        _row(by_name[one.name], dict(zip(compare.HEADER, one.cells(), strict=True)), "")
        for one in compared
    ]
    rows += [_row(one, _figures(one), stale[one.name]) for one in trained if one.name in stale]
    return Recipes(
        rows,
        stopped,
        frontier.plot(compared),
        compare.unmeasured(compared),
        differences.between(table, classes, found) if len(found) > 1 else None,
    )


def _gaps(found: dict[str, Predicted], groups: pd.Series) -> dict[str, tuple[float, float]]:
    """Return name -> its mean log loss minus that of the first recipe, and the standard error."""
    if not found:
        return {}
    numbers = groups.factorize()[0]  # (n,) int: quicker to compare than texts
    best, *others = found
    gaps = {name: found[name].losses - found[best].losses for name in others}  # (n,)
    return {name: (float(x.mean()), group_error(x, numbers)) for name, x in gaps.items()}


def _figures(recipe: TrainedRecipe) -> dict[str, str]:
    (row,) = compare.compared([recipe], {})
    cells = dict(zip(compare.HEADER, row.cells(), strict=True))
    return {name: cells[name] for name in ("accuracy", "log loss")}


def _row(recipe: TrainedRecipe, cells: dict[str, str], stale: str) -> RecipeRow:
    page = Path(recipe.folder.parent.name, f"{recipe.name}.html")
    there = (REPORTS / page).exists()
    address = quote(str(page), errors="surrogateescape") if there else ""
    return RecipeRow(recipe.name, recipe.about, cells, address, stale, recipe.result.warnings())
