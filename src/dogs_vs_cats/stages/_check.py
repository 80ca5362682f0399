"""stages.check: would Kaggle accept this CSV for a dataset's test photos?"""

from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import cells, progress
from dogs_vs_cats.legible import counted
from dogs_vs_cats.stages import _chosen, _display
from dogs_vs_cats.submission import check as checks
from dogs_vs_cats.workspace import current_workspace


@dataclass(frozen=True)
class CheckResult:
    """A CSV with one good row for each test photo. rows: how many."""

    dataset: str
    csv: Path
    rows: int

    def _repr_html_(self) -> str:
        facts = {"CSV": self.csv, "rows": f"{self.rows:,}, one for each test photo: good"}
        return _display.card(f"check: {self.dataset}", facts)


@cells.stage("check")
def check(csv: _chosen.Path, *, dataset: str | None = None) -> CheckResult:
    """Check any submission, the file csv (`make check`). UserError says what is wrong with it."""
    workspace = current_workspace(dataset)
    rows = checks.check(Path(csv), workspace)
    whose = f"one for each test photo of {workspace.dataset}"
    progress.say(f"check: {csv}: {counted(rows, 'row')}, {whose}: good")
    return CheckResult(workspace.dataset, Path(csv), rows)
