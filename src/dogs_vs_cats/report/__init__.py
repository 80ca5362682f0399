"""The report: what was run, how good it is and what it sees, as one self-contained page.

Asking whether it is up to date uses the standard library alone. Features are not computed: only
the photos whose heat maps are shown go through the network.
"""

import dataclasses
import time
from pathlib import Path

from dogs_vs_cats import files, hardware, ledger, stamps, submission
from dogs_vs_cats.engines import Engine
from dogs_vs_cats.recipes import Blend, Recipe
from dogs_vs_cats.workspace import Workspace

PAGES = Path(__file__).parents[1] / "pages"
TEMPLATE = PAGES / "report.html"
SUSPECTS = 30  # shown; the first that have no verdict yet
CODE = (
    *("blend", "calibration", "compare", "features", "forecast", "groups", "heatmaps", "ledger"),
    *("legible", "metrics", "photos", "pixels", "predictions", "probe", "submission", "suspects"),
    *("timings", "verdicts"),
    *(f"report/{name}" for name in ("__init__", "contents", "figures", "gallery")),
)


def path(place: Workspace, recipe: Recipe | Blend) -> Path:
    return place.reports / f"{recipe.name}.html"


def stamp(place: Workspace, recipe: Recipe | Blend) -> Path:
    return place.model(recipe.name) / "report.json"


def inputs(place: Workspace, recipe: Recipe | Blend, engine: Engine) -> dict:
    """Return all that decides the page, ready for a stamp."""
    data = stamps.summary(place.data_stamp)
    trained = sorted(place.models.glob("*/stamp.json"))
    return {
        "recipe": dataclasses.asdict(recipe),
        "submission": submission.summary(place, recipe),
        "data": data,
        "photos": files.digest(place.table),
        "classes": files.digest(place.classes),
        "heads": {one.parent.name: files.digest(one) for one in trained},
        "verdicts": files.digest(place.verdicts) if place.verdicts.exists() else "",
        "ledger": [
            line
            for line in ledger.read()
            if line["dataset"] == place.dataset or data["competition"] == line["competition"] != ""
        ],
        "engine": dataclasses.asdict(engine),
        "code": [files.code_digest(*CODE), files.digest(TEMPLATE)],
        "packages": hardware.versions(
            *("cleanlab", "jinja2", "keras", "matplotlib", "numpy", "pandas", "pillow"),
            *("scikit-learn", "scipy"),
        ),
    }


def set_aside(place: Workspace, recipe: Recipe | Blend) -> dict | None:
    """Return the figures of the last submission on the set-aside test photos, if there are any."""
    found = submission.summary(place, recipe)
    return found["score"] if found else None


def summary(place: Workspace, recipe: Recipe | Blend, engine: Engine) -> dict | None:
    """Return the summary of a recipe's page if it is up to date, else None."""
    return stamps.fresh(stamp(place, recipe), inputs(place, recipe, engine))


def build(
    place: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None = None
) -> dict:
    """Write reports/<dataset>/<recipe>.html from trained heads; return how it went.

    The same inputs give the same bytes. A photo that is gone from the disk leaves a tile with
    the reason; the page then counts as not up to date. UserError if there are no heads.
    """
    from dogs_vs_cats.report import contents

    started = time.monotonic()
    given = inputs(place, recipe, engine)
    page = path(place, recipe)
    text, gone = contents.rendered(place, recipe, engine, threads)
    files.write_text(page, text)
    found = {"file": str(page), "bytes": page.stat().st_size}
    if gone:
        stamp(place, recipe).unlink(missing_ok=True)
    else:
        stamps.write(stamp(place, recipe), given, [page], found)
    return found | {"seconds": time.monotonic() - started}
