"""The stage: write the index, reports/index.html, of all datasets, recipes and submissions.

Asking whether it is up to date uses the standard library alone.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogs_vs_cats import artifacts, code_keys, environment, files
from dogs_vs_cats.analysis import freshness
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.data.dataset import Dataset
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import timings
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.legible import counted
from dogs_vs_cats.report import template
from dogs_vs_cats.workspace import REPORTS, Workspace, workspaces

PATH = REPORTS / "index.html"
STAMP = REPORTS / "index.json"
HERE = Path(__file__).parent
CODE = (
    "analysis.compare",
    "analysis.costs",
    "analysis.freshness",
    "data.dataset",
    "data.jpeg",
    "data.orientation",
    "data.photos",
    "data.pixels",
    "data.verdicts",
    "features.cache",
    "features.timings",
    "kaggle.competitions",
    "kaggle.ledger",
    "legible",
    "modeling.baselines",
    "modeling.evaluation",
    "modeling.log_loss",
    "modeling.metrics",
    "report.frontier",
    "report.plots",
    "report.submission_plot",
    "report.template",
    "report.thumbnails",
    *(f"report.index.{path.stem}" for path in sorted(HERE.glob("*.py"))),
)


@dataclass(frozen=True)
class IndexPage:
    """The written index. bytes: its size. datasets, recipes: how many are in it. seconds: how
    long writing it took.
    """

    bytes: int
    datasets: int
    recipes: int
    seconds: float

    def text(self) -> str:
        datasets, recipes = counted(self.datasets, "dataset"), counted(self.recipes, "recipe")
        return f"{datasets}, {recipes}, {files.size_text(self.bytes)}"


def artifact() -> Artifact[IndexPage]:
    """Return the index, fresh or not: decided by what it shows, its template, style and script."""
    inputs = {
        "datasets": {workspace.dataset: _shown(workspace) for workspace in workspaces()},
        "ledger": ledger.read(),
        "code": [
            code_keys.code_key(*CODE),
            *template.digests(template.INDEX, template.INDEX_SCRIPT),
        ],
        "packages": environment.versions("jinja2", "matplotlib", "numpy", "pandas", "pillow"),
    }
    return Artifact(STAMP, inputs, IndexPage)


def _shown(workspace: Workspace) -> dict[str, Any]:
    """Return what decides a dataset's part of the page. "" stands for a file that is not there."""
    single = workspace.table, workspace.classes, workspace.verdicts
    patterns = "stamp.json", "submission.json", timings.NAME
    of_recipes = [path for name in patterns for path in workspace.models.glob(f"*/{name}")]
    pages = [page.name for page in workspace.reports.glob("*.html")]
    try:
        behind = freshness.behind(workspace)
    except (UserError, OSError) as error:
        behind = {"": str(error)}  # which the page says
    return {
        "behind": behind,
        "data": artifacts.last(workspace.data_stamp, Dataset),
        "files": {
            str(path): files.digest(path) if path.exists() else ""
            for path in (*single, *sorted(of_recipes))
        },
        "reports": sorted(pages),
    }


def build() -> IndexPage:
    """Write the index. The same inputs give the same bytes.

    A photo that is no longer on the disk, or a dataset whose files can't be read, is replaced by
    the reason; the page then does not count as up to date.
    """
    from dogs_vs_cats.report.index import contents

    started = time.monotonic()
    made = artifact()
    rendered = contents.render()
    files.write_text(PATH, rendered.html)
    seconds = round(time.monotonic() - started, 1)
    result = IndexPage(PATH.stat().st_size, rendered.datasets, rendered.recipes, seconds)
    if rendered.complete:
        made.record([PATH], result)
    else:
        made.stamp.unlink(missing_ok=True)
    return result
