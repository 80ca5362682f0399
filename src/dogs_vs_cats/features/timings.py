"""Timings: the seconds that went into features, kept beside them. Standard library alone."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from dogs_vs_cats import artifacts, files

NAME = "seconds.json"


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
    """The seconds of all runs that made something, and how many views they computed."""

    seconds: float
    count: int


def add(folder: Path, seconds: float, counts: dict[str, int]) -> None:
    """Add a run's seconds to those of the runs before it, shared out by what it made.

    counts: name of a store -> how many views of it were computed. A run that was killed adds
    nothing, though the next run takes over what it computed.
    """
    spent, total = _all(folder), sum(counts.values())
    for name, count in counts.items():
        before = spent.get(name, Spent(0.0, 0))
        after = round(before.seconds + seconds * count / total, 2)
        spent[name] = Spent(after, before.count + count)
    text = json.dumps({name: asdict(x) for name, x in spent.items()}, indent=1)
    files.write_text(folder / NAME, text + "\n")


def read(folder: Path, names: Iterable[str]) -> Spent | None:
    """Return what all runs spent on these stores, or None where nothing was recorded."""
    everything = _all(folder)
    spent = [everything[name] for name in names if name in everything]
    if not spent:
        return None
    return Spent(sum(x.seconds for x in spent), sum(x.count for x in spent))


def _all(folder: Path) -> dict[str, Spent]:
    """Return name -> what was spent; nothing where the file is not as we write it."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return artifacts.decode(dict[str, Spent], content) or {}
