"""Features: every photo once through the frozen backbone, cached.

The cache's folder is named by all that decides its bytes. Asking whether it is up to date uses
the standard library alone.
"""

import csv
import dataclasses
import hashlib
import json
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import artifacts, code_keys, files, progress
from dogs_vs_cats.config import backbones
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.workspace import Workspace, weights_folder

if TYPE_CHECKING:
    from dogs_vs_cats.features.extractor import Extract
    from dogs_vs_cats.features.pipeline import Times

ROLES = ("train", "test")
CALIBRATION = 300  # photos that int8 ranges are taken from: NNCF's own default
CALIBRATION_BATCH = 10


@dataclass(frozen=True)
class Run:
    """How to compute: photos a batch (default: what suits the machine), processor threads.

    On a processor neither changes a byte, but for a batch of one photo with JAX or torch.
    """

    batch: int | None = None
    threads: int | None = None


def made_from(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> dict:
    """Return all that decides the bytes of a feature, ready for JSON."""
    vino = ["features.openvino_extractor"] if engine.name == "openvino" else []
    found = {
        **settings.bytes_decided_by(),
        "weights": backbones.table()[settings.backbone].fingerprint(),
        "code": code_keys.code_key(
            "data.pixels",
            "config.views",
            "features.networks",
            "features.extractor",
            "features.store",
            *vino,
        ),
        "engine": dataclasses.asdict(engine),
        "packages": engine.versions(),
    }
    if engine.precision == "int8":
        found["calibration"] = hashlib.sha256("".join(calibration(workspace)).encode()).hexdigest()
    return found


def calibration(workspace: Workspace) -> dict[str, str]:
    """Return sha256 -> path of the training photos that an int8 network's ranges are taken from.

    The first by sha256: a choice by chance that stays the same when other photos come or go.
    """
    with workspace.table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        found = {
            row["sha256"]: row["path"]
            for row in csv.DictReader(file)
            if row["label"] and not row["problem"]
        }
    return {digest: found[digest] for digest in sorted(found)[:CALIBRATION]}


def folder(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> Path:
    """Return the cache's folder: cache/<dataset>/<backbone-size-pooling-key>."""
    text = json.dumps(made_from(workspace, settings, engine), sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:10]
    name = f"{settings.backbone}-{settings.size}-{settings.pooling}-{key}"
    return workspace.cache / name


def stores(
    workspace: Workspace, settings: FeatureSettings, engine: Engine
) -> dict[tuple[str, str], Path]:
    """Return (role, view) -> the folder of its store, for all that a recipe needs."""
    base = folder(workspace, settings, engine)
    return {key: base / name for key, name in names(settings).items()}


def names(settings: FeatureSettings) -> dict[tuple[str, str], str]:
    """Return (role, view) -> the name of its store's folder, for all that a recipe needs."""
    return {(role, view): f"{role}-{view}" for role in ROLES for view in settings.views(role)}


def summary(workspace: Workspace, settings: FeatureSettings, engine: Engine) -> dict | None:
    """Return what is cached if all of it is up to date for photos.csv, else None."""
    inputs = {"photos": files.digest(workspace.table)}
    found = [
        artifacts.fresh(path / "stamp.json", inputs)
        for path in stores(workspace, settings, engine).values()
    ]
    if None in found:
        return None
    return {"rows": sum(one["rows"] for one in found), "bytes": sum(one["bytes"] for one in found)}


def build(
    workspace: Workspace,
    settings: FeatureSettings,
    engine: Engine,
    run: Run,
    roles: tuple[str, ...] = ROLES,
) -> dict:
    """Compute what is missing of a recipe's features, of these roles; return how much, how fast.

    `computed` is store -> rows; the times are as pipeline.Times has them, in seconds.

    UserError if the disk is too small, or a photo is no longer what photos.csv says.
    """
    base = folder(workspace, settings, engine)
    with files.locked(base / ".lock", f"features in {base}"):
        return _build(workspace, settings, engine, run, base, roles)


def _build(
    workspace: Workspace,
    settings: FeatureSettings,
    engine: Engine,
    run: Run,
    base: Path,
    chosen: tuple[str, ...],
) -> dict:
    from dogs_vs_cats.data import photos
    from dogs_vs_cats.features import store
    from dogs_vs_cats.features.pipeline import Times

    table = photos.read(workspace)
    dimension = settings.dimension()
    roles = {"train": photos.train(table), "test": photos.test(table)}
    roles = {role: rows[rows["problem"] == ""] for role, rows in roles.items()}
    inputs = {"photos": files.digest(workspace.table)}
    wanted = {
        key: path
        for key, path in stores(workspace, settings, engine).items()
        if key[0] in chosen and artifacts.fresh(path / "stamp.json", inputs) is None
    }
    paths = {row.sha256: row.path for rows in roles.values() for row in rows.itertuples()}
    digests = {role: list(dict.fromkeys(rows["sha256"])) for role, rows in roles.items()}
    _say_size(base, wanted, digests, dimension)
    files.write_text(
        base / "key.json", json.dumps(made_from(workspace, settings, engine), indent=1) + "\n"
    )
    drafts, times = {}, Times()
    try:
        for (role, view), path in wanted.items():
            drafts[role, view] = store.Draft(path, digests[role], dimension)
        computed = _fill(workspace, drafts, paths, settings, engine, run, times)
        started = time.monotonic()
        for (role, view), draft in drafts.items():
            draft.finish()
            array = wanted[role, view] / "features.npy"
            artifacts.write(
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
    counts = {wanted[key].name: count for key, count in computed.items()}
    return {"computed": counts, **dataclasses.asdict(times), "folder": str(base)}


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
    workspace: Workspace,
    drafts: dict,
    paths: dict[str, str],
    settings: FeatureSettings,
    engine: Engine,
    run: Run,
    times: "Times",
) -> dict[tuple[str, str], int]:
    """Compute the missing rows of all drafts; return how many of each were missing."""
    from dogs_vs_cats.features import pipeline

    # (role, sha256) -> view -> (role, view, row): one role after the other, as the stores are
    # filled; a photo that is in both is computed for each.
    needs: dict[tuple[str, str], dict] = {}
    missing = {key: draft.missing() for key, draft in drafts.items()}
    for (role, view), draft in drafts.items():
        for row in missing[role, view]:
            needs.setdefault((role, draft.digests[row]), {})[view] = role, view, row
    jobs = [pipeline.Job(digest, Path(paths[digest]), x) for (_, digest), x in needs.items()]
    counts = {key: len(rows) for key, rows in missing.items()}
    total = sum(counts.values())
    if not jobs:
        return counts
    batch = run.batch or engine.batch(settings.size)
    started = time.monotonic()
    extract = extractor_of(workspace, settings, engine, batch, run.threads)
    times.start = time.monotonic() - started
    size = sum(len(draft.digests) for draft in drafts.values())
    started = time.monotonic()
    results = pipeline.computed(extract, jobs, settings.size, batch, run.threads, times)
    with progress.bar(size, "features", " views", done=size - total) as bar, closing(results):
        for (role, view, row), vector in results:
            begun = time.monotonic()
            drafts[role, view].put(row, vector)
            bar.update()
            times.write += time.monotonic() - begun
    times.total = time.monotonic() - started
    times.waited = max(0.0, times.total - times.compute / extract.streams)
    return counts


def extractor_of(
    workspace: Workspace,
    settings: FeatureSettings,
    engine: Engine,
    batch: int,
    threads: int | None,
) -> "Extract":
    """Return the engine's extractor, warm: its first batch, which compiles it, is done.

    It is for batches of exactly `batch` photos.
    """
    import numpy as np

    if engine.name == "openvino":
        from dogs_vs_cats.features import openvino_extractor, pipeline

        def photos() -> list[np.ndarray]:
            chosen = calibration(workspace)
            # Whole batches of one size, whatever the run's is: of few photos some come again.
            step = CALIBRATION_BATCH
            jobs = [pipeline.Job(x, Path(path), {"plain": x}) for x, path in chosen.items()]
            jobs = list(islice(cycle(jobs), -(-len(jobs) // step) * step))
            decoded = pipeline.decoded(jobs, settings.size, step, threads, pipeline.Times())
            return [images["plain"] for _, images in decoded]

        base = folder(workspace, settings, engine)
        extract = openvino_extractor.build(settings, engine, base, photos, batch, threads)
    else:
        from dogs_vs_cats.features import extractor, weights

        tensors = weights.load(settings.backbone, weights_folder())
        extract = extractor.build(settings, engine, tensors, threads)
    extract.run(np.zeros((batch, settings.size, settings.size, 3), np.uint8))
    return extract


def load(workspace: Workspace, settings: FeatureSettings, engine: Engine, role: str) -> dict:
    """Return view -> Stored features of the `train` or `test` photos, every chunk verified."""
    from dogs_vs_cats.features import store

    paths = stores(workspace, settings, engine).items()
    wanted = {view: path for (one, view), path in paths if one == role}
    found = {}
    # Maps may be many gigabytes, and all of them are read.
    with progress.bar(len(wanted), f"reading {role} features", " views", delay=2) as bar:
        for view, path in wanted.items():
            found[view] = store.load(path)
            bar.update()
    return found
