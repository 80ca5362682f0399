"""Verdict effects: what training with verdicts changed, measured on the original labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats.data import verdicts
from dogs_vs_cats.data.verdicts import Verdict
from dogs_vs_cats.modeling import metrics, out_of_fold
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.out_of_fold import Predictions


@dataclass(frozen=True)
class VerdictEffect:
    """Metrics of so many photos without verdicts, and the mean difference that verdicts made.

    accuracy: a share; log_loss: in nats; each `..._se` is a standard error, clustered by group.
    """

    photos: int
    accuracy_before: float
    accuracy: float
    accuracy_se: float
    log_loss_before: float
    log_loss: float
    log_loss_se: float


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
        float(before[0].mean()),
        float(accuracy.mean()),
        metrics.group_error(accuracy, groups),
        float(before[1].mean()),
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
