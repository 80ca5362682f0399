"""Take one measurement: `python -m benchmarks.suite.measure NAME JSON`.

Each runs in its own process: peak memory is measured, and Keras, OpenVINO and PyTorch would
share threads otherwise. The last line of stdout is the result as JSON.
"""

import dataclasses
import json
import mmap
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.suite import peers
from benchmarks.suite.material import single_recipe
from dogs_vs_cats import environment, files
from dogs_vs_cats.config import engines
from dogs_vs_cats.config.recipes import FeatureSettings, KerasHead
from dogs_vs_cats.data import photos, pixels, remote
from dogs_vs_cats.features import (
    cache,
    extraction,
    keras_backend,
    rows,
    storage_type,
    store,
    timings,
)
from dogs_vs_cats.modeling import evaluation, heads, training
from dogs_vs_cats.workspace import Workspace


def decode(dataset: str, size: int) -> dict[str, Any]:
    """Return how fast JPEG files are decoded to (size, size, 3), and nothing else is done.

    milliseconds: CPU time a photo. photos_a_second: by the clock, on all cores.
    """
    paths = [remote.photo(path) for path in photos.read(Workspace(dataset))["path"]]
    started, spent = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(environment.cores()) as pool:
        deque(pool.map(lambda path: pixels.pixels(path, size), paths), maxlen=0)
    seconds, spent = time.monotonic() - started, time.process_time() - spent
    return {"milliseconds": 1000 * spent / len(paths), "photos_a_second": len(paths) / seconds}


def model(dataset: str, recipe: str, engine: str, precision: str, seconds: float) -> dict[str, Any]:
    """Return photos a second of the extractor alone, which gets the same batch repeatedly."""
    settings = single_recipe(recipe).features
    chosen = engines.choose(engine, precision)
    workspace, batch = Workspace(dataset), chosen.batch(settings.size)
    extract = extraction.extractor_of(workspace, settings, chosen, batch, None)
    table = photos.read(workspace)
    paths = islice(cycle(table.loc[table["problem"] == "", "path"]), batch)
    # (batch, size, size, 3)
    images = np.stack([pixels.pixels(remote.photo(path), settings.size) for path in paths])
    deadline = time.monotonic() + seconds

    def work() -> int:
        done = 0
        while time.monotonic() < deadline:
            extract.run(images)
            done += batch
        return done

    started = time.monotonic()
    with ThreadPoolExecutor(extract.streams) as pool:
        done = sum(pool.map(lambda _: work(), range(extract.streams)))
    return {
        "photos_a_second": done / (time.monotonic() - started),
        "precision": chosen.precision,
        "device": chosen.device,
        "batch": batch,
    }


def stage(dataset: str, recipe: str, engine: str, precision: str) -> dict[str, Any]:
    """Return views a second from JPEG files to the finished cache, and how the time was spent.

    cpu_milliseconds: CPU time a photo, in all its views, without starting the network.
    """
    settings = single_recipe(recipe).features
    chosen = engines.choose(engine, precision)
    workspace = Workspace(dataset)
    for path in cache.stores(workspace, settings, chosen).values():
        shutil.rmtree(path, ignore_errors=True)
    before = timings.cpu()
    done = extraction.build(workspace, settings, chosen, extraction.Run())
    spent = timings.cpu() - before
    count = sum(done.computed.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    return {
        **dataclasses.asdict(done.times),
        "photos": count,
        "photos_a_second": count / done.times.total,
        "cpu_milliseconds": 1000 * spent / len(photos.read(workspace)),
        "peak_bytes": peak,
    }


def out_of_fold(dataset: str, recipe: str, engine: str, precision: str) -> dict[str, Any]:
    """Return the out-of-fold metrics of a recipe on the features of an engine."""
    trained = single_recipe(recipe)
    workspace, chosen = Workspace(dataset), engines.choose(engine, precision)
    extraction.build(workspace, trained.features, chosen, extraction.Run(), roles=("train",))
    return evaluation.flat(training.build(workspace, trained, chosen))


def head(recipe: str, count: int) -> dict[str, Any]:
    """Return the seconds to train a head on `count` rows of random features.

    `seconds`: the first head of a process, which includes start-up and tracing. `second`: the
    next head, which reuses them, as the heads of later folds do in `make train`.
    """
    trained = single_recipe(recipe)
    assert isinstance(trained.head, KerasHead)
    made = _random_rows(_with_held_out(count), trained.features)
    keras_backend.start()
    seconds = []
    for fold in range(2):
        started = time.monotonic()
        split = _split(fold, count, trained.features.train_views)
        heads.train(trained.head, made, split, trained.head.seeds[0], 2, lambda steps: None)
        seconds.append(time.monotonic() - started)
    steps = -(-count // trained.head.batch_size) * trained.head.epochs
    return {"seconds": seconds[0], "second": seconds[1], "steps": steps}


def _with_held_out(count: int) -> int:
    """Return the number of rows of which `count` are trained on and a fifth is held out."""
    return count + count // 4


def _split(fold: int, count: int, views: tuple[str, ...]) -> heads.Split:
    """Return a split that trains on `count` rows, with the held-out rows spread among them."""
    everything = np.arange(_with_held_out(count))
    held_out = everything[fold::5][: count // 4]
    return heads.Split(fold, np.setdiff1d(everything, held_out), held_out, views, views[0])


def _random_rows(count: int, settings: FeatureSettings) -> rows.Rows:
    """Return `count` rows of noise whose first feature depends on the class."""
    rng = np.random.default_rng(0)
    dimension = settings.dimension()
    labels = np.arange(count) % 2
    array = rng.normal(size=(count, dimension)).astype(storage_type.DTYPE)
    array[:, 0] += labels
    views = dict.fromkeys(settings.views("train"), array)
    return rows.Rows(views, dict.fromkeys(views, np.arange(count)), labels)


def streamed(recipe: str, count: int) -> dict[str, Any]:
    """Return the seconds of an epoch of a head that is trained from an array on the disk.

    `training` is on `count` rows, `validation` on the held-out ones, in the last of three epochs,
    when everything is compiled. The page cache is dropped before each, so both read the disk.
    """
    trained = single_recipe(recipe)
    assert isinstance(trained.head, KerasHead)
    view = trained.features.train_views[0]
    split = _split(0, count, (view,))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "features.npy"
        labels = _write_features(path, _with_held_out(count), trained.features.dimension())
        array = np.load(path, mmap_mode="r")
        _drop_page_cache(path, array)

        class Uncached(rows.Rows):
            """Rows that leave the page cache once the last held-out row is read."""

            def take(self, chosen: np.ndarray, view: str) -> np.ndarray:
                features = super().take(chosen, view)
                if chosen[-1] == split.held_out[-1]:
                    _drop_page_cache(path, array)
                return features

        stored = Uncached({view: array}, {view: np.arange(len(array))}, labels, store.CHUNK)
        keras_backend.start()
        epoch_ends: list[float] = []
        total = 0

        def on_step(photos: int) -> None:
            nonlocal total
            total += photos
            if total % count == 0:
                epoch_ends.append(time.monotonic())
                _drop_page_cache(path, array)

        settings = dataclasses.replace(trained.head, epochs=3)
        heads.train(settings, stored, split, settings.seeds[0], 2, on_step)
        validation = time.monotonic() - epoch_ends[2]
        size = path.stat().st_size
    # Between the ends of training of two epochs lies a validation.
    seconds = epoch_ends[2] - epoch_ends[1] - validation
    return {"training": seconds, "validation": validation, "bytes": size}


def _write_features(path: Path, count: int, dimension: int) -> np.ndarray:
    """Write `count` rows of noise that depends on the class; return the (count,) int classes."""
    labels = np.arange(count) % 2
    rng = np.random.default_rng(0)
    files.require_free(
        path.parent, count * dimension * storage_type.DTYPE.itemsize, "random features"
    )
    array = np.lib.format.open_memmap(path, "w+", storage_type.DTYPE, (count, dimension))
    for start in range(0, count, store.CHUNK):
        part = labels[start : start + store.CHUNK]
        block = rng.integers(-512, 512, (len(part), dimension), np.int16) / np.float32(256)
        array[start : start + store.CHUNK] = block + part[:, None] / 100
    array.flush()
    return labels


def _drop_page_cache(path: Path, array: np.ndarray) -> None:
    """Drop a file, mapped as `array`, from the page cache where the system supports that."""
    if hasattr(mmap, "MADV_DONTNEED"):
        mapped: Any = array.base
        mapped.madvise(mmap.MADV_DONTNEED)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


MEASUREMENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "decode": decode,
    "model": model,
    "stage": stage,
    "out_of_fold": out_of_fold,
    "head": head,
    "streamed": streamed,
    "tutorial": peers.tutorial,
    "torch": peers.torch,
}

if __name__ == "__main__":
    print(json.dumps(MEASUREMENTS[sys.argv[1]](**json.loads(sys.argv[2]))))
