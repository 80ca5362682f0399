"""Recipes: all trained recipes of the dataset side by side, and the ledger of submissions."""

from dataclasses import dataclass

from dogs_vs_cats.analysis import compare
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.report import frontier, plots
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.report.plots import Plot


@dataclass(frozen=True)
class RecipesSection:
    """header, rows: the tables of `make compare`, in one, with the baselines.

    Names of recipes: unmeasured, without a CPU time, and what of it is missing; not_comparable,
    trained on other photos, labels, groups or folds; outdated, trained on other verdicts; stale,
    made from other photos or members. frontier: log loss against CPU time, None if no CPU time is
    known. past: the ledger's scores over time, None without a ledger.
    """

    header: list[str]
    rows: list[list[str]]
    frontier: Plot | None
    unmeasured: list[str]
    not_comparable: list[str]
    outdated: list[str]
    stale: list[str]
    ledger: list[LedgerLine]
    past: Plot | None


def section(context: ReportContext) -> RecipesSection:
    workspace = context.workspace
    trained = compare.trained(workspace)
    described = context.predictions.described()
    same = [recipe for recipe in trained if recipe.predictions.described() == described]
    compared = compare.rows(same)
    lines = [line for line in context.ledger if line.dataset == workspace.dataset]
    return RecipesSection(
        compare.HEADER,
        [*(row.cells() for row in compared), *compare.baseline_cells(same)],
        frontier.plot(compared),
        compare.unmeasured(compared),
        [recipe.name for recipe in trained if recipe.predictions.described() != described],
        compare.outdated(workspace, trained),
        compare.stale(workspace, trained),
        lines,
        plots.scores_over_time(lines, context.dataset.metric) if lines else None,
    )
