"""The training photos that the ranges of an int8 network's activations are measured on."""

import csv
from itertools import cycle, islice
from typing import TYPE_CHECKING

from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

COUNT = 300  # photos: NNCF's own default
BATCH = 10  # photos
AT_ONCE = 100 * COUNT  # photos that are held while the table is read


def chosen(workspace: Workspace) -> dict[str, str]:
    """Return sha256 -> path of the photos, the first COUNT by sha256.

    A stable pseudo-random sample: it hardly changes when other photos are added or removed.
    """
    paths: dict[str, str] = {}
    with workspace.table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        for row in csv.DictReader(file):
            if row["label"] and not row["problem"]:
                paths[row["sha256"]] = row["path"]
            if len(paths) > AT_ONCE:
                paths = _first(paths)
    return _first(paths)


def _first(paths: dict[str, str]) -> dict[str, str]:
    return {digest: paths[digest] for digest in sorted(paths)[:COUNT]}


def batches(workspace: Workspace, size: int, threads: int | None) -> "list[np.ndarray]":
    """Return the photos, whole, in batches (BATCH, size, size, 3) uint8.

    Where they don't fill the last batch, the first ones come again.
    """
    from dogs_vs_cats.data import remote
    from dogs_vs_cats.features import pipeline
    from dogs_vs_cats.features.timings import Times

    photos = chosen(workspace)
    jobs = [
        pipeline.Job(digest, remote.photo(path), {"plain": digest})
        for digest, path in photos.items()
    ]
    jobs = list(islice(cycle(jobs), -(-len(jobs) // BATCH) * BATCH))
    decoded = pipeline.decoded(jobs, size, BATCH, threads, Times())
    return [crops["plain"] for _, crops in decoded]
