"""Forecast: the score to expect of a submission, from predictions out of fold and past scores.

Only `of` computes, once a submission; what the ledger adds to it is a few numbers.
"""

import math
import statistics
from typing import TYPE_CHECKING

from dogs_vs_cats.kaggle.competitions import REHEARSAL

if TYPE_CHECKING:
    from dogs_vs_cats.modeling.out_of_fold import Predictions

DRAWS = 2000
SEED = 2017
INTERVAL = 0.95
PAST = 3  # scores that it takes to learn how the leaderboard differs


def of(found: "Predictions", metric: str, tests: int) -> dict:
    """Return the score to expect on `tests` photos: metric, score, low, high, photos, tests.

    metric: log_loss or accuracy. low and high hold INTERVAL of the scores of a bootstrap by
    groups (Efron 1979), as photos of one group are not independent: groups are drawn with
    replacement to learn from, and from these as many as make up the test photos. So both are in
    it, that the photos out of fold are a sample and that the test photos are one. Where all
    photos are right, or all wrong, draws don't differ: the open end is `unseen`. Not in it: that
    test photos may be of another kind, and that the heads of all folds, averaged, do better than
    those of one.
    """
    import numpy as np

    from dogs_vs_cats.modeling.log_loss import log_losses

    if metric == "accuracy":
        values = (found.probabilities.argmax(axis=1) == found.labels).astype(np.float64)
    else:
        values = log_losses(found.labels, found.probabilities)
    _, group = np.unique(found.groups, return_inverse=True)
    sums, sizes = np.bincount(group, values), np.bincount(group)  # (groups,)
    count = len(sizes)
    wanted = max(1, round(tests * count / len(values)))
    rng = np.random.default_rng(SEED)
    scores = []
    for _ in range(DRAWS):
        drawn = rng.integers(count, size=count)
        drawn = drawn[rng.integers(count, size=wanted)]
        scores.append(sums[drawn].sum() / sizes[drawn].sum())
    low, high = np.quantile(scores, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    if metric == "accuracy" and values.min() == values.max():
        away = unseen(count, wanted)
        low, high = (1 - away, 1) if values[0] else (0, away)
    return {
        "metric": metric,
        "score": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "photos": len(values),
        "tests": tests,
    }


def unseen(known: int, tests: int) -> float:
    """Return the largest share of `tests` groups that may be of a kind none of `known` is of.

    If all groups come in any order, that j of such a kind are all among the tests has the chance
    C(tests, j) / C(known + tests, j), the hypergeometric distribution's: the largest j is taken
    that leaves it above what INTERVAL leaves out at one end.
    """
    chance, found = 1.0, 0
    while found < tests:
        chance *= (tests - found) / (known + tests - found)
        if chance <= (1 - INTERVAL) / 2:
            break
        found += 1
    return found / tests


def ratios(
    lines: list[dict[str, str]], line: dict[str, str], slug: str, metric: str
) -> list[float]:
    """Return score / out of fold of each submission in the ledger that was scored by `slug`.

    Ratios of log losses, or of shares of errors where the metric is accuracy. `line` is the
    submission to forecast: its own score is left out. A CSV uploaded twice counts once, the
    private score is taken where there is one, and of rehearsals only those of the same dataset
    count, as each serves photos of its own. Lines without both numbers, or with a 0, tell
    nothing of a ratio.
    """
    found = {}
    for past in lines:
        other = slug == REHEARSAL and past["dataset"] != line["dataset"]
        if past["competition"] != slug or past["sha256"] == line["sha256"] or other:
            continue
        before = _loss(past[f"oof_{metric}"], metric)
        after = _loss(past["private_score"] or past["public_score"], metric)
        if before > 0 and after > 0:
            found[past["sha256"]] = after / before
    return list(found.values())


def corrected(found: dict, past: list[float]) -> dict | None:
    """Return a forecast times the mean ratio of past scores, or None where they are too few.

    The mean is that of logarithms: twice as much and half as much are as far off. The interval is
    scaled with it, and as much wider as a next ratio may be away from the mean of so few: Student's
    t times their standard deviation times the root of 1 + 1 / n, added as errors are, in squares.
    It is rather too wide, as some of their scatter is of the kind that is in the interval already.
    `ratio` and `past` (how many) are added.
    """
    if len(past) < PAST:
        return None
    from scipy.special import stdtrit

    logs, n = [math.log(one) for one in past], len(past)
    ratio = math.exp(statistics.fmean(logs))
    t = float(stdtrit(n - 1, (1 + INTERVAL) / 2))
    away = t * statistics.stdev(logs) * math.sqrt(1 + 1 / n)
    turn = _turned if found["metric"] == "accuracy" else dict
    loss = turn(found)
    scaled = {
        "score": loss["score"] * ratio,
        "low": _farther(loss["score"], loss["low"], -away) * ratio,
        "high": _farther(loss["score"], loss["high"], away) * ratio,
    }
    return found | turn(scaled) | {"ratio": ratio, "past": n}


def _turned(found: dict) -> dict:
    """Return a forecast of a share of errors for one of an accuracy, or the other way round."""
    ends = {"score": "score", "low": "high", "high": "low"}
    return {end: max(0.0, 1 - found[other]) for end, other in ends.items()}


def _farther(score: float, end: float, away: float) -> float:
    """Return an end of an interval about `score`, moved out by `away` in its logarithm.

    From a score of 0 no end has a distance in logarithms: it is moved by all of `away`.
    """
    if score <= 0 or end <= 0:
        return end * math.exp(away)
    return score * math.exp(math.copysign(math.hypot(math.log(end / score), away), away))


def text(found: dict) -> str:
    """Return what a forecast says, as people read it."""
    style = ".2%" if found["metric"] == "accuracy" else ".4f"
    score, low, high = (format(found[end], style) for end in ("score", "low", "high"))
    return f"{found['metric'].replace('_', ' ')} {score}, {INTERVAL:.0%} interval {low} to {high}"


def _loss(number: str, metric: str) -> float:
    """Return the loss that a text of the ledger is; nan where it is no number."""
    try:
        value = float(number)
    except ValueError:
        return math.nan
    return 1 - value if metric == "accuracy" else value
