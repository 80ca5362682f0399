"""Features: every photo once through the frozen backbone, cached.

The cache's folder is named by all that decides its bytes. Asking whether it is up to date uses
the standard library alone.
"""

import hashlib
import json
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import files, hardware, progress, stamps, workspace
from dogs_vs_cats.backbones import BACKBONES
from dogs_vs_cats.errors import PhotoError, UserError
from dogs_vs_cats.recipes import Features
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

ROLES = ("train", "test")
AHEAD = 3  # batches of photos decoded ahead of the network


@dataclass(frozen=True)
class Run:
    """How to compute, which must not change a byte: photos a batch, processor threads."""

    batch: int = 32
    threads: int | None = None


def made_from(settings: Features, precision: str) -> dict:
    """Return all that decides the bytes of a feature, ready for JSON."""
    return {
        **settings.bytes_decided_by(),
        "weights": BACKBONES[settings.backbone].fingerprint(),
        "code": files.code_digest("pixels", "extractor"),
        "precision": precision,
        "engine": engine(),
    }


def engine() -> dict[str, str]:
    """Return the packages that compute features, and their versions."""
    return hardware.versions("keras", "pillow") | hardware.backend_version()


def folder(place: Workspace, settings: Features, precision: str) -> Path:
    """Return the cache's folder: cache/<dataset>/<backbone-size-pooling-key>."""
    text = json.dumps(made_from(settings, precision), sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:10]
    name = f"{settings.backbone}-{settings.size}-{settings.pooling}-{key}"
    return place.cache / name


def stores(place: Workspace, settings: Features, precision: str) -> dict[tuple[str, str], Path]:
    """Return (role, view) -> the folder of its store, for all that a recipe needs."""
    base = folder(place, settings, precision)
    return {
        (role, view): base / f"{role}-{view}" for role in ROLES for view in settings.views(role)
    }


def summary(place: Workspace, settings: Features, precision: str) -> dict | None:
    """Return what is cached if all of it is up to date for photos.csv, else None."""
    inputs = {"photos": files.digest(place.table)}
    found = [
        stamps.fresh(path / "stamp.json", inputs)
        for path in stores(place, settings, precision).values()
    ]
    if None in found:
        return None
    return {"rows": sum(one["rows"] for one in found), "bytes": sum(one["bytes"] for one in found)}


def build(place: Workspace, settings: Features, precision: str, run: Run) -> dict:
    """Compute what is missing of a recipe's features; return how much, how fast.

    UserError if the disk is too small, or a photo is no longer what photos.csv says.
    """
    base = folder(place, settings, precision)
    with files.locked(base / ".lock", f"features in {base}"):
        return _build(place, settings, precision, run, base)


def _build(place: Workspace, settings: Features, precision: str, run: Run, base: Path) -> dict:
    from dogs_vs_cats import photos, store

    table = photos.read(place)
    dimension = BACKBONES[settings.backbone].dimension(
        settings.tap, settings.pooling, settings.size
    )
    roles = {"train": photos.train(table), "test": photos.test(table)}
    roles = {role: rows[rows["problem"] == ""] for role, rows in roles.items()}
    inputs = {"photos": files.digest(place.table)}
    wanted = {
        key: path
        for key, path in stores(place, settings, precision).items()
        if stamps.fresh(path / "stamp.json", inputs) is None
    }
    paths = {row.sha256: row.path for rows in roles.values() for row in rows.itertuples()}
    digests = {role: list(dict.fromkeys(rows["sha256"])) for role, rows in roles.items()}
    _say_size(base, wanted, digests, dimension)
    files.write_text(base / "key.json", json.dumps(made_from(settings, precision), indent=1) + "\n")
    started = time.monotonic()
    drafts = {}
    try:
        for (role, view), path in wanted.items():
            drafts[role, view] = store.Draft(path, digests[role], dimension)
        done = _fill(drafts, paths, settings, precision, run)
        for (role, view), draft in drafts.items():
            draft.finish()
            array = wanted[role, view] / "features.npy"
            stamps.write(
                store.stamp(wanted[role, view]),
                inputs,
                [array],
                {"rows": len(digests[role]), "bytes": array.stat().st_size},
            )
    finally:
        for draft in drafts.values():
            draft.close()
    return {**done, "seconds": time.monotonic() - started, "folder": str(base)}


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
    drafts: dict, paths: dict[str, str], settings: Features, precision: str, run: Run
) -> dict:
    """Compute the missing rows of all drafts, decoding each photo once for all its views."""
    jobs: dict[tuple[str, str], list] = {}  # (role, sha256) -> the (role, view, row) it is for
    total = 0
    for (role, view), draft in drafts.items():
        for row in draft.missing():
            jobs.setdefault((role, draft.digests[row]), []).append((role, view, row))
            total += 1
    if not jobs:
        return {"computed": 0, "waited": 0.0}
    from dogs_vs_cats import extractor, weights

    tensors = weights.load(settings.backbone, workspace.weights_folder())
    extract = extractor.build(settings, precision, tensors, run.threads)
    size = sum(len(draft.digests) for draft in drafts.values())
    waited = 0.0
    with (
        progress.bar(size, "features", " views", done=size - total) as bar,
        closing(_batches(list(jobs.items()), paths, settings.size, run)) as batches,
    ):
        for batch, images, wait in batches:
            waited += wait
            for view in settings.views("train"):
                chosen = [
                    i for i, (_, needs) in enumerate(batch) if any(v == view for _, v, _ in needs)
                ]
                if not chosen:
                    continue
                vectors = _forward(extract, extractor.show(images[chosen], view), run.batch)
                for i, vector in zip(chosen, vectors, strict=True):
                    for role, name, row in batch[i][1]:
                        if name == view:
                            drafts[role, view].put(row, vector)
                bar.update(len(chosen))
    return {"computed": total, "waited": waited}


def _forward(extract, images: "np.ndarray", batch: int) -> "np.ndarray":
    """Return the features of up to `batch` photos; the network always sees a full batch.

    One shape means one compiled graph; the blank photos that fill it are dropped again.
    """
    import numpy as np

    full = np.zeros((batch, *images.shape[1:]), images.dtype)
    full[: len(images)] = images
    return extract(full)[: len(images)]


def _batches(jobs: list, paths: dict[str, str], size: int, run: Run) -> Iterator[tuple]:
    """Yield (jobs, (n, size, size, 3) uint8, seconds waited), decoding ahead in threads.

    At most AHEAD batches are held, so memory does not grow with the number of photos.
    """
    import numpy as np

    from dogs_vs_cats import pixels

    pool = ThreadPoolExecutor(run.threads or hardware.cores())
    groups = [jobs[i : i + run.batch] for i in range(0, len(jobs), run.batch)]
    ahead: deque = deque()
    try:
        for number in range(len(groups)):
            for group in groups[number + len(ahead) : number + AHEAD]:
                ahead.append(
                    [pool.submit(pixels.pixels, Path(paths[d]), size, d) for (_, d), _ in group]
                )
            started = time.monotonic()
            futures = ahead.popleft()
            images = [
                _image(f, paths[d]) for f, ((_, d), _) in zip(futures, groups[number], strict=True)
            ]
            yield groups[number], np.stack(images), time.monotonic() - started
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _image(future, path: str) -> "np.ndarray":
    try:
        return future.result()
    except PhotoError as error:
        raise UserError(
            f"Expected {path} as `make data` found it. Received: {error}. "
            "Run `make data` again, with the same SOURCE."
        ) from error


def load(place: Workspace, settings: Features, precision: str, role: str) -> dict:
    """Return view -> Stored features of the `train` or `test` photos, every chunk verified."""
    from dogs_vs_cats import store

    return {
        view: store.load(path)
        for (one, view), path in stores(place, settings, precision).items()
        if one == role
    }
