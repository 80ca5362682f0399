"""Recipes: all trained recipes of the dataset side by side, and the ledger of submissions."""

from dataclasses import dataclass

from dogs_vs_cats.analysis import compare, freshness
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.report import frontier, submission_plot
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.report.plots import ROWS, Plot


@dataclass(frozen=True)
class RecipesSection:
    """header, rows: the tables of `make compare`, in one, with the baselines.

    unmeasured: names of recipes without a CPU time, and what of it is missing. not_comparable:
    names of those trained on other photos, labels, groups or folds. behind: those that are stale
    or unfinished, and what to run. frontier: log loss against CPU time, None if no CPU time is
    known. past: the ledger's lines as a plot, None without a number in them.
    """

    header: list[str]
    rows: list[list[str]]
    frontier: Plot | None
    unmeasured: list[str]
    not_comparable: list[str]
    behind: list[str]
    ledger: list[LedgerLine]
    past: Plot | None

    @property
    def past_caption(self) -> str:
        count = len(self.ledger)
        which = f"The last {ROWS} of {count:,} submissions" if count > ROWS else "Submissions"
        return (
            f"{which} of this dataset, the newest first, with the 95% intervals that were expected."
        )

    @property
    def ledger_rows(self) -> list[list[str]]:
        """The newest first."""
        return [
            [
                *(line.recipe or "elsewhere", line.time[:16].replace("T", " ")),
                *(line.public_score, line.private_score, line.oof_log_loss, line.oof_accuracy),
            ]
            for line in reversed(self.ledger)
        ]


def section(context: ReportContext) -> RecipesSection:
    workspace = context.workspace
    behind = freshness.behind(workspace)
    behind.pop(context.recipe.name, None)
    current = [recipe for recipe in compare.trained(workspace) if recipe.name not in behind]
    described = context.predictions.described()
    same = [recipe for recipe in current if recipe.predictions.described() == described]
    compared = compare.rows(same)
    lines = [line for line in context.ledger if line.dataset == workspace.dataset]
    return RecipesSection(
        [name or "difference" for name in compare.HEADER],
        [*(row.cells() for row in compared), *compare.baseline_cells(same)],
        frontier.plot(compared),
        compare.unmeasured(compared),
        [recipe.name for recipe in current if recipe.predictions.described() != described],
        list(behind.values()),
        lines,
        submission_plot.submissions(lines, context.dataset.metric),
    )
