"""The contents of the page: all its sections, filled into the template."""

from dataclasses import dataclass

from dogs_vs_cats.report import template
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.report.sections import (
    label_issues,
    learning,
    mistakes,
    photos,
    probabilities,
    provenance,
    recipes,
    result,
    verdicts,
)


@dataclass(frozen=True)
class RenderedPage:
    """html: all of it UTF-8. missing_photos: how many photos could not be shown."""

    html: str
    missing_photos: int


def render(context: ReportContext) -> RenderedPage:
    """Return the page of a trained recipe or blend."""
    tiles = mistakes.section(context)
    issues = label_issues.section(context)
    table = photos.section(context)
    html = template.fill(
        template.REPORT,
        dataset=context.workspace.dataset,
        recipe=context.recipe,
        result=result.section(context),
        provenance=provenance.section(context),
        learning=learning.section(context),
        probabilities=probabilities.section(context),
        mistakes=tiles,
        label_issues=issues,
        verdicts=verdicts.section(context, [tile.issue for tile in issues.tiles]),
        photos=table,
        recipes=recipes.section(context),
    )
    problems = [tile.problem for tile in (*tiles.wrong, *tiles.uncertain)]
    problems += [tile.problem for tile in issues.tiles]
    problems += [tile.problem for tile in table.tiles]
    return RenderedPage(html, sum(problem != "" for problem in problems))
