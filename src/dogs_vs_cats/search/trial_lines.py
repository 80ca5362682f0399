"""Trial lines: what is said of each trial of a search as it comes."""

import dataclasses
import math
import time
from functools import partial
from typing import Any

from dogs_vs_cats import progress
from dogs_vs_cats.config.recipes import HeadSettings
from dogs_vs_cats.legible import duration
from dogs_vs_cats.search.results import toml
from dogs_vs_cats.search.trials import OnTrial, Trial


class TrialLines:
    """Says each trial under its number, and moves the bar of a search.

    head: the recipe's. total: how many trials there will be.
    """

    def __init__(self, head: HeadSettings, total: int, bar: Any) -> None:
        self._head, self._total, self._bar = head, total, bar
        self._began = time.monotonic()
        self._done = self._new = 0
        self._best: dict[str, float] = {}  # where -> the lowest log loss

    def of(self, where: str = "") -> OnTrial:
        """Return what takes the trials on the same photos, which `where` names in a nested search.

        Only these are compared with each other.
        """
        return partial(self._take, where)

    def _take(self, where: str, head: HeadSettings, trial: Trial, is_new: bool) -> None:
        self._done += 1
        self._new += is_new
        if not is_new:
            self._bar.initial += 1  # it took no time
        self._bar.update()
        place = f"{where}, " if where else ""
        result = self._compared(where, trial)
        progress.say(
            f"search: {self._done} of {self._total}: {place}{self._settings(head)}: {result}"
            f"{self._left() if is_new else ', known'}"
        )

    def _settings(self, head: HeadSettings) -> str:
        """Return how a head differs from the recipe's, as TOML."""
        own = dataclasses.asdict(self._head)
        changed = {k: v for k, v in dataclasses.asdict(head).items() if v != own[k]}
        return ", ".join(f"{k} = {toml(v)}" for k, v in changed.items()) or "the recipe as it is"

    def _compared(self, where: str, trial: Trial) -> str:
        """Return a trial's log loss, in nats, and the lowest so far."""
        if trial.losses is None:
            return "diverged"
        loss, best = float(trial.losses.mean()), self._best.get(where, math.inf)
        self._best[where] = min(best, loss)
        return f"log loss {loss:.4f}, best so far" + ("" if loss < best else f" {best:.4f}")

    def _left(self) -> str:
        """Return how long the trials take that are left, if all are new."""
        if self._done == self._total:
            return ""
        seconds = (time.monotonic() - self._began) / self._new
        return f", {duration(seconds * (self._total - self._done))} left"
