"""The report: what was run, how good it is and what it sees, as one self-contained page.

Asking whether it is up to date uses the standard library alone. Features are not computed: only
the photos whose heat maps are shown go through the network.
"""

import dataclasses
import time
from pathlib import Path

from dogs_vs_cats import artifacts, code_keys, environment, files
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import dataset
from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.modeling.results import Metrics
from dogs_vs_cats.submission import stage
from dogs_vs_cats.workspace import Workspace

PAGES = Path(__file__).parent
TEMPLATE = PAGES / "report.html"
SUSPECTS = 30  # shown; the first that have no verdict yet
CODE = (
    *(
        "modeling.opinion_pool",
        "modeling.calibration",
        "analysis.compare",
        "features.cache",
        "submission.expected_score",
        "data.inspection",
        "data.near_duplicates",
        "data.perceptual_hash",
        "analysis.grad_cam",
        "kaggle.ledger",
    ),
    *(
        "legible",
        "modeling.evaluation",
        "modeling.log_loss",
        "modeling.metrics",
        "data.photos",
        "data.pixels",
        "modeling.out_of_fold",
        "analysis.linear_probe",
        "submission.holdout_score",
        "analysis.label_issues",
    ),
    *("features.timings", "data.verdicts"),
    *(f"report.{name}" for name in ("page", "contents", "figures", "gallery")),
)


def path(workspace: Workspace, recipe: Recipe | Blend) -> Path:
    return workspace.reports / f"{recipe.name}.html"


def stamp(workspace: Workspace, recipe: Recipe | Blend) -> Path:
    return workspace.model(recipe.name) / "report.json"


def inputs(workspace: Workspace, recipe: Recipe | Blend, engine: Engine) -> dict:
    """Return all that decides the page, ready for a stamp."""
    data = dataset.read(workspace)
    trained = sorted(workspace.models.glob("*/stamp.json"))
    return {
        "recipe": dataclasses.asdict(recipe),
        "submission": stage.artifact(workspace, recipe).fresh(),
        "data": dataclasses.asdict(data),
        "photos": files.digest(workspace.table),
        "classes": files.digest(workspace.classes),
        "heads": {one.parent.name: files.digest(one) for one in trained},
        "verdicts": files.digest(workspace.verdicts) if workspace.verdicts.exists() else "",
        "ledger": [
            line
            for line in ledger.read()
            if line.dataset == workspace.dataset or data.competition == line.competition != ""
        ],
        "engine": dataclasses.asdict(engine),
        "code": [code_keys.code_key(*CODE), files.digest(TEMPLATE)],
        "packages": environment.versions(
            *("cleanlab", "jinja2", "keras", "matplotlib", "numpy", "pandas", "pillow"),
            *("scikit-learn", "scipy"),
        ),
    }


def set_aside(workspace: Workspace, recipe: Recipe | Blend) -> Metrics | None:
    """Return the figures of the last submission on the set-aside test photos, if there are any."""
    from dogs_vs_cats.submission import holdout_score

    submission = stage.artifact(workspace, recipe).fresh()
    return holdout_score.score(Path(submission.file), workspace) if submission else None


def summary(workspace: Workspace, recipe: Recipe | Blend, engine: Engine) -> dict | None:
    """Return the summary of a recipe's page if it is up to date, else None."""
    return artifacts.fresh(stamp(workspace, recipe), inputs(workspace, recipe, engine))


def build(
    workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> dict:
    """Write reports/<dataset>/<recipe>.html from trained heads; return how it went.

    The same inputs give the same bytes. A photo that is gone from the disk leaves a tile with
    the reason; the page then counts as not up to date. UserError if there are no heads.
    """
    from dogs_vs_cats.report import contents

    started = time.monotonic()
    given = inputs(workspace, recipe, engine)
    page = path(workspace, recipe)
    text, gone = contents.rendered(workspace, recipe, engine, threads)
    files.write_text(page, text)
    found = {"file": str(page), "bytes": page.stat().st_size}
    if gone:
        stamp(workspace, recipe).unlink(missing_ok=True)
    else:
        artifacts.write(stamp(workspace, recipe), given, [page], found)
    return found | {"seconds": time.monotonic() - started}
