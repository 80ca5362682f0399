"""stages.report: write the report of a recipe, one page that opens from the disk."""

from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import cells, files, progress
from dogs_vs_cats.report import page as pages
from dogs_vs_cats.report.index import stage
from dogs_vs_cats.stages import _chosen, _display, _train


@dataclass(frozen=True)
class ReportResult:
    """A written report, which a notebook shows. page, index: HTML files: the report of the recipe,
    and the index of all recipes and submissions.
    """

    dataset: str
    recipe: str
    page: Path
    index: Path

    def _repr_html_(self) -> str:
        facts = {"page": self.page, "all recipes": self.index}
        title = f"report: {self.dataset}, {self.recipe}"
        return _display.card(title, facts, _display.page(self.page))


@cells.stage("report")
def report(
    recipe: _chosen.Path = "fast",
    *,
    dataset: str | None = None,
    engine: str = "keras",
    precision: str = "auto",
    threads: int | None = None,
) -> ReportResult:
    """Write a page on what was trained and what it sees (`make report`).

    The recipe is trained first if need be. The options are those of `features`. The page has photos
    in it that are not yours: do not publish it.
    """
    chosen = _chosen.choose(recipe, dataset, engine, precision, threads)
    _train.ensure(chosen)
    workspace, name = chosen.workspace, chosen.recipe.name
    result, state = pages.artifact(workspace, chosen.recipe, chosen.engine).fresh(), "up to date"
    if result is None:
        result = pages.build(workspace, chosen.recipe, chosen.engine, threads)
        state = f"written in {result.seconds:.0f} s"
    progress.say(f"report: {workspace.dataset}, {name}: {state}, {files.size_text(result.bytes)}")
    progress.say(f"report: {result.path}: do not publish it, the photos in it are not yours")
    index = stage.artifact().fresh() or stage.build()
    progress.say(f"report: {stage.PATH}: {index.text()}")
    return ReportResult(workspace.dataset, name, Path(result.path), stage.PATH)
