"""Label issues: the photos whose label is most likely wrong."""

from dataclasses import dataclass

from dogs_vs_cats import progress
from dogs_vs_cats.analysis import label_issues
from dogs_vs_cats.analysis.label_issues import AGREES, LabelIssue
from dogs_vs_cats.data import remote, verdict_writer, verdicts
from dogs_vs_cats.errors import PhotoError
from dogs_vs_cats.legible import legible
from dogs_vs_cats.report.context import ReportContext
from dogs_vs_cats.report.thumbnails import data_uri, thumbnail

SHOWN = 30  # the first that have no verdict yet


@dataclass(frozen=True)
class IssueTile:
    """A label issue with its photo as a data URI, None if it can't be shown, for `problem`.

    choices: the verdicts that may be given on it, none if its name can't be copied from a page.
    """

    issue: LabelIssue
    photo: str | None
    problem: str
    choices: list[str]

    @property
    def pictures(self) -> list[tuple[str, str]]:
        return [(self.photo, f"photo {self.issue.id}")] if self.photo else []


@dataclass(frozen=True)
class LabelIssuesSection:
    """recipes: the names of those whose evidence counts. score: how the score is computed.

    tiles: the first of `count` label issues. words: verdicts that are no class.
    """

    tiles: list[IssueTile]
    count: int
    recipes: list[str]
    score: str
    words: tuple[str, ...] = (verdicts.KEEP, verdicts.DROP)

    @property
    def rows(self) -> list[list[str]]:
        """The issues as a table; each recipe's probability of the label, by evidence and heads."""
        return [
            [
                *(tile.issue.id, str(number), tile.issue.label, tile.issue.guess),
                f"{tile.issue.score:.4f}",
                ", ".join(f"{tile.issue.evidence[name]:.4f} {name}" for name in self.recipes),
                ", ".join(f"{tile.issue.heads[name]:.4f} {name}" for name in self.recipes),
                tile.issue.why,
            ]
            for number, tile in enumerate(self.tiles, 1)
        ]


def section(context: ReportContext) -> LabelIssuesSection:
    ranked = label_issues.ranked(context.workspace, context.recipe.name, context.engine)
    open_issues = [
        issue for issue in ranked if issue.reason != AGREES and issue.id not in context.verdicts
    ]
    shown = open_issues[:SHOWN]
    files = context.table.set_index("id")
    tiles = []
    with progress.bar(len(shown), "label issues") as bar:
        for issue in shown:
            path, sha256 = files.loc[issue.id, ["path", "sha256"]]
            photo, problem = None, ""
            try:
                photo = data_uri(thumbnail(remote.photo(path), sha256))
            except PhotoError as error:
                problem = str(error)
            tiles.append(
                IssueTile(issue, photo, problem, choices(issue, context.predictions.classes))
            )
            bar.update()
    evidence = list(ranked[0].evidence)
    return LabelIssuesSection(tiles, len(open_issues), evidence, label_issues.SCORE)


def choices(issue: LabelIssue, classes: list[str]) -> list[str]:
    """Return the verdicts that the page can give on a photo: not those that it can't write."""
    possible = [x for x in verdict_writer.choices(classes) if x != issue.label and legible(x) == x]
    return possible if legible(issue.id) == issue.id else []
