"""Metrics of predictions, with their standard errors."""

import numpy as np


def of(labels: np.ndarray, probabilities: np.ndarray, groups: list[str]) -> dict[str, float]:
    """Return accuracy, log loss and ROC AUC, each with its standard error (`..._se`).

    labels: (n,) int class indices; probabilities: (n, classes), rows summing to 1; groups: n
    texts, the same for photos that are alike: the errors are those over groups. The log loss is
    in nats. The AUC is that of the last class against the rest, averaged one-vs-rest where there
    are more than two classes, and is left out where a class is absent.
    """
    n, groups = len(labels), np.unique(groups, return_inverse=True)[1]  # once, as numbers
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    losses = log_losses(labels, probabilities)
    found = {
        "n": n,
        "accuracy": float(right.mean()),
        "accuracy_se": group_error(right, groups),
        "log_loss": float(losses.mean()),
        "log_loss_se": group_error(losses, groups),
    }
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    if (counts > 0).all():
        found |= _auc(labels, probabilities, groups)
    return found


def log_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return (n,) the loss of each photo, -log p(its class), clipped as Kaggle does at 1e-15."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.clip(chosen, 1e-15, 1 - 1e-15))


def group_error(values: np.ndarray, groups: list[str] | np.ndarray) -> float:
    """Return the standard error of the mean of (n,) values that are alike within groups.

    That of a mean of clusters (Liang & Zeger 1986, Biometrika 73:13-22); with a photo a group it
    is the usual one. nan where there is one group only.
    """
    return _error((values - values.mean()) / len(values), groups)


def _error(parts: np.ndarray, groups: list[str] | np.ndarray) -> float:
    """Return the standard error of an estimate off which each photo takes or adds its part.

    parts: (n,), of sum 0 to first order: an estimate's influence function, divided by n.
    """
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, parts)  # (groups,)
    count = len(sums)
    if count < 2:
        return float("nan")
    return float(np.sqrt(count / (count - 1) * (sums**2).sum()))


def _auc(labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Return the AUC and its standard error, all classes being there.

    Of each photo its part in the area, its placement among those of the other side (DeLong et al.
    1988, Biometrics 44:837-845), summed over groups (Obuchowski 1997, Biometrics 53:567-578).
    """
    from scipy.stats import rankdata

    classes = probabilities.shape[1]
    positives = [classes - 1] if classes == 2 else range(classes)
    areas, parts = [], np.zeros(len(labels))
    for positive in positives:
        scores, mine = probabilities[:, positive], labels == positive
        ranks, m, n = rankdata(scores), mine.sum(), (~mine).sum()
        # (m,) the share of the others below each; (n,) the share of mine above each.
        below = (ranks[mine] - rankdata(scores[mine])) / n
        above = 1 - (ranks[~mine] - rankdata(scores[~mine])) / m
        areas.append(float(below.mean()))
        parts[mine] += (below - areas[-1]) / m / len(positives)
        parts[~mine] += (above - areas[-1]) / n / len(positives)
    return {"auc": float(np.mean(areas)), "auc_se": _error(parts, groups)}
