"""Verdicts: the user's decisions about labels, what they changed, and a file to start from."""

import base64
import csv
import io
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.analysis import verdict_effects
from dogs_vs_cats.analysis.label_issues import LabelIssue
from dogs_vs_cats.analysis.verdict_effects import VerdictEffect
from dogs_vs_cats.config.recipes import Blend
from dogs_vs_cats.data import verdict_writer, verdicts
from dogs_vs_cats.data.verdicts import Verdict
from dogs_vs_cats.legible import legible
from dogs_vs_cats.report.context import ReportContext


@dataclass(frozen=True)
class VerdictsSection:
    """path: of verdicts.csv. text: what it could contain. file: what it does contain, in base64,
    so that rows can follow. decided: photo id -> its verdict.

    change_labels: whether any verdict changes what heads are trained on. effects: as of
    `verdict_effects`. blended: whether the page is of a blend.
    """

    path: Path
    text: str
    file: str
    decided: dict[str, Verdict]
    change_labels: bool
    effects: list[VerdictEffect]
    blended: bool

    @property
    def rows(self) -> list[list[str]]:
        return [[photo, verdict.verdict, verdict.why] for photo, verdict in self.decided.items()]

    @property
    def effect_rows(self) -> list[list[str]]:
        names = "all", "those whose label you left"
        return [
            [
                *(name, f"{effect.photos:,}"),
                f"{100 * effect.accuracy:+.2f} ± {100 * effect.accuracy_se:.2f}",
                f"{effect.log_loss:+.4f} ± {effect.log_loss_se:.4f}",
            ]
            for name, effect in zip(names, self.effects, strict=True)
        ]


def section(context: ReportContext, issues: list[LabelIssue]) -> VerdictsSection:
    """issues: the label issues that the page shows."""
    decided = context.verdicts
    return VerdictsSection(
        context.workspace.verdicts,
        csv_text(decided, issues),
        base64.b64encode(_appendable(context.workspace.verdicts)).decode(),
        decided,
        any(verdicts.counts(decided, context.table).values()),
        verdict_effects.effects(context.folder, context.predictions, decided),
        isinstance(context.recipe, Blend),
    )


def _appendable(path: Path) -> bytes:
    return verdict_writer.appendable(path.read_bytes().decode() if path.exists() else "").encode()


def csv_text(decided: dict[str, Verdict], issues: list[LabelIssue]) -> str:
    """Return a verdicts.csv of what was decided, and `keep` for each of `issues`.

    Ids that are not UTF-8 are left out, since they can't be copied from a page.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(verdicts.COLUMNS)
    rows = [(photo, verdict.verdict, verdict.why) for photo, verdict in decided.items()]
    rows += [(issue.id, verdicts.KEEP, issue.why) for issue in issues]
    writer.writerows(row for row in rows if all(legible(cell) == cell for cell in row))
    return text.getvalue()
