"""Expected score: what Kaggle's score will be, from out-of-fold predictions and past scores."""

import math
import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dogs_vs_cats.kaggle.competitions import REHEARSAL
from dogs_vs_cats.kaggle.ledger import LedgerLine

if TYPE_CHECKING:
    from dogs_vs_cats.modeling.out_of_fold import Predictions

DRAWS = 2000
SEED = 2017
INTERVAL = 0.95
PAST = 3  # past scores needed to learn how the leaderboard differs


@dataclass(frozen=True)
class ExpectedScore:
    """A score with the ends of its 95 % interval: log_loss in nats, or accuracy as a share.

    photos: how many out-of-fold predictions it comes from; tests: how many test photos it is for.
    past: how many past scores corrected it, by what ratio; 0 and 1 if none did.
    """

    metric: str
    score: float
    low: float
    high: float
    photos: int
    tests: int
    past: int = 0
    ratio: float = 1.0

    def text(self) -> str:
        """Return `log loss 0.0312, 95% interval 0.0261 to 0.0367`."""
        style = ".2%" if self.metric == "accuracy" else ".4f"
        score, low, high = (format(value, style) for value in (self.score, self.low, self.high))
        name = self.metric.replace("_", " ")
        return f"{name} {score}, {INTERVAL:.0%} interval {low} to {high}"


def estimate(predictions: "Predictions", metric: str, tests: int) -> ExpectedScore:
    """Return the score to expect on `tests` photos. metric: log_loss or accuracy.

    The interval holds INTERVAL of the scores of a bootstrap by groups (Efron 1979), as photos of
    a group are not independent. Each draw takes groups with replacement, to stand for the photos
    known, and from these as many as make up the test photos: both are samples. If all photos are
    right, or all wrong, the draws of an accuracy don't differ, and `unseen` gives the open end.
    The interval does not account for test photos of another kind, nor for the average of all
    folds' heads being better than one fold's.
    """
    import numpy as np

    from dogs_vs_cats.modeling.log_loss import log_losses

    if metric == "accuracy":
        right = predictions.probabilities.argmax(axis=1) == predictions.labels
        values = right.astype(np.float64)
    else:
        values = log_losses(predictions.labels, predictions.probabilities)
    _, group = np.unique(predictions.groups, return_inverse=True)
    sums, sizes = np.bincount(group, values), np.bincount(group)  # (groups,)
    count = len(sizes)
    test_groups = max(1, round(tests * count / len(values)))
    rng = np.random.default_rng(SEED)
    scores = []
    for _ in range(DRAWS):
        drawn = rng.integers(count, size=count)
        drawn = drawn[rng.integers(count, size=test_groups)]
        scores.append(sums[drawn].sum() / sizes[drawn].sum())
    low, high = map(float, np.quantile(scores, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2]))
    if metric == "accuracy" and values.min() == values.max():
        share = unseen(count, test_groups)
        low, high = (1 - share, 1.0) if values[0] else (0.0, share)
    return ExpectedScore(metric, float(values.mean()), low, high, len(values), tests)


def unseen(known: int, tests: int) -> float:
    """Return the largest share of `tests` groups that may be of a kind absent from `known` groups.

    If groups come in random order, the chance that all j groups of a kind are among the tests is
    C(tests, j) / C(known + tests, j), by the hypergeometric distribution. j is the largest number
    whose chance is above what INTERVAL leaves out at one end.
    """
    chance, number = 1.0, 0
    while number < tests:
        chance *= (tests - number) / (known + tests - number)
        if chance <= (1 - INTERVAL) / 2:
            break
        number += 1
    return number / tests


def ratios(
    lines: list[LedgerLine], slug: str, metric: str, dataset: str, sha256: str | None
) -> list[float]:
    """Return Kaggle's score / out-of-fold score of each submission in the ledger scored by `slug`.

    The ratio is of log losses, or of shares of errors if the metric is accuracy. dataset, sha256:
    those of the CSV to estimate (None before it is written), whose own score is left out. A CSV
    uploaded twice counts once; the private score is taken if it is known; of rehearsals only those
    of the same dataset count, as each serves photos of its own. Lines without both numbers, or
    with a 0, are left out.
    """
    found = {}
    for past in lines:
        other_rehearsal = slug == REHEARSAL and past.dataset != dataset
        if past.competition != slug or past.sha256 == sha256 or other_rehearsal:
            continue
        before = _loss(past.oof_accuracy if metric == "accuracy" else past.oof_log_loss, metric)
        after = _loss(past.private_score or past.public_score, metric)
        if before > 0 and after > 0:
            found[past.sha256] = after / before
    return list(found.values())


def corrected(expected: ExpectedScore, past: list[float]) -> ExpectedScore | None:
    """Return `expected` times the mean of past ratios (`ratios`); None if they are too few.

    The mean is of logarithms: twice as much and half as much are equally far off. The interval is
    scaled with it, then widened by the prediction interval of the next ratio: Student's t times
    the ratios' standard deviation times sqrt(1 + 1 / n), added in squares. It is rather too wide,
    as part of the ratios' scatter is in the interval already.
    """
    if len(past) < PAST:
        return None
    from scipy.special import stdtrit

    logs, n = [math.log(ratio) for ratio in past], len(past)
    ratio = math.exp(statistics.fmean(logs))
    t = float(stdtrit(n - 1, (1 + INTERVAL) / 2))
    away = t * statistics.stdev(logs) * math.sqrt(1 + 1 / n)
    errors = _turned(expected) if expected.metric == "accuracy" else expected
    scaled = replace(
        errors,
        score=errors.score * ratio,
        low=_farther(errors.score, errors.low, -away) * ratio,
        high=_farther(errors.score, errors.high, away) * ratio,
        past=n,
        ratio=ratio,
    )
    return _turned(scaled) if expected.metric == "accuracy" else scaled


def _turned(expected: ExpectedScore) -> ExpectedScore:
    """Return the share of errors for an accuracy, or the other way round."""
    low, score, high = (max(0.0, 1 - x) for x in (expected.high, expected.score, expected.low))
    return replace(expected, score=score, low=low, high=high)


def _farther(score: float, end: float, away: float) -> float:
    """Return an end of an interval around `score`, moved out by `away` in its logarithm.

    No end has a logarithmic distance from a score of 0: it is moved by all of `away`.
    """
    if score <= 0 or end <= 0:
        return end * math.exp(away)
    return score * math.exp(math.copysign(math.hypot(math.log(end / score), away), away))


def _loss(number: str, metric: str) -> float:
    """Return the loss for a score in the ledger; nan if it is not a number."""
    try:
        value = float(number)
    except ValueError:
        return math.nan
    return 1 - value if metric == "accuracy" else value
