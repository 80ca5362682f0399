"""Metrics of predictions, with standard errors clustered by group.

To add a metric to the report, write a function like those below and list it in REPORTED: metrics
are computed from stored predictions, so nothing has to be trained again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.results import Metrics

NORMAL = 1.96  # standard errors: 95% of a normal distribution


@dataclass(frozen=True)
class Estimate:
    """A metric's value and its standard error, clustered by group; nan where it is not known.

    style: how both are printed. least, most: the values that the metric can have.
    """

    value: float
    error: float
    style: str = ".4f"
    least: float = -np.inf
    most: float = np.inf

    def interval(self) -> tuple[float, float]:
        """Return the 95% confidence interval: a normal distribution's, within what can be."""
        away = NORMAL * self.error
        return max(self.least, self.value - away), min(self.most, self.value + away)


@dataclass(frozen=True)
class Share(Estimate):
    """A share of n photos in `groups` groups, with Wilson's interval, good for 0% and 100% too."""

    n: int = 0
    groups: int = 0

    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95% confidence interval for as many photos as the error is worth.

        Photos of one group count as fewer: as many as leave the error over groups, or each group
        as one where all photos are right, or all wrong, and there is no error to tell.
        """
        from scipy.stats import binomtest

        spread = self.value * (1 - self.value)
        worth = min(self.n, spread / self.error**2) if self.error > 0 else self.groups
        test = binomtest(round(self.value * worth), round(worth))
        ends = test.proportion_ci(0.95, "wilson")
        return float(ends.low), float(ends.high)


# labels: (n,) int class indices; probabilities: (n, classes), rows summing to 1; groups: n texts,
# the same for photos that are alike. None where the metric is not defined.
Metric = Callable[[np.ndarray, np.ndarray, "list[str] | np.ndarray"], Estimate | None]


def accuracy(
    labels: np.ndarray, probabilities: np.ndarray, groups: list[str] | np.ndarray
) -> Share:
    """Return the share of photos whose most probable class is theirs."""
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    count = len(np.unique(groups))
    return Share(float(right.mean()), group_error(right, groups), ".2%", 0, 1, len(right), count)


def mean_log_loss(
    labels: np.ndarray, probabilities: np.ndarray, groups: list[str] | np.ndarray
) -> Estimate:
    """Return the log loss in nats."""
    losses = log_losses(labels, probabilities)
    return Estimate(float(losses.mean()), group_error(losses, groups), least=0)


def auc(
    labels: np.ndarray, probabilities: np.ndarray, groups: list[str] | np.ndarray
) -> Estimate | None:
    """Return the area under the ROC curve; None where a class has no photo.

    Of the last class against the rest; of more than two classes the mean, one against the rest.
    The error is from each photo's placement among those of the other side (DeLong et al. 1988,
    Biometrics 44:837-845), summed over groups (Obuchowski 1997, Biometrics 53:567-578).
    """
    from scipy.stats import rankdata

    classes = probabilities.shape[1]
    if not (np.bincount(labels, minlength=classes) > 0).all():
        return None
    positives = [classes - 1] if classes == 2 else range(classes)
    areas, parts = [], np.zeros(len(labels))
    for positive in positives:
        scores, true = probabilities[:, positive], labels == positive
        ranks, m, n = rankdata(scores), true.sum(), (~true).sum()
        # (m,) the share of the others below each; (n,) the share of the class above each.
        below = (ranks[true] - rankdata(scores[true])) / n
        above = 1 - (ranks[~true] - rankdata(scores[~true])) / m
        areas.append(float(below.mean()))
        parts[true] += (below - areas[-1]) / m / len(positives)
        parts[~true] += (above - areas[-1]) / n / len(positives)
    return Estimate(float(np.mean(areas)), _error(parts, groups), least=0, most=1)


# The metrics of the report, by the name they have there.
REPORTED: dict[str, Metric] = {"accuracy": accuracy, "log loss": mean_log_loss, "AUC": auc}


def compute(
    labels: np.ndarray, probabilities: np.ndarray, groups: list[str] | np.ndarray
) -> Metrics:
    """Return the metrics that commands print and compare, of predictions as Metric takes them."""
    numbers = np.unique(groups, return_inverse=True)[1]  # once, as numbers
    share = accuracy(labels, probabilities, numbers)
    loss = mean_log_loss(labels, probabilities, numbers)
    area = auc(labels, probabilities, numbers)
    return Metrics(
        *(len(labels), share.value, share.error, loss.value, loss.error),
        *((area.value, area.error) if area else ()),
    )


def group_error(values: np.ndarray, groups: list[str] | np.ndarray) -> float:
    """Return the standard error of the mean of (n,) values that are alike within groups.

    That of a mean of clusters (Liang & Zeger 1986, Biometrika 73:13-22); where each photo is a
    group of its own, the usual one. nan where there is only one group.
    """
    return _error((values - values.mean()) / len(values), groups)


def _error(parts: np.ndarray, groups: list[str] | np.ndarray) -> float:
    """Return the standard error of an estimate, from each photo's part in it.

    parts: (n,), of sum 0 to first order: the estimate's influence function, divided by n.
    """
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, parts)  # (groups,)
    count = len(sums)
    if count < 2:
        return float("nan")
    return float(np.sqrt(count / (count - 1) * (sums**2).sum()))
