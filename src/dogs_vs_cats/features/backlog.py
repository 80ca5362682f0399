"""The backlog: how many views a recipe's features still lack.

From the lists of photos and the records of stores: no array is read, and the next run still checks
its bytes. Standard library alone.
"""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.features import cache, store_files
from dogs_vs_cats.features.store_files import CHUNK, Geometry
from dogs_vs_cats.workspace import Workspace


@dataclass(frozen=True)
class Backlog:
    """views: all that a recipe needs, of training and test photos. missing: not yet computed."""

    views: int
    missing: int


def of(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> Backlog:
    """Return the backlog of `make features`."""
    wanted = _readable(workspace)
    stores = cache.stores(workspace, settings, engine)
    artifacts = cache.artifacts(workspace, settings, engine)
    views = missing = 0
    for (role, view), folder in stores.items():
        views += len(wanted[role])
        if artifacts[role, view].fresh() is None:
            missing += len(wanted[role] - held(folder, VIEWS[view].geometry()))
    return Backlog(views, missing)


def _readable(workspace: Workspace) -> dict[str, set[str]]:
    """Return role -> the sha256 of its photos that can be read."""
    found: dict[str, set[str]] = {role: set() for role in cache.ROLES}
    with workspace.table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        for row in csv.DictReader(file):
            if not row["problem"]:
                found["train" if row["label"] else "test"].add(row["sha256"])
    return found


def held(folder: Path, geometry: Geometry) -> set[str]:
    """Return the sha256 of the photos that a store, finished or not, has features of."""
    places = (
        folder,
        store_files.partial(folder),
        store_files.old(folder),
        store_files.salvage(folder),
    )
    return {photo for place in places for photo in _recorded(place, geometry)}


def _recorded(folder: Path, geometry: Geometry) -> Iterator[str]:
    """Yield the photos of the chunks that are recorded in a folder, nothing if it has none."""
    try:
        if json.loads((folder / store_files.VIEW).read_text(encoding="ascii")) != geometry:
            return
        lists = [_listed(folder / store_files.ROWS)]
        if (folder / store_files.BEFORE).exists():
            lists.append(_listed(folder / store_files.BEFORE))
        records = dict(store_files.records(folder / store_files.CHUNKS))
    except (FileNotFoundError, ValueError):
        return
    for chunk, record in records.items():
        for listed in lists:
            photos = listed[chunk * CHUNK : (chunk + 1) * CHUNK]
            # Earlier versions did not record whose rows they are: they never changed them.
            digest = hashlib.sha256(bytes.fromhex("".join(photos))).hexdigest()
            if record.get("photos") in (None, digest):
                yield from photos
                break


def _listed(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").splitlines()[1:]
