"""One measurement in a process of its own: `python -m benchmarks.suite.measure NAME JSON`.

A process each, because memory is measured and because Keras, OpenVINO and PyTorch would share
threads otherwise. The last line of stdout is the result as JSON.
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
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from benchmarks.suite import peers
from dogs_vs_cats import files
from dogs_vs_cats.config import engines, recipe_files, recipes
from dogs_vs_cats.data import photos, pixels
from dogs_vs_cats.features import cache, keras_backend, rows, store
from dogs_vs_cats.modeling import heads, training
from dogs_vs_cats.workspace import Workspace


def decode(dataset: str, size: int) -> dict:
    """Return the milliseconds of one core to turn a JPEG file into (size, size, 3) pixels."""
    paths = [Path(path) for path in photos.read(Workspace(dataset))["path"]]
    started = time.thread_time()
    for path in paths:
        pixels.pixels(path, size)
    return {"milliseconds": 1000 * (time.thread_time() - started) / len(paths)}


def model(dataset: str, recipe: str, engine: str, precision: str, seconds: float) -> dict:
    """Return photos a second of the extractor alone, fed the same batch again and again."""
    settings = recipe_files.read(recipe).features
    chosen = engines.choose(engine, precision)
    workspace, batch = Workspace(dataset), chosen.batch(settings.size)
    extract = cache.extractor_of(workspace, settings, chosen, batch, None)
    table = photos.read(workspace)
    paths = islice(cycle(table.loc[table["problem"] == "", "path"]), batch)
    # (batch, size, size, 3)
    images = np.stack([pixels.pixels(Path(path), settings.size) for path in paths])
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
    rate = done / (time.monotonic() - started)
    about = {"precision": chosen.precision, "device": chosen.device, "batch": batch}
    return {"photos_a_second": rate, **about}


def stage(dataset: str, recipe: str, engine: str, precision: str) -> dict:
    """Return photos a second from JPEG files to the finished cache, and where the time went."""
    settings = recipe_files.read(recipe).features
    chosen = engines.choose(engine, precision)
    workspace = Workspace(dataset)
    for path in cache.stores(workspace, settings, chosen).values():
        shutil.rmtree(path, ignore_errors=True)
    done = cache.build(workspace, settings, chosen, cache.Run())
    count = sum(done["computed"].values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    found = {"photos": count, "photos_a_second": count / done["total"], "peak_bytes": peak}
    return {**done, **found}


def out_of_fold(dataset: str, recipe: str, engine: str, precision: str) -> dict:
    """Return the out-of-fold metrics of a recipe on the features of an engine."""
    found = recipe_files.read(recipe)
    workspace, chosen = Workspace(dataset), engines.choose(engine, precision)
    cache.build(workspace, found.features, chosen, cache.Run(), roles=("train",))
    return training.build(workspace, found, chosen)


def head(recipe: str, count: int) -> dict:
    """Return the seconds to train a head on `count` rows of made-up features, all of it.

    `seconds` is of the first head of a process, which starts and traces much that the `second`
    finds there, as those of the other folds do in `make train`.
    """
    found = recipe_files.read(recipe)
    made = _made_up(_with_held_out(count), found.features)
    keras_backend.start()
    seconds = []
    for fold in range(2):
        started = time.monotonic()
        split = _split(fold, count, found.features.train_views)
        heads.train(found.head, made, split, found.head.seeds[0], 2, lambda shown: None)
        seconds.append(time.monotonic() - started)
    steps = -(-count // found.head.batch_size) * found.head.epochs
    return {"seconds": seconds[0], "second": seconds[1], "steps": steps}


def _with_held_out(count: int) -> int:
    """Return how many rows there are where `count` are trained on: a fifth is held out."""
    return count + count // 4


def _split(fold: int, count: int, views: tuple[str, ...]) -> heads.Split:
    """Return a split that trains on `count` rows; those held out lie among them, as a fold's do."""
    everything = np.arange(_with_held_out(count))
    held_out = everything[fold::5][: count // 4]
    return heads.Split(fold, np.setdiff1d(everything, held_out), held_out, views, views[0])


def _made_up(count: int, settings: recipes.FeatureSettings) -> rows.Rows:
    """Return `count` rows of noise, of the right shape, in which one number tells the class."""
    rng = np.random.default_rng(0)
    dimension = settings.dimension()
    labels = np.arange(count) % 2
    array = rng.normal(size=(count, dimension)).astype(store.DTYPE)
    array[:, 0] += labels
    views = dict.fromkeys(settings.views("train"), array)
    return rows.Rows(views, dict.fromkeys(views, np.arange(count)), labels)


def streamed(recipe: str, count: int) -> dict:
    """Return the seconds of an epoch of a head that is trained from an array on the disk.

    `training` is on `count` rows, `validation` on those held out. They are the last of three
    epochs, when all is compiled. The system forgets the array before each, so both read the disk.
    """
    found = recipe_files.read(recipe)
    view = found.features.train_views[0]
    split = _split(0, count, (view,))
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "features.npy"
        labels = _write_features(path, _with_held_out(count), found.features.dimension())
        array = np.load(path, mmap_mode="r")
        _forget(path, array)

        class Forgotten(rows.Rows):
            """Rows that lie in no memory any more once the last held-out one is taken."""

            def take(self, chosen: np.ndarray, view: str) -> np.ndarray:
                features = super().take(chosen, view)
                if chosen[-1] == split.held_out[-1]:
                    _forget(path, array)
                return features

        stored = Forgotten({view: array}, {view: np.arange(len(array))}, labels, store.CHUNK)
        keras_backend.start()
        trained, total = [], 0

        def tick(shown: int) -> None:
            nonlocal total
            total += shown
            if total % count == 0:
                trained.append(time.monotonic())
                _forget(path, array)

        thrice = dataclasses.replace(found.head, epochs=3)
        heads.train(thrice, stored, split, found.head.seeds[0], 2, tick)
        validation = time.monotonic() - trained[2]
        size = path.stat().st_size
    # From the end of one training to that of the next there is a validation, too.
    training = trained[2] - trained[1] - validation
    return {"training": training, "validation": validation, "bytes": size}


def _write_features(path: Path, count: int, dimension: int) -> np.ndarray:
    """Write `count` rows of noise that leans to its class; return the classes, (count,) int."""
    labels = np.arange(count) % 2
    rng = np.random.default_rng(0)
    files.require_free(path.parent, count * dimension * store.DTYPE.itemsize, "made-up features")
    array = np.lib.format.open_memmap(path, "w+", store.DTYPE, (count, dimension))
    for start in range(0, count, store.CHUNK):
        part = labels[start : start + store.CHUNK]
        block = rng.integers(-512, 512, (len(part), dimension), np.int16) / np.float32(256)
        array[start : start + store.CHUNK] = block + part[:, None] / 100
    array.flush()
    return labels


def _forget(path: Path, array: np.ndarray) -> None:
    """Make the system drop its copy of a file, mapped as `array`, where it can be told to."""
    if hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


NAMES = {
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
    print(json.dumps(NAMES[sys.argv[1]](**json.loads(sys.argv[2]))))
