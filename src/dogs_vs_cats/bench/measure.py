"""One measurement in a process of its own: `python -m dogs_vs_cats.bench.measure NAME JSON`.

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
from pathlib import Path

import numpy as np

from dogs_vs_cats import (
    backend,
    engines,
    features,
    files,
    heads,
    photos,
    pixels,
    recipes,
    rows,
    store,
    training,
)
from dogs_vs_cats.bench import peers
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
    settings = recipes.read(recipe).features
    chosen = engines.choose(engine, precision)
    batch = chosen.batch(settings.size)
    extract = features.extractor_of(Workspace(dataset), settings, chosen, batch, None)
    shape = (batch, settings.size, settings.size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
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
    return {"photos_a_second": done / (time.monotonic() - started), "precision": chosen.precision}


def stage(dataset: str, recipe: str, engine: str, precision: str) -> dict:
    """Return photos a second from JPEG files to the finished cache, and where the time went."""
    settings = recipes.read(recipe).features
    chosen = engines.choose(engine, precision)
    place = Workspace(dataset)
    for path in features.stores(place, settings, chosen).values():
        shutil.rmtree(path, ignore_errors=True)
    done = features.build(place, settings, chosen, features.Run())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    return {**done, "photos_a_second": done["computed"] / done["total"], "peak_bytes": peak}


def out_of_fold(dataset: str, recipe: str, engine: str, precision: str) -> dict:
    """Return the out-of-fold metrics of a recipe on the features of an engine."""
    found = recipes.read(recipe)
    place, chosen = Workspace(dataset), engines.choose(engine, precision)
    features.build(place, found.features, chosen, features.Run(), roles=("train",))
    return training.build(place, found, chosen)


def head(recipe: str, count: int) -> dict:
    """Return the seconds to train one head on `count` rows of made-up features, all of it."""
    found = recipes.read(recipe)
    made = _made_up(count + count // 4, found.features)
    everything = np.arange(len(made.labels))
    backend.start()
    started = time.monotonic()
    views = found.features.train_views
    split = heads.Split(0, everything[:count], everything[count:], views, views[0])
    heads.train(found.head, made, split, found.head.seeds[0], 2, lambda shown: None)
    seconds = time.monotonic() - started
    steps = -(-count // found.head.batch_size) * found.head.epochs
    return {"seconds": seconds, "steps": steps, "epochs": found.head.epochs}


def _made_up(count: int, settings: recipes.Features) -> rows.Rows:
    """Return `count` rows of noise, of the right shape, in which one number tells the class."""
    rng = np.random.default_rng(0)
    dimension = settings.dimension()
    labels = np.arange(count) % 2
    array = rng.normal(size=(count, dimension)).astype(store.DTYPE)
    array[:, 0] += labels
    views = dict.fromkeys(settings.views("train"), array)
    return rows.Rows(views, dict.fromkeys(views, np.arange(count)), labels)


def streamed(recipe: str, count: int) -> dict:
    """Return the seconds of two epochs of a head that is trained from an array on the disk.

    The system forgets the array before each, so both read the disk. The first compiles the head
    too; `epoch` is the second.
    """
    found = recipes.read(recipe)
    dimension = found.features.dimension()
    labels = np.arange(count) % 2
    rng = np.random.default_rng(0)
    files.require_free(Path(), count * dimension * store.DTYPE.itemsize, "made-up features")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "features.npy"
        array = np.lib.format.open_memmap(path, "w+", store.DTYPE, (count, dimension))
        for start in range(0, count, store.CHUNK):
            part = labels[start : start + store.CHUNK]
            block = rng.integers(-512, 512, (len(part), dimension), np.int16) / np.float32(256)
            array[start : start + store.CHUNK] = block + part[:, None] / 100
        array.flush()
        del array
        array = np.load(path, mmap_mode="r")
        _forget(path, array)
        view = found.features.train_views[0]
        stored = rows.Rows({view: array}, {view: np.arange(count)}, labels, store.CHUNK)
        backend.start()
        ticks, total = [time.monotonic()], 0

        def tick(shown: int) -> None:
            nonlocal total
            total += shown
            if total % count == 0:
                ticks.append(time.monotonic())
                _forget(path, array)

        split = heads.Split(0, np.arange(count), np.arange(1), (view,), view)
        twice = dataclasses.replace(found.head, epochs=2)
        heads.train(twice, stored, split, found.head.seeds[0], 2, tick)
        size = path.stat().st_size
    seconds = np.diff(ticks).tolist()
    return {"seconds": seconds, "epoch": seconds[1], "bytes": size}


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
