"""stages.compare: the trained recipes of a dataset, by log loss and cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import cells, progress
from dogs_vs_cats.stages import _display
from dogs_vs_cats.workspace import current_workspace

if TYPE_CHECKING:
    from dogs_vs_cats.analysis.compare import ComparedRecipe


@dataclass(frozen=True)
class CompareResult:
    """The trained recipes, the lowest log loss first.

    warnings: texts. frontier: an SVG of log loss against CPU time, None where it isn't drawn.
    index: the HTML file of all recipes and submissions.
    """

    dataset: str
    recipes: tuple["ComparedRecipe", ...]
    warnings: tuple[str, ...]
    frontier: Path | None
    index: Path

    def _repr_html_(self) -> str:
        from dogs_vs_cats.analysis import compare

        table = _display.table(compare.HEADER, (recipe.cells() for recipe in self.recipes))
        drawn = _display.picture(self.frontier, "the frontier") if self.frontier else ""
        facts = {"warning": "; ".join(self.warnings), "all recipes": self.index}
        return _display.card(f"compare: {self.dataset}", facts, table, drawn)


@cells.stage("compare")
def compare(*, dataset: str | None = None) -> CompareResult:
    """Compare the trained recipes: log loss, cost, what may be noise (`make compare`).

    dataset: default, that of the last `data`. UserError where nothing is trained.
    """
    workspace = current_workspace(dataset)

    from dogs_vs_cats.analysis import compare as comparison
    from dogs_vs_cats.analysis import freshness
    from dogs_vs_cats.report import frontier
    from dogs_vs_cats.report.index import stage

    behind = freshness.behind(workspace)
    recipes = comparison.ranked(comparison.trained(workspace), behind)
    compared = comparison.rows(recipes)
    csvs = freshness.csvs(workspace, [recipe.name for recipe in recipes])
    for line in comparison.lines(workspace, recipes, compared, csvs, behind):
        progress.say(f"compare: {line}")
    warnings = comparison.warnings(recipes)
    for warning in warnings:
        progress.say(f"warning: {warning}")
    path = frontier.write(workspace, compared)
    if path:
        progress.say(f"compare: {path}: log loss against CPU time a photo, the frontier joined")
    index = stage.artifact().fresh() or stage.build()
    progress.say(f"compare: {stage.PATH}: {index.text()}")
    return CompareResult(workspace.dataset, tuple(compared), tuple(warnings), path, stage.PATH)
