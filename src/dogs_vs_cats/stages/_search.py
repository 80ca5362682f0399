"""stages.search: better settings of a recipe's head, judged on other folds than `train` reports."""

from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import cells, progress
from dogs_vs_cats.legible import counted
from dogs_vs_cats.stages import _chosen, _display


@dataclass(frozen=True)
class SearchResult:
    """A written search. text: its report. path: of the Markdown file. new_trials: those of its
    trials that were not known before.
    """

    dataset: str
    recipe: str
    text: str
    path: Path
    new_trials: int

    def _repr_html_(self) -> str:
        facts = {"new trials": self.new_trials, "report": self.path}
        title = f"search: {self.dataset}, {self.recipe}"
        return _display.card(title, facts, _display.lines(self.text.splitlines()))


@cells.stage("search")
def search(
    recipe: _chosen.Path = "fast",
    *,
    dataset: str | None = None,
    engine: str = "keras",
    precision: str = "auto",
    threads: int | None = None,
    space: _chosen.Path | None = None,
    nested: bool = False,
    cluster: str | None = None,
    insecure: bool = False,
) -> SearchResult:
    """Try other settings of a head, on other folds than those of `train` (`make search`).

    space: a .toml file of what to try (default: that of the kind of head). nested: search anew for
    each fold of `train`. cluster, insecure: as in `features`; workers make the trials. UserError
    for a blend, a wrong space, and features that are missing.
    """
    _chosen.switches(nested=nested, insecure=insecure)
    _chosen.cluster(cluster)
    chosen = _chosen.choose(recipe, dataset, engine, precision, threads)

    from dogs_vs_cats.search import head_search

    run = head_search.Run(threads, cluster, insecure)
    tried = None if space is None else Path(space)
    found = head_search.build(chosen.workspace, chosen.recipe, tried, chosen.engine, nested, run)
    progress.say(found.text)
    progress.say(
        f"search: {counted(found.new_trials, 'new trial')}, the others were known; "
        f"{found.path} and .json"
    )
    return SearchResult(
        chosen.workspace.dataset, chosen.recipe.name, found.text, found.path, found.new_trials
    )
