"""Computing features: every photo once through the frozen backbone, in all views that it needs."""

import functools
import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats import files, progress, stopping
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config import presets
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.config.views import VIEWS
from dogs_vs_cats.features import (
    cache,
    pipeline,
    planning,
    quantisation_samples,
    rates,
    storage_type,
    store,
    store_files,
    timings,
)
from dogs_vs_cats.features.cache import CachedFeatures
from dogs_vs_cats.features.extractor import Extractor
from dogs_vs_cats.features.planning import Key, Photos
from dogs_vs_cats.features.timings import Times
from dogs_vs_cats.legible import counted, duration, per_second
from dogs_vs_cats.workspace import Workspace, weights_folder

Drafts = dict[Key, store.Draft]
Compute = Callable[[Iterable[pipeline.Job], Times], Generator[pipeline.Features, None, None]]


@dataclass(frozen=True)
class Run:
    """How to compute: photos a batch (default: what suits the machine), processor threads.

    Where TensorFlow computes with oneDNN (processors with AVX-512 VNNI, AVX-VNNI, AMX or newer),
    neither changes a byte; with Eigen, JAX or torch the last bits of float32 depend on them.

    cluster: local, auto or host:port, where workers compute; None: this process does. insecure:
    a cluster that asks for no token will do.
    """

    batch: int | None = None
    threads: int | None = None
    cluster: str | None = None
    insecure: bool = False


@dataclass(frozen=True)
class FeaturesBuilt:
    """computed: name of a store -> the views computed, 0 where all were there. times: seconds."""

    folder: Path
    computed: dict[str, int]
    times: Times


def build(
    workspace: Workspace,
    settings: FeatureSettings,
    engine: Engine,
    run: Run,
    roles: tuple[str, ...] = cache.ROLES,
) -> FeaturesBuilt:
    """Compute what is missing of a recipe's features, of these roles.

    UserError if the disk is too small, or a photo is no longer what photos.csv says.
    """
    if presets.is_preset(settings.backbone):
        from dogs_vs_cats.features.backbones import keras_hub

        keras_hub.require(settings, run.threads)
    base = cache.folder(workspace, settings, engine)
    with files.locked(base / ".lock", f"features in {base}"):
        stale = {
            (role, view): artifact
            for (role, view), artifact in cache.artifacts(workspace, settings, engine).items()
            if role in roles and artifact.fresh() is None
        }
        return _build(workspace, settings, engine, run, base, stale)


def _build(
    workspace: Workspace,
    settings: FeatureSettings,
    engine: Engine,
    run: Run,
    base: Path,
    stale: dict[Key, Artifact[CachedFeatures]],
) -> FeaturesBuilt:
    """Fill the stale stores; a kill leaves drafts that the next run goes on with."""
    folders = {key: artifact.stamp.parent for key, artifact in stale.items()}
    readable = planning.readable(workspace)
    dimension = settings.dimension()
    _say_size(base, folders, readable, dimension)
    inputs = cache.made_from(workspace, settings, engine)
    files.write_text(base / "key.json", json.dumps(inputs, indent=1) + "\n")
    drafts: Drafts = {}
    times = Times()
    meter = timings.Meter(base, alone=run.cluster is None)
    try:
        for (role, view), path in folders.items():
            geometry = VIEWS[view].geometry()
            drafts[role, view] = store.Draft(path, readable[role].digests, dimension, geometry)
        computed = _fill(workspace, drafts, readable, settings, engine, run, times, meter)
        started = time.monotonic()
        for key, draft in drafts.items():
            draft.finish()
            array = folders[key] / store_files.ARRAY
            stale[key].record([array], CachedFeatures(len(draft.digests), array.stat().st_size))
        times.write += time.monotonic() - started
        times.total += time.monotonic() - started
    finally:
        for draft in drafts.values():
            draft.close()
        meter.save()
    return FeaturesBuilt(base, {folders[k].name: n for k, n in computed.items()}, times)


def _say_size(
    base: Path, folders: dict[Key, Path], readable: dict[str, Photos], dimension: int
) -> None:
    """Print the size on the disk before the work; UserError if there is no room for it."""
    rows = sum(len(readable[role].digests) for role, _ in folders)
    size = rows * dimension * storage_type.DTYPE.itemsize
    count = sum(len(readable[role].digests) for role in {role for role, _ in folders})
    progress.say(
        f"features: {counted(count, 'photo')}, {counted(rows, 'view')} of them, "
        f"{dimension:,} numbers each: "
        f"{files.size_text(size)} on disk in {base}",
    )
    written = sum(
        store.size_in_place(path, readable[role].digests) for (role, _), path in folders.items()
    )
    files.require_free(base, max(0, size - written), "the features")


def _fill(
    workspace: Workspace,
    drafts: Drafts,
    readable: dict[str, Photos],
    settings: FeatureSettings,
    engine: Engine,
    run: Run,
    times: Times,
    meter: timings.Meter,
) -> dict[Key, int]:
    """Compute the missing rows of all drafts; return how many of each were missing."""
    missing = {key: draft.missing() for key, draft in drafts.items()}
    counts = {key: len(rows) for key, rows in missing.items()}
    total = sum(counts.values())
    if not total:
        return counts
    batch = run.batch or engine.batch(settings.size)
    size = sum(len(draft.digests) for draft in drafts.values())
    # What this machine does alone says nothing of a cluster.
    rate = None if run.cluster else rates.views(workspace, settings, engine)
    if rate:
        _say_estimate(total, size, rate, "measured here before")
    started = time.monotonic()
    with _computing(workspace, settings, engine, batch, run) as (compute, streams):
        times.start = time.monotonic() - started
        started = time.monotonic()
        results = compute(planning.jobs(missing, readable), times)
        with closing(results):
            written, tried = _written(results, drafts, times, meter), 0
            if rate is None:
                tried, rate = _trial(written, batch)
                if tried < total:
                    _say_estimate(total, size, rate, f"measured on the first {tried:,}")
            done = size - total + tried
            with progress.bar(size, "features", " views", done=done, expected=rate) as bar:
                for _ in written:
                    bar.update()
        times.total = time.monotonic() - started
    times.waited = max(0.0, times.total - times.compute / streams)
    return counts


def _written(
    results: Iterable[pipeline.Features], drafts: Drafts, times: Times, meter: timings.Meter
) -> Iterator[None]:
    """Put features into their drafts, one at each step."""
    for (role, view, row), vector in results:
        begun = time.monotonic()
        draft = drafts[role, view]
        draft.put(row, vector)
        meter.made(draft.folder.name)
        times.write += time.monotonic() - begun
        yield


def _trial(written: Iterator[None], batch: int) -> tuple[int, float]:
    """Let half a second's views be written, and a batch at least, after the first view.

    Return how many were written, and how many a second. Batches come whole, so a batch's time is
    that from its first view to the next one's.
    """
    count, begun, seconds = 0, 0.0, 0.0
    for _ in written:
        count += 1
        begun = begun or time.monotonic()
        seconds = time.monotonic() - begun
        if count > batch and seconds >= rates.ENOUGH:
            break
    return count, (count - 1) / seconds if seconds else 0.0


def _say_estimate(missing: int, size: int, rate: float, basis: str) -> None:
    whole = "" if missing == size else f" of {size:,}"
    progress.say(
        f"features: {missing:,}{whole} views to compute: about {duration(missing / rate)} at "
        f"{per_second(rate)} a second, {basis}"
    )


@contextmanager
def _computing(
    workspace: Workspace, settings: FeatureSettings, engine: Engine, batch: int, run: Run
) -> Iterator[tuple[Compute, int]]:
    """Give the block what computes jobs, ready to do so, and how many streams it has."""
    if run.cluster is None:
        with timings.start_up():
            extractor = extractor_of(workspace, settings, engine, batch, run.threads)
        with stopping.answered("stopping after this batch"):
            yield (
                lambda jobs, times: pipeline.computed(
                    extractor, jobs, settings.size, batch, run.threads, times
                ),
                extractor.streams,
            )
        return
    from dogs_vs_cats.features.cluster import driver
    from dogs_vs_cats.features.cluster.worker import Plan

    plan = Plan(
        functools.partial(extractor_of, workspace, settings, engine, batch),
        functools.partial(cache.made_from, workspace, settings, engine),
        settings.size,
        batch,
        Path.cwd(),
    )
    work = driver.work(plan, engine.device == "gpu", run.threads)
    with driver.joined(run.cluster, run.insecure, work) as team:
        # The seconds of all networks are counted as those of one.
        yield lambda jobs, times: driver.computed(team, jobs, batch, times), 1


def extractor_of(
    workspace: Workspace,
    settings: FeatureSettings,
    engine: Engine,
    batch: int,
    threads: int | None,
) -> Extractor:
    """Return the engine's extractor for batches of exactly `batch` photos, warmed up.

    Its first batch, which compiles it, is done.
    """
    if engine.name == "openvino":
        from dogs_vs_cats.features import openvino_extractor

        base = cache.folder(workspace, settings, engine)
        extractor = openvino_extractor.build(
            settings,
            engine,
            base,
            lambda: quantisation_samples.batches(workspace, settings.size, threads),
            batch,
            threads,
        )
    else:
        from dogs_vs_cats.features import extractor as keras_extractor
        from dogs_vs_cats.features import weights

        tensors = weights.load(settings.backbone, weights_folder())
        extractor = keras_extractor.build(settings, engine, tensors, threads)
    extractor.run(np.zeros((batch, settings.size, settings.size, 3), np.uint8))
    return extractor
