"""Comparison: the trained recipes of a dataset, by their predictions of the same photos."""

import json
import statistics
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats import artifacts
from dogs_vs_cats.analysis import costs
from dogs_vs_cats.analysis.costs import Cost, CpuTime, Made
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache
from dogs_vs_cats.legible import counted
from dogs_vs_cats.modeling import evaluation, out_of_fold
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.metrics import group_error
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.modeling.results import BlendResult, Evaluation, Metrics
from dogs_vs_cats.submission.stage import STAMP, SubmissionResult
from dogs_vs_cats.workspace import Workspace

SIGNIFICANCE = 0.05  # how often noise alone may look like a difference
FIGURES = ["recipe", "accuracy", "log loss", "worse by", "z", ""]
COSTS = ["CPU a photo", "frontier", "features", "heads", "submit"]
HEADER = FIGURES + COSTS


@dataclass(frozen=True)
class TrainedRecipe:
    """A recipe's folder in models/. about: what its file says it is. inputs: what it was made of,
    from its stamp.

    caches: the folders of its features, one for each role and view; none for a blend, which has
    neither features nor heads of its own.
    """

    name: str
    about: str
    folder: Path
    caches: list[Path]
    inputs: dict[str, Any]
    result: Evaluation

    @cached_property
    def predictions(self) -> Predictions:
        """Its out-of-fold predictions, read when they are first asked for."""
        return out_of_fold.read(self.folder)

    def losses(self) -> np.ndarray:
        """Return (n,) the log loss of each photo, in the order of its predictions."""
        return log_losses(self.predictions.labels, self.predictions.probabilities)


@dataclass(frozen=True)
class ComparedRecipe:
    """A row of the comparison.

    gap: its mean log loss minus that of the best recipe, in nats; gap_se: the standard error,
    clustered by group; both None for the best. cpu: a photo, of all that it is made of (`costs`).
    frontier: whether no other recipe takes less CPU time for at most its log loss, or has a lower
    one for at most its time. submit_seconds: for its CSV, None if there is none.
    """

    name: str
    metrics: Metrics
    gap: float | None
    gap_se: float | None
    cpu: CpuTime
    frontier: bool
    features: Cost
    heads: Cost
    submit_seconds: float | None

    def cells(self) -> list[str]:
        """Return the texts of the columns in HEADER."""
        metrics = self.metrics
        worse = z = verdict = ""
        if self.gap is not None and self.gap_se is not None:
            worse = f"{self.gap:.4f} ± {self.gap_se:.4f}"
            critical = statistics.NormalDist().inv_cdf(1 - SIGNIFICANCE / 2)
            if self.gap_se > 0:
                z = f"{self.gap / self.gap_se:.1f}"
            verdict = "more than noise" if self.gap > critical * self.gap_se else "may be noise"
        return [
            self.name,
            f"{metrics.accuracy:.2%} ± {metrics.accuracy_se:.2%}",
            f"{metrics.log_loss:.4f} ± {metrics.log_loss_se:.4f}",
            worse,
            z,
            verdict,
            self.cpu.text(),
            "yes" if self.frontier else "",
            self.features.text(),
            self.heads.text(),
            "" if self.submit_seconds is None else f"{self.submit_seconds:,.0f} s",
        ]


def lines(
    workspace: Workspace,
    recipes: list[TrainedRecipe],
    compared: list[ComparedRecipe],
    csvs: dict[str, str],
    behind: dict[str, str],
) -> list[str]:
    """Return the lines of `make compare`: a recipe each, in the order of `compared`, their `rows`.

    The baselines come last. Tables of figures, of costs and of CSVs: one would be wider than a
    terminal. csvs: what came of each recipe's CSV; behind: the recipes that are not ranked, and
    what to run (`freshness`).
    """
    cells = [HEADER, *(row.cells() for row in compared)]
    figures = _table([row[: len(FIGURES)] for row in (*cells, *baseline_cells(recipes))])
    taken = _table([[row[0], *row[len(FIGURES) :]] for row in cells])
    count = len(recipes[0].predictions.ids)
    title = f"{workspace.dataset}, {count:,} photos out of fold, the lowest log loss first"
    sent = _table([["recipe", "CSV"], *([row.name, csvs[row.name]] for row in compared)])
    missing = unmeasured(compared)
    notes = [f"CPU time not measured: {', '.join(missing)}"] if missing else []
    notes += [f"not ranked: {text}" for text in behind.values()]
    return [title, *figures, *taken, *sent, *notes]


def baseline_cells(recipes: list[TrainedRecipe]) -> list[list[str]]:
    """Return two rows of texts of the columns in HEADER: the baselines that all recipes share."""
    baselines = recipes[0].result.baselines
    figures = [
        ["largest class", f"{baselines.largest_class.value:.2%}"],
        ["class shares", "", f"{baselines.class_shares.value:.4f}"],
    ]
    return [row + [""] * (len(HEADER) - len(row)) for row in figures]


def warnings(recipes: list[TrainedRecipe]) -> list[str]:
    """Return a line for each baseline that a recipe does not beat by more than noise."""
    return [f"{recipe.name}: {text}" for recipe in recipes for text in recipe.result.warnings()]


def _table(cells: list[list[str]]) -> list[str]:
    """Return a line for each row of cells, with the columns below each other."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def unmeasured(compared: list[ComparedRecipe]) -> list[str]:
    """Return the names of the recipes without a CPU time, each with what was not measured."""
    return [f"{row.name} ({', '.join(row.cpu.missing)})" for row in compared if row.cpu.missing]


def rows(recipes: list[TrainedRecipe]) -> list[ComparedRecipe]:
    """Return a row for each recipe, the lowest log loss first.

    UserError if the recipes were trained on different photos.
    """
    _require_same_photos(recipes)
    best, *others = ordered(recipes)
    return compared([best, *others], {recipe.name: difference(recipe, best) for recipe in others})


def ordered(recipes: list[TrainedRecipe]) -> list[TrainedRecipe]:
    """Return the recipes, the lowest log loss first."""
    return sorted(recipes, key=lambda recipe: (recipe.result.metrics.log_loss, recipe.name))


def compared(
    recipes: list[TrainedRecipe], differences: dict[str, tuple[float, float]]
) -> list[ComparedRecipe]:
    """Return a row for each recipe, in order. differences: name -> its `difference` to the best."""
    by_name = {recipe.name: recipe for recipe in recipes}
    spent = {recipe.name: _cpu(recipe, by_name) for recipe in recipes}
    points = {
        name: (cpu.seconds, by_name[name].result.metrics.log_loss)
        for name, cpu in spent.items()
        if cpu.seconds is not None
    }
    best = costs.frontier(points)
    return [
        _compared(recipe, differences.get(recipe.name), spent[recipe.name], recipe.name in best)
        for recipe in recipes
    ]


def _cpu(recipe: TrainedRecipe, by_name: dict[str, TrainedRecipe]) -> CpuTime:
    names = [recipe.name]
    if isinstance(recipe.result, BlendResult):
        names = [member.name for member in recipe.result.members]
    if not by_name.keys() >= set(names):
        return CpuTime(None, ("members",))
    members = [by_name[name] for name in names]
    made = [Made(one.folder, one.caches, len(one.result.folds)) for one in members]
    return costs.cpu_a_photo(recipe.folder, made)


def ranked(recipes: list[TrainedRecipe], behind: dict[str, str]) -> list[TrainedRecipe]:
    """Return the recipes that are not `behind`; UserError if none is left."""
    fresh = [recipe for recipe in recipes if recipe.name not in behind]
    if not fresh:
        named = "; ".join(behind.values())
        raise UserError(f"No recipe is up to date, so there is nothing to compare: {named}")
    return fresh


def trained(workspace: Workspace) -> list[TrainedRecipe]:
    """Return the trained recipes of a dataset, by name; UserError if there is none."""
    found = folders(workspace)
    if not found:
        raise UserError(f"There is no trained recipe in {workspace.models}: run `make train`.")
    return [read(workspace, folder) for folder in found]


def folders(workspace: Workspace) -> list[Path]:
    """Return the folders of the trained recipes, by name; those with a broken stamp don't count."""
    stamps = sorted(workspace.models.glob("*/stamp.json"))
    return [stamp.parent for stamp in stamps if evaluation.stamped(stamp.parent)]


def read(workspace: Workspace, folder: Path) -> TrainedRecipe:
    """Return the trained recipe in one of `folders`, measured again if its metrics are stale."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    caches = []
    if "cache" in record:
        names = cache.names(FeatureSettings(**record["features"])).values()
        caches = [workspace.cache / record["cache"]["folder"] / name for name in names]
    stamp = artifacts.read(folder / "stamp.json")
    assert stamp is not None  # as `folders` has read it
    about = record.get("recipe", {}).get("about", "")
    result = evaluation.read(folder)
    return TrainedRecipe(folder.name, about, folder, caches, stamp["inputs"], result)


def _require_same_photos(recipes: list[TrainedRecipe]) -> None:
    """Raise UserError unless all predict the same ids, each of the same class, group and fold."""
    kinds: list[tuple[set[Any], list[str]]] = []  # different photos -> names of recipes
    for recipe in recipes:
        own = set(recipe.predictions.described().items())
        same = next((names for photos, names in kinds if photos == own), None)
        if same is None:
            kinds.append((own, [recipe.name]))
        else:
            same.append(recipe.name)
    if len(kinds) == 1:
        return
    parts = "; ".join(
        f"{', '.join(names)}: {counted(len(photos), 'photo')}" for photos, names in kinds
    )
    (first, _), (second, _) = kinds[:2]
    example = sorted(first ^ second)[0][0]
    raise UserError(
        "Only recipes trained on the same photos, with the same class, group and fold of each, "
        f"can be compared. These differ: {parts}; they differ in {example}. Run `make train "
        "RECIPE=...` for those that are behind, or remove their folders from "
        f"{recipes[0].folder.parent}."
    )


def difference(recipe: TrainedRecipe, other: TrainedRecipe) -> tuple[float, float]:
    """Return the mean of recipe's losses minus other's, and its standard error, by group.

    The losses are paired by photo id: a photo that is hard for both adds no noise.
    """
    row = {photo: i for i, photo in enumerate(other.predictions.ids)}
    order = [row[photo] for photo in recipe.predictions.ids]
    paired = recipe.losses() - other.losses()[order]  # (n,)
    return float(paired.mean()), group_error(paired, recipe.predictions.groups)


def _compared(
    recipe: TrainedRecipe, difference: tuple[float, float] | None, cpu: CpuTime, frontier: bool
) -> ComparedRecipe:
    gap, gap_se = difference or (None, None)
    submission = artifacts.last(recipe.folder / STAMP, SubmissionResult)
    head_files = recipe.folder.glob("head-*")
    return ComparedRecipe(
        recipe.name,
        recipe.result.metrics,
        gap,
        gap_se,
        cpu,
        frontier,
        costs.features(recipe.caches),
        Cost(sum(path.stat().st_size for path in head_files), recipe.result.seconds),
        submission.seconds if submission else None,
    )
