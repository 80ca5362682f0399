"""Metrics of predictions, with their standard errors."""

import numpy as np


def of(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Return accuracy, log loss and ROC AUC, each with its standard error (`..._se`).

    labels: (n,) int class indices; probabilities: (n, classes), rows summing to 1. The log loss
    is in nats. The AUC is that of the last class against the rest, averaged one-vs-rest where
    there are more than two classes, and is left out where a class is absent.
    """
    n = len(labels)
    right = probabilities.argmax(axis=1) == labels
    losses = log_losses(labels, probabilities)
    found = {
        "n": n,
        "accuracy": float(right.mean()),
        "accuracy_se": float(np.sqrt(right.mean() * (1 - right.mean()) / n)),
        "log_loss": float(losses.mean()),
        "log_loss_se": float(losses.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0,
    }
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    if (counts > 0).all():
        found |= _auc(labels, probabilities, counts)
    return found


def log_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return (n,) the loss of each photo, -log p(its class), clipped as Kaggle does at 1e-15."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.clip(chosen, 1e-15, 1 - 1e-15))


def group_error(values: np.ndarray, groups: list[str]) -> float:
    """Return the standard error of the mean of (n,) values that are alike within groups.

    That of a mean of clusters (Liang & Zeger 1986, Biometrika 73:13-22); with a photo a group it
    is the usual one. nan where there is one group only.
    """
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, values - values.mean())  # (groups,)
    count = len(sums)
    if count < 2:
        return float("nan")
    return float(np.sqrt(count / (count - 1) * (sums**2).sum()) / len(values))


def _auc(labels: np.ndarray, probabilities: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    classes = probabilities.shape[1]
    positives = [classes - 1] if classes == 2 else range(classes)
    areas, errors = [], []
    for positive in positives:
        area = float(roc_auc_score(labels == positive, probabilities[:, positive]))
        areas.append(area)
        errors.append(_auc_error(area, int(counts[positive]), int(len(labels) - counts[positive])))
    return {"auc": float(np.mean(areas)), "auc_se": float(np.mean(errors))}


def _auc_error(area: float, positive: int, negative: int) -> float:
    """Return the standard error of an AUC (Hanley & McNeil 1982, Radiology 143:29-36)."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positive - 1) * (q1 - area**2) + (negative - 1) * (q2 - area**2)
    return float(np.sqrt(max(variance, 0.0) / (positive * negative)))
