"""The contents of the index: all datasets, filled into the template."""

from dataclasses import dataclass

from dogs_vs_cats.kaggle import ledger
from dogs_vs_cats.report import template
from dogs_vs_cats.report.index import datasets
from dogs_vs_cats.workspace import workspaces


@dataclass(frozen=True)
class RenderedIndex:
    """html: all of it UTF-8. complete: whether each dataset could be read and each photo shown."""

    html: str
    datasets: int
    recipes: int
    complete: bool


def render() -> RenderedIndex:
    """Return the page of all datasets that were made; UserError if the ledger is not valid."""
    from markupsafe import Markup

    lines = ledger.read()
    shown = [datasets.read(workspace, lines) for workspace in workspaces()]
    known = {one.name for one in shown}
    elsewhere = [line for line in reversed(lines) if line.dataset not in known]
    script = (template.FOLDER / template.INDEX_SCRIPT).read_text(encoding="utf-8")
    html = template.fill(
        template.INDEX,
        datasets=shown,
        elsewhere=elsewhere,
        elsewhere_rows=[
            [f"{line.dataset}: {line.recipe}".strip(": "), *datasets.cells(line)]
            for line in elsewhere[: datasets.LISTED]
        ],
        script=Markup(script),
        own_scripts=template.allowed(script),
    )
    recipes = [one.recipes for one in shown if one.recipes]
    missing = any(one.differences and one.differences.missing for one in recipes)
    complete = len(recipes) == len(shown) and not missing
    return RenderedIndex(html, len(shown), sum(len(one.rows) for one in recipes), complete)
