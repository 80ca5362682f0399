"""Training: heads for each fold; every photo predicted by those that never saw it."""

import dataclasses
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import artifacts, code_keys, environment, files, progress
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import verdicts
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache
from dogs_vs_cats.modeling import checkpoints
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    from dogs_vs_cats.modeling.cross_validation import Fold


def inputs(workspace: Workspace, recipe: Recipe, engine: Engine) -> dict:
    """Return all that decides the heads, ready for a stamp; UserError for a broken verdicts.csv."""
    return {
        "features": dataclasses.asdict(recipe.features),
        "head": dataclasses.asdict(recipe.head),
        "retrain": dataclasses.asdict(recipe.retrain) if recipe.retrain else None,
        "cache": cache.folder(workspace, recipe.features, engine).name,
        "photos": files.digest(workspace.table),
        "classes": files.digest(workspace.classes),
        "verdicts": verdicts.decided(workspace),
        "code": code_keys.code_key(
            "modeling.calibration",
            "modeling.checkpoints",
            "modeling.cross_validation",
            "modeling.learning_curves",
            "modeling.heads",
            "modeling.feature_table",
            "modeling.metrics",
            "features.networks",
            "modeling.out_of_fold",
            "modeling.fine_tuning",
            "features.join",
            "features.rows",
            "features.store",
            "modeling.training",
            "modeling.training_order",
            "data.verdicts",
        ),
        "engine": engine.versions() | environment.versions("numpy", "scipy"),
    }


def summary(workspace: Workspace, recipe: Recipe, engine: Engine) -> dict | None:
    """Return the metrics of a recipe's heads if they are up to date, else None."""
    folder = workspace.model(recipe.name)
    return artifacts.fresh(folder / "stamp.json", inputs(workspace, recipe, engine))


def build(workspace: Workspace, recipe: Recipe, engine: Engine, threads: int | None = None) -> dict:
    """Train a recipe's heads; write them, their history, metrics and predictions; return metrics.

    The metrics are of the calibrated predictions, each fold's calibrated by the other folds;
    `uncalibrated_log_loss` is that of the predictions as they came. Photos are trained on as
    verdicts.csv says, and all are measured on their own labels. All of it appears at once, in
    models/<dataset>/<recipe>/. UserError if features are missing, or for a wrong verdict.
    """

    def make(folder: Path, given: dict) -> dict:
        found = _build(workspace, recipe, engine, threads, folder)
        _keep_without(workspace.model(recipe.name), folder, given)
        return found

    return put(workspace, recipe, lambda: inputs(workspace, recipe, engine), make)


def put(
    workspace: Workspace,
    recipe: Recipe | Blend,
    given_now: Callable[[], dict],
    make: Callable[[Path, dict], dict],
) -> dict:
    """Let `make` fill a folder, which becomes models/<dataset>/<recipe>/ at once; return metrics.

    `make` is given the folder, which may hold checkpoints of a run that was killed, and what
    decides its contents, as `given_now` tells; it returns the metrics.
    """
    folder = workspace.model(recipe.name)
    with files.locked(folder.with_name(f".{recipe.name}.lock"), f"heads of {recipe.name}"):
        given = given_now()
        beside = folder.with_name(f".{recipe.name}.partial")
        checkpoints.begin(beside, given)
        found = make(beside, given)
        _record(beside / "record.json", recipe, given)
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
        checkpoints.end(folder)
        outputs = sorted(folder.iterdir())
        artifacts.write(folder / "stamp.json", given, outputs, found)
        return found


def _build(
    workspace: Workspace, recipe: Recipe, engine: Engine, threads: int | None, folder: Path
) -> dict:
    import numpy as np
    import pandas as pd

    from dogs_vs_cats.data import photos
    from dogs_vs_cats.features import keras_backend
    from dogs_vs_cats.modeling import calibration, cross_validation, learning_curves, out_of_fold

    keras_backend.start(threads)
    table = photos.train(photos.read(workspace))
    classes = photos.read_classes(workspace)
    rows, decided = taught_rows_of(workspace, recipe, engine, table, classes)
    fold_of = table["fold"].to_numpy()
    done = {}  # fold -> its checkpoint
    for fold in sorted(set(fold_of.tolist())):
        checkpoint = checkpoints.read(folder, fold)
        if checkpoint is not None:
            done[fold] = checkpoint
    missing = sorted(set(fold_of.tolist()) - done.keys())
    if done:
        count = len(done) + len(missing)
        progress.say(f"train: heads of {len(done)} of {count} folds are there already")
    started = time.monotonic()
    for one in cross_validation.run(recipe, rows, fold_of, len(classes), missing):
        done[one.split.fold] = _kept(folder, recipe, one, time.monotonic() - started)
        started = time.monotonic()
    raw = np.full((len(table), len(classes)), np.nan)  # (n, classes)
    histories = []
    for fold, checkpoint in sorted(done.items()):
        raw[fold_of == fold] = checkpoint.probabilities
        for seed, history in checkpoint.histories.items():
            history = {"epoch": range(1, len(history["loss"]) + 1), **history}
            histories.append(pd.DataFrame({"fold": fold, "seed": int(seed), **history}))
    if not np.isfinite(raw).all():
        raise UserError(
            "Expected finite predictions. Received some that are not: the training diverged. "
            "Lower learning_rate in the recipe."
        )
    calibrated, by_fold = calibration.out_of_fold(rows.labels, fold_of, raw)
    final = calibration.fit(rows.labels, raw)
    groups = table["group"].tolist()
    found = calibration.report(rows.labels, groups, fold_of, raw, calibrated, by_fold)
    for fold in found["folds"]:
        fold["trained_on"] = done[fold["fold"]].trained_on
    found |= dataclasses.asdict(final)
    seconds = sum(checkpoint.seconds for checkpoint in done.values())
    found |= {"seconds": round(seconds, 1), "heads": len(histories)}
    counts = verdicts.counts(decided, table)
    if any(counts.values()):
        found["verdicts"] = counts
    history = pd.concat(histories)
    files.write_text(folder / "history.csv", history.to_csv(index=False, lineterminator="\n"))
    files.write_text(folder / "metrics.json", json.dumps(found, indent=1) + "\n")
    out_of_fold.write(folder, table, classes, raw, calibrated)
    calibration.write(folder / calibration.NAME, final, by_fold)
    learning_curves.draw(history, f"{workspace.dataset}, {recipe.name}", folder / "curves.png")
    return found


def _kept(folder: Path, recipe: Recipe, one: "Fold", seconds: float) -> checkpoints.Checkpoint:
    """Write a fold's heads, and a checkpoint, which is returned."""
    from dogs_vs_cats.modeling import heads

    digests, histories = {}, {}
    for seed, (model, history) in zip(recipe.head.seeds, one.trained, strict=True):
        path = folder / f"head-{one.split.fold}-{seed}.keras"
        heads.save(model, path)
        digests[path.name] = files.digest(path)
        histories[str(seed)] = {name: list(map(float, x)) for name, x in history.items()}
    said = one.probabilities.tolist()
    found = checkpoints.Checkpoint(digests, len(one.split.chosen), said, histories, seconds)
    checkpoints.write(folder, one.split.fold, found)
    return found


def _keep_without(old: Path, folder: Path, given: dict) -> None:
    """Copy the predictions of the same heads without verdicts, if the old folder has them.

    It has if its own heads were made of the same but for verdicts, without any, or if it was
    given the file this way itself.
    """
    from dogs_vs_cats.modeling import out_of_fold

    stamp = artifacts.read(old / "stamp.json")
    if stamp is None or not given["verdicts"]:
        return
    before = stamp["inputs"].get("verdicts")
    path = old / (out_of_fold.WITHOUT if before else out_of_fold.NAME)
    same = artifacts.fresh(old / "stamp.json", given | {"verdicts": before}) is not None
    if same and path.exists():
        shutil.copyfile(path, folder / out_of_fold.WITHOUT)


def taught_rows_of(workspace: Workspace, recipe: Recipe, engine: Engine, table, classes: list[str]):
    """Return the Rows of all training photos, corrected as verdicts.csv says, and the verdicts.

    UserError for a wrong verdict.
    """
    from dogs_vs_cats.features.join import join

    decided = verdicts.read(workspace, table, classes)
    rows = join(workspace, recipe, engine, "train", table, classes)
    taught = verdicts.taught(decided, table, classes)
    return dataclasses.replace(rows, corrected=taught), decided


def _record(path: Path, recipe: Recipe | Blend, given: dict) -> None:
    """Write all that is needed to make the heads, or the blend, again."""
    record = {
        "recipe": dataclasses.asdict(recipe),
        **given,
        "packages": environment.versions("keras", "numpy", "pandas", "pillow", "scikit-learn"),
        "commit": _commit(),
        "machine": environment.description(),
    }
    files.write_text(path, json.dumps(record, indent=1) + "\n")


def _commit() -> str:
    """Return the commit of the code, with '+' if files were changed since; '' outside git."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    if shutil.which("git") is None:
        return ""
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
