"""How much the bench measures, and its results."""

import math
import statistics
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    rounds: how often each rate is measured; the rounds alternate between rates, so that a slow
    minute of the machine slows all of them, and the median is reported.
    photos: fewest and most photos for a rate (see `count`).
    memory: numbers of photos at which peak memory is compared.
    seconds: how long the network alone runs each time.
    batches: fewest batches of an engine; span: seconds of the network alone that photos last.
    rows: made-up features to train a head on.
    recipe: its views are reduced to one, so that photos and views are the same number.
    light: a recipe of one view with a light network, measured beside `recipe`.
    streamed: the recipe whose head is trained from an array on the disk.
    """

    rounds: int = 3
    photos: tuple[int, int] = (128, 4096)
    memory: tuple[int, int] = (500, 5000)
    seconds: float = 6.0
    batches: int = 16
    span: float = 10.0
    rows: int = 25_000
    recipe: str = "fast"
    light: str = "light"
    streamed: str = "seed"
    accuracy: bool = True
    openvino: bool = True

    def count(self, rate: float, batch: int) -> int:
        """Return how many photos to measure an engine on that computes `rate` photos a second.

        With too few on a fast machine, decoding the first batch would take most of the time. The
        result is a multiple of `batch` where `photos` allows: a partial batch takes as long.
        """
        fewest, most = self.photos
        wanted = max(fewest, self.batches * batch, self.span * rate)
        return min(most, math.ceil(wanted / batch) * batch)


@dataclass
class Results:
    """Results by name of a measurement.

    measurements: one dict for each time it was measured. failed: why it last failed.
    left: how many measurements are still to come.
    """

    measurements: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    left: int = 0

    def add(self, name: str, measurement: dict[str, Any]) -> None:
        self.measurements.setdefault(name, []).append(measurement)

    def median(self, name: str, key: str) -> float | None:
        """Return the median over rounds, or None if it was not measured."""
        values = [measurement[key] for measurement in self.measurements.get(name, [])]
        return statistics.median(values) if values else None

    def tried(self, name: str) -> bool:
        """Return whether it was measured or failed."""
        return name in self.measurements or name in self.failed
