"""stages.status: how far each recipe of a dataset is, and what to run next."""

from dataclasses import dataclass

from dogs_vs_cats import cells
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.stages import _chosen, _display
from dogs_vs_cats.status import overview
from dogs_vs_cats.workspace import current_workspace


@dataclass(frozen=True)
class StatusResult:
    """lines: what a terminal shows."""

    dataset: str
    lines: tuple[str, ...]

    def _repr_html_(self) -> str:
        return _display.lines(self.lines)


@cells.stage("status")
def status(
    recipe: _chosen.Path | None = None,
    *,
    dataset: str | None = None,
    engine: str = "keras",
    precision: str = "auto",
) -> StatusResult:
    """Return how far each recipe is, what to run next, about how long it takes (`make status`).

    recipe: that one alone, a blend with its members. A notebook shows the result, so nothing is
    printed.
    """
    called = None if recipe is None else str(recipe)
    if called is not None:
        recipe_files.read(called)  # a mistake in it comes first
    workspace = current_workspace(dataset)
    chosen = engines.choose(engine, precision)
    return StatusResult(workspace.dataset, tuple(overview.lines(workspace, chosen, called)))
