"""Timings: the seconds that went into something made, beside it. Standard library alone."""

import json
from pathlib import Path

from dogs_vs_cats import files

NAME = "seconds.json"


def add(folder: Path, seconds: float, count: int) -> None:
    """Add a run's seconds, and how much it made in them, to those of the runs before it.

    A run that was killed adds nothing, though what it made is taken over by the next.
    """
    before = read(folder) or {"seconds": 0.0, "count": 0}
    found = {"seconds": before["seconds"] + round(seconds, 1), "count": before["count"] + count}
    files.write_text(folder / NAME, json.dumps(found) + "\n")


def read(folder: Path) -> dict | None:
    """Return seconds and count of all runs, or None where none were recorded."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) and found.keys() == {"seconds", "count"} else None
