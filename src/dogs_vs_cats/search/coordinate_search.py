"""Coordinate search: one key at a time, in the order of the space, in a single pass.

A value that is kept for one key is part of the head when the next key's values are tried. A value
is kept if its log loss is lower by more than the standard error of the difference, paired by photo
and clustered by group.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dogs_vs_cats.config.recipes import HeadSettings
from dogs_vs_cats.modeling import metrics
from dogs_vs_cats.search.results import LossEstimate, SearchResult, SearchStep
from dogs_vs_cats.search.space import Space
from dogs_vs_cats.search.trials import Trial, require_finite

Evaluate = Callable[[list[HeadSettings]], list[Trial]]


@dataclass(frozen=True)
class CoordinateSearch:
    """A finished search, with the trial of the head as it was, and of the head that it found."""

    result: SearchResult
    first: Trial
    best: Trial


def search(
    head: HeadSettings, space: Space, groups: list[str], evaluate: Evaluate
) -> CoordinateSearch:
    """Search for a better head.

    evaluate: heads -> the trial of each, in their order; the values of a key are tried together.
    groups: of the photos in a trial, in their order. Of several values of a key that are better
    by more than noise, the one with the lowest log loss is kept.
    """
    (first,) = (best,) = evaluate([head])
    start = estimate(require_finite(first), groups)
    steps: list[SearchStep] = []
    for key, values in space.items():
        current = getattr(head, key)
        others = [value for value in values if value != current]
        trials = evaluate([_changed(head, key, value) for value in others])
        tried = [
            (_step(key, value, current, trial, best, groups), trial)
            for value, trial in zip(others, trials, strict=True)
        ]
        better = [(step, trial) for step, trial in tried if step.is_better()]
        if better:
            kept, best = min(better, key=lambda pair: _mean(pair[0]))
            head = _changed(head, kept.key, kept.value)
            tried = [(dataclasses.replace(x, kept=x is kept), trial) for x, trial in tried]
        steps += [step for step, _ in tried]
    losses, before = require_finite(best), require_finite(first)
    end, difference = estimate(losses, groups), estimate(losses - before, groups)
    return CoordinateSearch(SearchResult(head, start, steps, end, difference), first, best)


def _changed(head: HeadSettings, key: str, value: Any) -> HeadSettings:
    changes: dict[str, Any] = {key: value}
    return dataclasses.replace(head, **changes)


def _step(
    key: str, value: Any, current: Any, trial: Trial, best: Trial, groups: list[str]
) -> SearchStep:
    if trial.losses is None:
        return SearchStep(key, value, current, None, None)
    difference = estimate(trial.losses - require_finite(best), groups)
    return SearchStep(key, value, current, estimate(trial.losses, groups), difference)


def _mean(step: SearchStep) -> float:
    assert step.log_loss  # a better step did not diverge
    return step.log_loss.mean


def estimate(losses: np.ndarray, groups: list[str]) -> LossEstimate:
    """Return the mean of (n,) losses, or of differences, and its standard error by group."""
    return LossEstimate(float(losses.mean()), metrics.group_error(losses, groups))
