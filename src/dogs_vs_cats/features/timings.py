"""Timings: the time that went into features, heads and CSVs, kept in a file beside them.

A part is what a run makes many of: a view of a photo, a fold's heads, a predicted photo. The time
of a run is shared out by parts, so that recipes that need some of them know what these took.
Standard library alone.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from dogs_vs_cats import artifacts, files

NAME = "seconds.json"
EVERY = 30.0  # seconds after which a run that goes on is recorded
# Parts in a recipe's folder in models/; those of a cache are the views in its stores.
FOLDS = "folds"
WEIGHTS = "weights"  # of a blend: one part
PREDICTED = "predicted"  # test photos
START = "start"  # the start-up of a run: loading, exporting and warming up the network


@dataclass
class Times:
    """Where the seconds of a run went. decode: of all cores; compute and write: by the clock.

    waited: how long the network had nothing to do. total: from the first photo to the last byte,
    without `start`, which loads, exports and warms up the network once a run.
    """

    decode: float = 0.0
    compute: float = 0.0
    write: float = 0.0
    waited: float = 0.0
    total: float = 0.0
    start: float = 0.0


@dataclass(frozen=True)
class Spent:
    """The time of all runs that made `count` parts.

    seconds: by the clock, start-up included. cpu: CPU seconds of all threads, without start-up, for
    `measured` of the parts: those made since CPU time is recorded. work: seconds by the clock,
    without start-up, for `timed` of them: those that this machine made alone, since it is recorded.
    """

    seconds: float
    count: int
    cpu: float = 0.0
    measured: int = 0
    work: float = 0.0
    timed: int = 0


@dataclass
class _Left:
    """CPU seconds of this process that are left out; below 0: of others, that are counted.

    clock: seconds by the clock that are left out.
    """

    cpu: float = 0.0
    clock: float = 0.0


_left_out = _Left()


def cpu() -> float:
    """Return the CPU seconds of this process: user and system, all threads, without start-up.

    Those of other processes that it started are in it once they have ended (not on Windows). What a
    GPU computes is not.
    """
    ended = os.times()
    children = ended.children_user + ended.children_system
    return time.process_time() + children - _left_out.cpu


def _working() -> float:
    """Return the clock, in seconds, that stands still during start-up."""
    return time.monotonic() - _left_out.clock


@contextmanager
def start_up() -> Iterator[None]:
    """Leave the time of the block out of CPU time and work: it is spent once a run, on no photo."""
    before, begun = cpu(), _working()
    try:
        yield
    finally:
        _left_out.cpu += cpu() - before
        _left_out.clock += _working() - begun


def spent_elsewhere(seconds: float) -> None:
    """Count CPU seconds that a worker on a cluster has spent for this process in `cpu`."""
    _left_out.cpu -= seconds


class Meter:
    """Measures a run from here on and adds it to what earlier runs spent on the parts in a folder.

    It is recorded every 30 seconds, so that a run that is killed loses no more than that, and its
    unrecorded parts count with neither time nor number. alone: no other machine helps, so that the
    seconds tell how fast this one is.
    """

    def __init__(self, folder: Path, alone: bool = True) -> None:
        self._folder, self._alone = folder, alone
        self._begin()

    def _begin(self) -> None:
        self._counts: dict[str, int] = {}
        self._clock, self._cpu, self._work = time.monotonic(), cpu(), _working()

    def made(self, name: str, count: int = 1) -> None:
        """Count parts that the run has made."""
        self._counts[name] = self._counts.get(name, 0) + count
        if time.monotonic() - self._clock > EVERY:
            self.save()

    def save(self) -> None:
        """Record the time since the last record, if any part was made in it."""
        if sum(self._counts.values()):
            seconds, spent = time.monotonic() - self._clock, cpu() - self._cpu
            work = _working() - self._work if self._alone else None
            add(self._folder, seconds, self._counts, spent, work)
            self._begin()


def add(
    folder: Path,
    seconds: float,
    counts: dict[str, int],
    cpu: float | None = None,
    work: float | None = None,
) -> None:
    """Add time to what was spent before on the parts in a folder, shared out by their number.

    counts: name -> how many parts were made. cpu: CPU seconds, work: seconds without start-up;
    None if not measured.
    """
    spent, total = everything(folder), sum(counts.values())
    for name, count in counts.items():
        before, share = spent.get(name, Spent(0.0, 0)), count / total
        spent[name] = Spent(
            round(before.seconds + seconds * share, 2),
            before.count + count,
            round(before.cpu + (cpu or 0.0) * share, 4),
            before.measured + (0 if cpu is None else count),
            round(before.work + (work or 0.0) * share, 4),
            before.timed + (0 if work is None else count),
        )
    if work is not None and seconds - work > 0.01:
        before = spent.get(START, Spent(0.0, 0))
        spent[START] = Spent(round(before.seconds + seconds - work, 2), before.count + 1)
    text = json.dumps({name: asdict(x) for name, x in spent.items()}, indent=1)
    files.write_text(folder / NAME, text + "\n")


def everything(folder: Path) -> dict[str, Spent]:
    """Return name of a part -> what was spent; nothing where the file is not as we write it."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return artifacts.decode(dict[str, Spent], content) or {}


def read(folder: Path, names: Iterable[str]) -> Spent | None:
    """Return what all runs spent on these parts, or None where nothing was recorded."""
    recorded = everything(folder)
    spent = [recorded[name] for name in names if name in recorded]
    if not spent:
        return None
    return Spent(
        sum(x.seconds for x in spent),
        sum(x.count for x in spent),
        sum(x.cpu for x in spent),
        sum(x.measured for x in spent),
        sum(x.work for x in spent),
        sum(x.timed for x in spent),
    )


def cpu_of(folder: Path, name: str, count: int) -> float | None:
    """Return the CPU seconds of `count` parts, None where no part of that name was measured.

    That is what a measured part took on average, times `count`: more parts may have been measured
    (an artifact was made again), or fewer (a run was killed).
    """
    spent = everything(folder).get(name)
    if not count:
        return 0.0
    return spent.cpu / spent.measured * count if spent and spent.measured else None
