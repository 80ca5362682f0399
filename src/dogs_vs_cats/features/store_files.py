"""The files of a store, and what its records say. Standard library alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHUNK = 64  # rows: two to five seconds of VGG16 on two cores
ARRAY = "features.npy"
ROWS = "rows.csv"
# While photos are replaced in place: those whose rows the chunks held before.
BEFORE = "rows-before.csv"
CHUNKS = "chunks.jsonl"
VIEW = "view.json"

Geometry = dict[str, Any]  # of a view, as `View.geometry` returns it


def partial(folder: Path) -> Path:
    """Return the folder beside a store in which it is filled."""
    return folder.with_name(folder.name + ".partial")


def old(folder: Path) -> Path:
    """Return where a finished store is while another takes its place."""
    return folder.with_name(folder.name + ".old")


def salvage(folder: Path) -> Path:
    """Return where an unfinished store for other photos is kept."""
    return folder.with_name(folder.name + ".salvage")


def records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield chunk -> its record, in the order in which they were written; OSError without a file.

    A record has the sha256 of the chunk's bytes, and as `photos` that of its digests.
    """
    with path.open(encoding="ascii") as file:
        for line in file:
            try:
                entry = json.loads(line)
                if entry["chunk"] >= 0 and entry["sha256"]:
                    yield int(entry["chunk"]), entry
            except (ValueError, KeyError, TypeError):
                continue  # a line cut off by a kill: that chunk is computed again
