"""Timings: the seconds that went into things made, beside them. Standard library alone."""

import json
from collections.abc import Iterable
from pathlib import Path

from dogs_vs_cats import files

NAME = "seconds.json"


def add(folder: Path, seconds: float, counts: dict[str, int]) -> None:
    """Add a run's seconds to those of the runs before it, shared out by what it made.

    counts: the name of each thing -> how much of it was made. A run that was killed adds nothing,
    though what it made is taken over by the next.
    """
    found, total = _all(folder), sum(counts.values())
    for name, count in counts.items():
        before = found.get(name, {"seconds": 0.0, "count": 0})
        spent = round(before["seconds"] + seconds * count / total, 2)
        found[name] = {"seconds": spent, "count": before["count"] + count}
    files.write_text(folder / NAME, json.dumps(found, indent=1) + "\n")


def read(folder: Path, names: Iterable[str]) -> dict | None:
    """Return seconds and count of all runs for these things, or None where none were recorded."""
    found = _all(folder)
    there = [found[name] for name in names if name in found]
    if not there:
        return None
    return {key: sum(one[key] for one in there) for key in ("seconds", "count")}


def _all(folder: Path) -> dict[str, dict]:
    """Return name -> seconds and count; nothing where the file is not as we write it."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    known = {"seconds", "count"}
    good = isinstance(found, dict) and all(
        isinstance(one, dict) and one.keys() == known for one in found.values()
    )
    return found if good else {}
