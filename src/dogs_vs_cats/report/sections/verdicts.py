"""Verdicts: the user's decisions about labels, what they changed, and a file to start from."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats.analysis.label_issues import LabelIssue
from dogs_vs_cats.config.recipes import Blend
from dogs_vs_cats.data import verdicts
from dogs_vs_cats.data.verdicts import Verdict
from dogs_vs_cats.legible import legible
from dogs_vs_cats.modeling import metrics, out_of_fold
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.out_of_fold import Predictions
from dogs_vs_cats.report.context import ReportContext


@dataclass(frozen=True)
class VerdictEffect:
    """The mean difference that verdicts made to the metrics of so many photos.

    accuracy: a share; log_loss: in nats; each `..._se` is a standard error, clustered by group.
    """

    photos: int
    accuracy: float
    accuracy_se: float
    log_loss: float
    log_loss_se: float


@dataclass(frozen=True)
class VerdictsSection:
    """path: of verdicts.csv. text: what it could contain. decided: photo id -> its verdict.

    change_labels: whether any verdict changes what heads are trained on. effects: as `effects`
    returns them. blended: whether the page is of a blend.
    """

    path: Path
    text: str
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
        decided,
        any(verdicts.counts(decided, context.table).values()),
        effects(context.folder, context.predictions, decided),
        isinstance(context.recipe, Blend),
    )


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


def effects(
    folder: Path, predictions: Predictions, decided: dict[str, Verdict]
) -> list[VerdictEffect]:
    """Return what verdicts changed, measured on the original labels and paired by photo.

    First for all photos, then for those whose label no verdict changed. [] if there are no
    predictions by heads that were trained without verdicts.
    """
    if not (folder / out_of_fold.WITHOUT).exists():
        return []
    without = out_of_fold.read(folder, out_of_fold.WITHOUT)
    unchanged = [
        photo
        for photo, label in zip(predictions.ids, predictions.names(), strict=True)
        if photo not in decided or decided[photo].verdict in (verdicts.KEEP, label)
    ]
    return [_effect(predictions, without, photos) for photos in (predictions.ids, unchanged)]


def _effect(predictions: Predictions, without: Predictions, photos: list[str]) -> VerdictEffect:
    group = dict(zip(predictions.ids, predictions.groups, strict=True))
    groups = [group[photo] for photo in photos]
    after, before = _scores(predictions, photos), _scores(without, photos)
    accuracy, log_loss = after[0] - before[0], after[1] - before[1]
    return VerdictEffect(
        len(photos),
        float(accuracy.mean()),
        metrics.group_error(accuracy, groups),
        float(log_loss.mean()),
        metrics.group_error(log_loss, groups),
    )


def _scores(predictions: Predictions, photos: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each photo is predicted correctly, 1.0 or 0.0, and its log loss: (n,) each."""
    row = {photo: number for number, photo in enumerate(predictions.ids)}
    order = [row[photo] for photo in photos]
    labels, probabilities = predictions.labels[order], predictions.probabilities[order]
    correct = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return correct, log_losses(labels, probabilities)
