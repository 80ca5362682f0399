"""The state of a recipe's features: how many views are there, and how many are to be computed.

From the lists of photos and the records of stores: no array is read, and the next run still checks
its bytes. Standard library alone.
"""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import files
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.features import cache, store_files
from dogs_vs_cats.features.store_files import CHUNK, Geometry
from dogs_vs_cats.workspace import Workspace

# Inputs of a cache -> what the user calls them.
WORDS = {
    "weights": "weights",
    "code": "code",
    "engine": "engine",
    "packages": "packages",
    "quantisation_samples": "photos",
}


@dataclass(frozen=True)
class FeaturesState:
    """views: all that a recipe needs, of training and test photos. missing: those of them that are
    not computed yet. fresh: whether nothing is to do. bytes: on the disk, if so. changed: where
    none of the features that are there can be used, what has changed since they were made.
    """

    views: int
    missing: int
    fresh: bool
    bytes: int = 0
    changed: tuple[str, ...] = ()

    def text(self) -> str:
        """Return `resumable: 12,000 of 30,000 views done` or the like."""
        if self.fresh:
            return f"up to date: {self.views:,} views, {files.size_text(self.bytes)}"
        if self.missing < self.views:
            return f"resumable: {self.views - self.missing:,} of {self.views:,} views done"
        if self.changed:
            return f"stale: {' and '.join(self.changed)} changed"
        return "none yet"


def of(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> FeaturesState:
    """Return the state of a recipe's features for the photos that there are now."""
    cached = cache.fresh(workspace, settings, engine)
    if cached:
        return FeaturesState(cached.rows, 0, True, cached.bytes)
    wanted = _readable(workspace)
    views = missing = others = 0
    for (role, view), folder in cache.stores(workspace, settings, engine).items():
        views += len(wanted[role])
        there = held(folder, VIEWS[view].geometry())
        missing += len(wanted[role] - there)
        others += len(there)
    changed = ["photos"] if others else _changed(workspace, settings, engine)
    return FeaturesState(views, missing, False, changed=tuple(changed))


def begun(folder: Path) -> bool:
    """Return whether there is a store in `folder`, or one that is being filled."""
    return folder.exists() or store_files.partial(folder).exists()


def _changed(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> list[str]:
    """Return what has changed since the last cache of these settings and this engine was made."""
    caches = sorted(workspace.cache.glob("*/key.json"), key=lambda path: path.stat().st_mtime)
    for path in reversed(caches):
        words = changed(path.parent, workspace, settings, engine)
        if words and "engine" not in words:
            return words
    return []


def changed(
    made: Path, workspace: Workspace, settings: FeatureSettings, engine: Engine
) -> list[str]:
    """Return in words what a cache in `made` was made with that is not so now.

    [] if nothing is known of it, or it is for other settings.
    """
    path = made / "key.json"
    if not path.exists():
        return []
    now = json.loads(json.dumps(cache.made_from(workspace, settings, engine)))
    before = json.loads(path.read_text(encoding="utf-8"))
    if any(before.get(name) != now[name] for name in settings.bytes_decided_by()):
        return []
    return [word for name, word in WORDS.items() if before.get(name) != now.get(name)]


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
