"""Rates: how long views, folds and predictions take on this machine, as earlier runs recorded it.

From the caches and models of all datasets here. None where nothing like it was measured. Standard
library alone.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dogs_vs_cats import artifacts
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings, Recipe
from dogs_vs_cats.features import cache, timings
from dogs_vs_cats.workspace import Workspace

ENOUGH = 0.5  # seconds of work: a shorter measurement is mostly first steps
SIMILAR = 4  # times as many photos, or as few: beyond that the time of a fold isn't proportional
# What decides how long a view takes.
DECIDES = ("backbone", "weights", "tap", "size", "engine")


def views(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> float | None:
    """Return how many views a second the network computes, its start-up apart.

    Measured on the dataset's own photos if there are such features, else on those of others.
    """
    own = _cache_rate([cache.folder(workspace, settings, engine)])
    if own is not None:
        return own
    wanted = json.loads(json.dumps(cache.made_from(workspace, settings, engine)))
    keys = workspace.cache.parent.glob("*/*/key.json")
    return _cache_rate([path.parent for path in keys if _same(_json(path), wanted, DECIDES)])


def start_up(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> float:
    """Return the seconds that the network took to start, on average; 0 if none was measured."""
    recorded = timings.everything(cache.folder(workspace, settings, engine))
    start = recorded.get(timings.START)
    return start.seconds / start.count if start else 0.0


def fold(workspace: Workspace, recipe: Recipe, photos: int) -> float | None:
    """Return the seconds of training one fold's heads on `photos` photos.

    From the training of such heads on the most similar number of photos, in proportion.
    """
    found = []
    for folder in _models(workspace, recipe):
        spent = timings.everything(folder).get(timings.FOLDS)
        stamp = artifacts.read(folder / "stamp.json")
        trained_on = list(stamp["summary"].get("trained_on", {}).values()) if stamp else []
        if spent and spent.timed and trained_on:
            before = sum(trained_on) / len(trained_on)
            ratio = max(photos / before, before / photos)
            found.append((ratio, spent.work / spent.timed * photos / before))
    ratio, seconds = min(found, default=(SIMILAR + 1, 0.0))
    return seconds if ratio <= SIMILAR else None


def predicted(workspace: Workspace, recipe: Recipe) -> float | None:
    """Return the seconds of predicting one test photo with such heads, of all folds."""
    folders = _models(workspace, recipe)
    spent = [timings.read(folder, [timings.PREDICTED]) for folder in folders]
    known = [x for x in spent if x and x.timed]
    return sum(x.work for x in known) / sum(x.timed for x in known) if known else None


def _cache_rate(folders: Iterable[Path]) -> float | None:
    """Return views a second of all that was timed in caches; None if that took next to no time."""
    parts = [part for folder in folders for part in timings.everything(folder).values()]
    work = sum(part.work for part in parts)
    return sum(part.timed for part in parts) / work if work >= ENOUGH else None


def _models(workspace: Workspace, recipe: Recipe) -> Iterator[Path]:
    """Yield the folders in models/, of all datasets, of heads with the settings of `recipe`."""
    wanted = json.loads(json.dumps(asdict(recipe)))
    for path in sorted(workspace.models.parent.glob("*/*/record.json")):
        recorded = _json(path).get("recipe", {})
        if _same(recorded, wanted, ("features", "head", "retrain")):
            yield path.parent


def _same(one: dict[str, Any], other: dict[str, Any], names: Iterable[str]) -> bool:
    return all(name in one and one[name] == other[name] for name in names)


def _json(path: Path) -> dict[str, Any]:
    """Return what is in a file that a stage wrote whole; nothing where it was broken by hand."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
