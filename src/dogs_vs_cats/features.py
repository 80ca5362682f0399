"""Features: every photo once through the frozen backbone, cached.

The cache's folder is named by all that decides its bytes. Asking whether it is up to date uses
the standard library alone.
"""

import csv
import dataclasses
import hashlib
import json
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import files, hardware, progress, stamps, workspace
from dogs_vs_cats.backbones import BACKBONES
from dogs_vs_cats.engines import Engine
from dogs_vs_cats.errors import PhotoError, UserError
from dogs_vs_cats.recipes import Features
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

ROLES = ("train", "test")
CALIBRATION = 300  # photos that int8 ranges are taken from: NNCF's own default
CALIBRATION_BATCH = 10
AHEAD = 3  # batches of photos decoded ahead of the network


@dataclass(frozen=True)
class Run:
    """How to compute: photos a batch (default: what suits the machine), processor threads.

    On a processor neither changes a byte.
    """

    batch: int | None = None
    threads: int | None = None


@dataclass
class Times:
    """Where the seconds went. decode: of all cores; compute and write: by the clock.

    waited: how long the network had nothing to do; total: from the first photo to the last
    byte, without `start`, which loads, exports and warms up the network once a run.
    """

    decode: float = 0.0
    compute: float = 0.0
    write: float = 0.0
    waited: float = 0.0
    total: float = 0.0
    start: float = 0.0


def made_from(place: Workspace, settings: Features, engine: Engine) -> dict:
    """Return all that decides the bytes of a feature, ready for JSON."""
    vino = ["vino"] if engine.name == "openvino" else []
    found = {
        **settings.bytes_decided_by(),
        "weights": BACKBONES[settings.backbone].fingerprint(),
        "code": files.code_digest("pixels", "extractor", *vino),
        "engine": dataclasses.asdict(engine),
        "packages": engine.versions(),
    }
    if engine.precision == "int8":
        found["calibration"] = hashlib.sha256("".join(calibration(place)).encode()).hexdigest()
    return found


def calibration(place: Workspace) -> dict[str, str]:
    """Return sha256 -> path of the training photos that an int8 network's ranges are taken from.

    The first by sha256: a choice by chance that stays the same when other photos come or go.
    """
    with place.table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        found = {
            row["sha256"]: row["path"]
            for row in csv.DictReader(file)
            if row["label"] and not row["problem"]
        }
    return {digest: found[digest] for digest in sorted(found)[:CALIBRATION]}


def folder(place: Workspace, settings: Features, engine: Engine) -> Path:
    """Return the cache's folder: cache/<dataset>/<backbone-size-pooling-key>."""
    text = json.dumps(made_from(place, settings, engine), sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:10]
    name = f"{settings.backbone}-{settings.size}-{settings.pooling}-{key}"
    return place.cache / name


def stores(place: Workspace, settings: Features, engine: Engine) -> dict[tuple[str, str], Path]:
    """Return (role, view) -> the folder of its store, for all that a recipe needs."""
    base = folder(place, settings, engine)
    return {
        (role, view): base / f"{role}-{view}" for role in ROLES for view in settings.views(role)
    }


def summary(place: Workspace, settings: Features, engine: Engine) -> dict | None:
    """Return what is cached if all of it is up to date for photos.csv, else None."""
    inputs = {"photos": files.digest(place.table)}
    found = [
        stamps.fresh(path / "stamp.json", inputs)
        for path in stores(place, settings, engine).values()
    ]
    if None in found:
        return None
    return {"rows": sum(one["rows"] for one in found), "bytes": sum(one["bytes"] for one in found)}


def build(place: Workspace, settings: Features, engine: Engine, run: Run) -> dict:
    """Compute what is missing of a recipe's features; return how much, how fast.

    UserError if the disk is too small, or a photo is no longer what photos.csv says.
    """
    base = folder(place, settings, engine)
    with files.locked(base / ".lock", f"features in {base}"):
        return _build(place, settings, engine, run, base)


def _build(place: Workspace, settings: Features, engine: Engine, run: Run, base: Path) -> dict:
    from dogs_vs_cats import photos, store

    table = photos.read(place)
    dimension = settings.dimension()
    roles = {"train": photos.train(table), "test": photos.test(table)}
    roles = {role: rows[rows["problem"] == ""] for role, rows in roles.items()}
    inputs = {"photos": files.digest(place.table)}
    wanted = {
        key: path
        for key, path in stores(place, settings, engine).items()
        if stamps.fresh(path / "stamp.json", inputs) is None
    }
    paths = {row.sha256: row.path for rows in roles.values() for row in rows.itertuples()}
    digests = {role: list(dict.fromkeys(rows["sha256"])) for role, rows in roles.items()}
    _say_size(base, wanted, digests, dimension)
    files.write_text(
        base / "key.json", json.dumps(made_from(place, settings, engine), indent=1) + "\n"
    )
    drafts, times = {}, Times()
    try:
        for (role, view), path in wanted.items():
            drafts[role, view] = store.Draft(path, digests[role], dimension)
        computed = _fill(place, drafts, paths, settings, engine, run, times)
        started = time.monotonic()
        for (role, view), draft in drafts.items():
            draft.finish()
            array = wanted[role, view] / "features.npy"
            stamps.write(
                store.stamp(wanted[role, view]),
                inputs,
                [array],
                {"rows": len(digests[role]), "bytes": array.stat().st_size},
            )
        times.write += time.monotonic() - started
        times.total += time.monotonic() - started
    finally:
        for draft in drafts.values():
            draft.close()
    return {"computed": computed, **dataclasses.asdict(times), "folder": str(base)}


def _say_size(base: Path, wanted: dict, digests: dict, dimension: int) -> None:
    """Print the size on the disk before the work; UserError if there is no room for it."""
    rows = sum(len(digests[role]) for role, _ in wanted)
    size = rows * dimension * 2
    photos = sum(len(digests[role]) for role in {role for role, _ in wanted})
    progress.say(
        f"features: {photos:,} photos, {rows:,} views of them, {dimension:,} numbers each: "
        f"{files.size_text(size)} on disk in {base}",
    )
    # What an unfinished run wrote is in place; a finished store is replaced only at the end.
    here = sum(files.size_of(path.with_name(path.name + ".partial")) for path in wanted.values())
    files.require_free(base, max(0, size - here), "the features")


def _fill(
    place: Workspace,
    drafts: dict,
    paths: dict[str, str],
    settings: Features,
    engine: Engine,
    run: Run,
    times: Times,
) -> int:
    """Compute the missing rows of all drafts, decoding each photo once for all its views.

    Three things happen at once: threads decode photos, others call the network, and this one
    writes what is computed. Return how many rows were missing.
    """
    jobs: dict[tuple[str, str], list] = {}  # (role, sha256) -> the (role, view, row) it is for
    total = 0
    for (role, view), draft in drafts.items():
        for row in draft.missing():
            jobs.setdefault((role, draft.digests[row]), []).append((role, view, row))
            total += 1
    if not jobs:
        return 0
    batch = run.batch or engine.batch(settings.size)
    started = time.monotonic()
    extract = extractor_of(place, settings, engine, batch, run.threads)
    times.start = time.monotonic() - started
    size = sum(len(draft.digests) for draft in drafts.values())
    wanted = [(digest, needs) for (_, digest), needs in jobs.items()]
    steps = _steps(wanted, paths, settings, batch, run.threads, times)
    started = time.monotonic()
    with (
        progress.bar(size, "features", " views", done=size - total) as bar,
        closing(steps),
        closing(_computed(extract, steps, batch, times)) as results,
    ):
        for rows, vectors in results:
            begun = time.monotonic()
            for (role, view, row), vector in zip(rows, vectors, strict=True):
                drafts[role, view].put(row, vector)
            bar.update(len(rows))
            times.write += time.monotonic() - begun
    times.total = time.monotonic() - started
    times.waited = max(0.0, times.total - times.compute / extract.streams)
    return total


def extractor_of(
    place: Workspace,
    settings: Features,
    engine: Engine,
    batch: int,
    threads: int | None,
):
    """Return the engine's extractor, warm: its first batch, which compiles it, is done.

    It has `run`, (batch, size, size, 3) uint8 RGB -> (batch, dimension) float32, and `streams`.
    """
    import numpy as np

    if engine.name == "openvino":
        from dogs_vs_cats import vino

        def photos() -> list[np.ndarray]:
            chosen = calibration(place)
            # Whole batches of one size, whatever the run's is: of few photos some come again.
            count = -(-len(chosen) // CALIBRATION_BATCH) * CALIBRATION_BATCH
            wanted = [(digest, []) for digest in islice(cycle(chosen), count)]
            size, step = settings.size, CALIBRATION_BATCH
            decoded = _decoded(wanted, chosen, size, step, threads, Times())
            return [images for _, images in decoded]

        base = folder(place, settings, engine)
        extract = vino.build(settings, engine, base, photos, batch, threads)
    else:
        from dogs_vs_cats import extractor, weights

        tensors = weights.load(settings.backbone, workspace.weights_folder())
        extract = extractor.build(settings, engine, tensors, threads)
    extract.run(np.zeros((batch, settings.size, settings.size, 3), np.uint8))
    return extract


def _steps(
    jobs: list, paths: dict[str, str], settings: Features, batch: int, threads, times: Times
) -> Iterator[tuple]:
    """Yield (the (role, view, row) of each result, their photos (n, size, size, 3) uint8)."""
    from dogs_vs_cats import extractor

    for group, images in _decoded(jobs, paths, settings.size, batch, threads, times):
        for view in settings.views("train"):
            rows = [[need for need in needs if need[1] == view] for _, needs in group]
            chosen = [i for i, found in enumerate(rows) if found]
            if not chosen:
                continue
            shown = images if len(chosen) == len(images) else images[chosen]
            yield [rows[i] for i in chosen], extractor.show(shown, view)


def _computed(extract, steps: Iterator[tuple], batch: int, times: Times) -> Iterator[tuple]:
    """Yield (the (role, view, row) of each vector, the vectors (n, dimension) float32), in order.

    The network works on in threads of its own while the last results are taken; one batch more
    than it can work on at once lies ready for it.
    """
    pool = ThreadPoolExecutor(extract.streams)
    under_way: deque = deque()

    def forward(images: "np.ndarray") -> tuple:
        begun = time.monotonic()
        return _forward(extract.run, images, batch), time.monotonic() - begun

    def oldest() -> tuple:
        rows, future = under_way.popleft()
        vectors, seconds = future.result()
        times.compute += seconds
        # A photo may be there twice, under two ids: both get its vector.
        found = [(row, v) for needs, v in zip(rows, vectors, strict=True) for row in needs]
        return [row for row, _ in found], [vector for _, vector in found]

    try:
        for rows, images in steps:
            under_way.append((rows, pool.submit(forward, images)))
            if len(under_way) > extract.streams:
                yield oldest()
        while under_way:
            yield oldest()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _forward(run, images: "np.ndarray", batch: int) -> "np.ndarray":
    """Return the features of up to `batch` photos; the network always sees a full batch.

    One shape means one compiled graph; the blank photos that fill it are dropped again.
    """
    import numpy as np

    if len(images) == batch:
        return run(images)
    full = np.zeros((batch, *images.shape[1:]), images.dtype)
    full[: len(images)] = images
    return run(full)[: len(images)]


def _decoded(
    jobs: list, paths: dict[str, str], size: int, batch: int, threads: int | None, times: Times
) -> Iterator[tuple]:
    """Yield (jobs, (n, size, size, 3) uint8), decoding ahead in threads; a job is (sha256, ...).

    At most AHEAD batches are held, so memory does not grow with the number of photos.
    """
    import numpy as np

    from dogs_vs_cats import pixels

    def decode(digest: str) -> tuple:
        begun = time.thread_time()
        return pixels.pixels(Path(paths[digest]), size, digest), time.thread_time() - begun

    pool = ThreadPoolExecutor(threads or hardware.cores())
    groups = [jobs[i : i + batch] for i in range(0, len(jobs), batch)]
    ahead: deque = deque()
    try:
        for number, group in enumerate(groups):
            for later in groups[number + len(ahead) : number + AHEAD]:
                ahead.append([pool.submit(decode, digest) for digest, _ in later])
            images = np.empty((len(group), size, size, 3), np.uint8)
            for i, (future, (digest, _)) in enumerate(zip(ahead.popleft(), group, strict=True)):
                images[i], seconds = _image(future, paths[digest])
                times.decode += seconds
            yield group, images
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _image(future, path: str) -> tuple["np.ndarray", float]:
    try:
        return future.result()
    except PhotoError as error:
        raise UserError(
            f"Expected {path} as `make data` found it. Received: {error}. "
            "Run `make data` again, with the same SOURCE."
        ) from error


def load(place: Workspace, settings: Features, engine: Engine, role: str) -> dict:
    """Return view -> Stored features of the `train` or `test` photos, every chunk verified."""
    from dogs_vs_cats import store

    return {
        view: store.load(path)
        for (one, view), path in stores(place, settings, engine).items()
        if one == role
    }
