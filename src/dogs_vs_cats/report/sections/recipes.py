"""Recipes: all trained recipes of the dataset side by side, and the ledger of submissions."""

from dataclasses import dataclass

from dogs_vs_cats.analysis import compare
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.report import plots
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.report.plots import Plot


@dataclass(frozen=True)
class RecipesSection:
    """header, rows: the table of `make compare`.

    Names of recipes: not_comparable, trained on other photos, labels, groups or folds; outdated,
    trained on other verdicts; stale, made from other photos or members. past: the ledger's scores
    over time, None without a ledger.
    """

    header: list[str]
    rows: list[list[str]]
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
    lines = [line for line in context.ledger if line.dataset == workspace.dataset]
    return RecipesSection(
        compare.HEADER,
        [row.cells() for row in compare.rows(same)],
        [recipe.name for recipe in trained if recipe.predictions.described() != described],
        compare.outdated(workspace, trained),
        compare.stale(workspace, trained),
        lines,
        plots.scores_over_time(lines, context.dataset.metric) if lines else None,
    )
