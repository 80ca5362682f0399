"""The stage: write a recipe's report as one self-contained HTML page.

Asking whether the page is up to date uses the standard library alone. No features are computed:
only the photos that are shown with a heat map go through the network.
"""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import code_keys, environment, files
from dogs_vs_cats.analysis import freshness
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import dataset
from dogs_vs_cats.features import timings
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.report import template
from dogs_vs_cats.submission import stage
from dogs_vs_cats.workspace import Workspace

HERE = Path(__file__).parent
CODE = (
    "analysis.compare",
    "analysis.freshness",
    "analysis.costs",
    "analysis.grad_cam",
    "analysis.label_issues",
    "analysis.linear_probe",
    "analysis.verdict_effects",
    "data.containers",
    "data.inspection",
    "data.jpeg",
    "data.near_duplicates",
    "data.nearest_hashes",
    "data.orientation",
    "data.perceptual_hash",
    "data.photos",
    "data.pixels",
    "data.same_picture",
    "data.verdict_writer",
    "data.verdicts",
    "features.cache",
    "features.rows",
    "features.timings",
    "kaggle.competitions",
    "kaggle.score_intervals",
    "kaggle.ledger",
    "legible",
    "modeling.baselines",
    "modeling.calibration",
    "modeling.evaluation",
    "modeling.heads.dense",
    "modeling.heads.logistic_head",
    "modeling.heads.prediction",
    "modeling.heads.protocol",
    "modeling.heads.standardisation",
    "modeling.learning_curves",
    "modeling.log_loss",
    "modeling.metrics",
    "modeling.opinion_pool",
    "modeling.out_of_fold",
    "submission.expected_score",
    "submission.holdout_score",
    "submission.twins",
    *(
        ".".join(("report", *path.relative_to(HERE).with_suffix("").parts))
        for path in sorted(HERE.rglob("*.py"))
        if path.parent.name != "index"  # an artifact of its own
    ),
)


@dataclass(frozen=True)
class ReportPage:
    """A written page. path: of the HTML file. bytes: its size. seconds: how long it took."""

    path: str
    bytes: int
    seconds: float


def artifact(workspace: Workspace, recipe: Recipe | Blend, engine: Engine) -> Artifact[ReportPage]:
    """Return the page of a recipe: decided by what it shows, its template, style and our code."""
    data = dataset.read(workspace)
    heads = sorted(workspace.models.glob("*/stamp.json"))
    spent = sorted(workspace.models.glob(f"*/{timings.NAME}"))
    inputs = {
        "recipe": dataclasses.asdict(recipe),
        "submission": stage.artifact(workspace, recipe).fresh(),
        "data": dataclasses.asdict(data),
        "photos": files.digest(workspace.table),
        "classes": files.digest(workspace.classes),
        "heads": {stamp.parent.name: files.digest(stamp) for stamp in heads},
        "behind": freshness.behind(workspace),
        "timings": {path.parent.name: files.digest(path) for path in spent},
        "verdicts": files.digest(workspace.verdicts) if workspace.verdicts.exists() else "",
        "ledger": [
            line
            for line in ledger.read()
            if line.dataset == workspace.dataset or data.competition == line.competition != ""
        ],
        "engine": dataclasses.asdict(engine),
        "code": [code_keys.code_key(*CODE), *template.digests(template.REPORT)],
        "packages": environment.versions(
            *("cleanlab", "jinja2", "keras", "matplotlib", "numpy", "pandas", "pillow"),
            *("scikit-learn", "scipy"),
        ),
    }
    return Artifact(workspace.model(recipe.name) / "report.json", inputs, ReportPage)


def build(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> ReportPage:
    """Write reports/<dataset>/<recipe>.html from trained heads.

    The same inputs give the same bytes. A photo that is no longer on the disk is replaced by the
    reason; the page then does not count as up to date. UserError if there are no heads.
    """
    from dogs_vs_cats.report import contents, context

    started = time.monotonic()
    made = artifact(workspace, recipe, engine)
    path = workspace.reports / f"{recipe.name}.html"
    rendered = contents.render(context.read(workspace, recipe, engine, threads))
    files.write_text(path, rendered.html)
    seconds = round(time.monotonic() - started, 1)
    result = ReportPage(str(path), path.stat().st_size, seconds)
    if rendered.missing_photos:
        made.stamp.unlink(missing_ok=True)
    else:
        made.record([path], result)
    return result
