"""How much to measure, and what was measured."""

import math
import statistics
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Plan:
    """How much to measure. photos: for rates, at least and at most (`count` says how many);
    memory: photos for the two peaks of memory.

    rounds: how often each rate is measured, in turns, so that a slow minute of the machine
    slows all of them; the median counts. seconds: how long the network alone is run each time.
    batches: of an engine, at least; span: seconds of the network alone that photos are for.
    rows: of made-up features, to train on. recipe: whose views are reduced to one, so that photos
    are views.
    """

    rounds: int = 3
    photos: tuple[int, int] = (128, 4096)
    memory: tuple[int, int] = (500, 5000)
    seconds: float = 6.0
    batches: int = 16
    span: float = 10.0
    rows: int = 25_000
    recipe: str = "fast"
    streamed: str = "seed"
    accuracy: bool = True
    openvino: bool = True

    def count(self, rate: float, batch: int) -> int:
        """Return how many photos to measure an engine on that computes `rate` of them a second.

        Of fewer, on a fast machine, the first batch's decoding would be most of the time. Whole
        batches of `batch` photos where `photos` allows: a part of one takes as long.
        """
        fewest, most = self.photos
        wanted = max(fewest, self.batches * batch, self.span * rate)
        return min(most, math.ceil(wanted / batch) * batch)


@dataclass
class Results:
    """What was measured: name -> a list of what each process returned.

    failed: name -> why it could not be measured, the last time. left: measurements to come.
    """

    found: dict[str, list[dict]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    left: int = 0

    def add(self, name: str, result: dict) -> None:
        self.found.setdefault(name, []).append(result)

    def median(self, name: str, key: str) -> float | None:
        """Return the median over rounds, or None where it was not measured."""
        values = [one[key] for one in self.found.get(name, [])]
        return statistics.median(values) if values else None

    def tried(self, name: str) -> bool:
        """Return whether it was measured, or could not be."""
        return name in self.found or name in self.failed
