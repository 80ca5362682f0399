"""Training: heads for each fold; every photo predicted by those that never saw it."""

import dataclasses
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dogs_vs_cats import artifacts, code_keys, environment, files, progress
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import KerasHead, Recipe
from dogs_vs_cats.data import verdicts
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache
from dogs_vs_cats.modeling import checkpoints, evaluation, model_folder
from dogs_vs_cats.modeling.head_code import HEAD_CODE
from dogs_vs_cats.modeling.results import TrainedHeads, TrainingResult
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from dogs_vs_cats.data.verdicts import Verdict
    from dogs_vs_cats.features.rows import Rows
    from dogs_vs_cats.modeling.cross_validation import Fold


# Modules that decide heads, their calibration and predictions. No metrics, curves or texts.
CODE = (
    "data.verdicts",
    "features.join",
    "features.rows",
    "features.storage_type",
    "modeling.calibration",
    "modeling.checkpoints",
    "modeling.cross_validation",
    "modeling.heads.prediction",
    "modeling.heads.protocol",
    "modeling.heads.standardisation",
    "modeling.out_of_fold",
    "modeling.training",
)
# Those of a recipe with a [retrain]; those of each kind of head are in head_code.py.
FINE_TUNING_CODE = ("features.networks", "modeling.fine_tuning")


def artifact(workspace: Workspace, recipe: Recipe, engine: Engine) -> Artifact[TrainedHeads]:
    """Return the heads of a recipe, fresh or not; UserError for a broken verdicts.csv."""
    code = (*CODE, *HEAD_CODE[recipe.head.kind], *(FINE_TUNING_CODE if recipe.retrain else ()))
    inputs = {
        "features": dataclasses.asdict(recipe.features),
        "head": dataclasses.asdict(recipe.head),
        "retrain": dataclasses.asdict(recipe.retrain) if recipe.retrain else None,
        "cache": cache.identity(workspace, recipe.features, engine),
        "photos": files.digest(workspace.table),
        "classes": files.digest(workspace.classes),
        "verdicts": verdicts.changes(workspace),
        "code": code_keys.code_key(*code),
        "engine": engine.versions() | environment.versions("numpy", "scipy"),
    }
    return Artifact(workspace.model(recipe.name) / "stamp.json", inputs, TrainedHeads)


def fresh(workspace: Workspace, recipe: Recipe, engine: Engine) -> TrainingResult | None:
    """Return what a recipe's heads are worth if they are up to date, else None."""
    if artifact(workspace, recipe, engine).fresh() is None:
        return None
    return _result(workspace.model(recipe.name))


def _result(folder: Path) -> TrainingResult:
    result = evaluation.read(folder)
    assert isinstance(result, TrainingResult)
    return result


def build(
    workspace: Workspace, recipe: Recipe, engine: Engine, threads: int | None = None
) -> TrainingResult:
    """Train a recipe's heads; write them, their history and predictions; return their metrics.

    Photos are trained on as verdicts.csv says, and all are measured on their own labels. All files
    appear at once, in models/<dataset>/<recipe>/. UserError if features are missing, or for a wrong
    verdict.
    """
    folder = workspace.model(recipe.name)

    def fill(partial: Path, wanted: Artifact[TrainedHeads]) -> TrainedHeads:
        result = _train(workspace, recipe, engine, threads, partial)
        _keep_without(folder, partial, wanted)
        return result

    model_folder.make(workspace, recipe, lambda: artifact(workspace, recipe, engine), fill)
    return _result(folder)


def _train(
    workspace: Workspace, recipe: Recipe, engine: Engine, threads: int | None, folder: Path
) -> TrainedHeads:
    import numpy as np

    from dogs_vs_cats.data import photos
    from dogs_vs_cats.features import keras_backend
    from dogs_vs_cats.modeling import calibration, out_of_fold

    if isinstance(recipe.head, KerasHead):
        keras_backend.start(threads)
    table = photos.train(photos.read(workspace))
    classes = photos.read_classes(workspace)
    rows, decided = training_rows(workspace, recipe, engine, table, classes)
    fold_of = table["fold"].to_numpy()
    folds = _folds(recipe, rows, fold_of, len(classes), folder)
    raw = np.full((len(table), len(classes)), np.nan)  # (n, classes)
    for fold, checkpoint in folds.items():
        raw[fold_of == fold] = checkpoint.probabilities
    if not np.isfinite(raw).all():
        raise UserError(
            "The training diverged: some predictions are not finite. Lower learning_rate in the "
            "recipe."
        )
    calibrated, by_fold = calibration.out_of_fold(rows.labels, fold_of, raw)
    out_of_fold.write(folder, table, classes, raw, calibrated)
    calibration.write(folder / calibration.NAME, calibration.fit(rows.labels, raw), by_fold)
    _write_history(folder / "history.csv", folds)
    counts = verdicts.counts(decided, table)
    return TrainedHeads(
        heads=sum(len(checkpoint.heads) for checkpoint in folds.values()),
        seconds=round(sum(checkpoint.seconds for checkpoint in folds.values()), 1),
        trained_on={fold: checkpoint.trained_on for fold, checkpoint in folds.items()},
        verdicts=counts if any(counts.values()) else {},
    )


def _folds(
    recipe: Recipe, rows: "Rows", fold_of: "np.ndarray", classes: int, folder: Path
) -> dict[int, checkpoints.Checkpoint]:
    """Return fold -> its checkpoint, in order; folds without one are trained."""
    from dogs_vs_cats.modeling import cross_validation

    numbers = sorted(set(fold_of.tolist()))
    stored = {fold: checkpoints.read(folder, fold) for fold in numbers}
    done = {fold: checkpoint for fold, checkpoint in stored.items() if checkpoint is not None}
    missing = [fold for fold in numbers if fold not in done]
    if done:
        progress.say(f"train: heads of {len(done)} of {len(numbers)} folds are there already")
    started = time.monotonic()
    for trained in cross_validation.run(recipe, rows, fold_of, classes, missing):
        seconds = time.monotonic() - started
        done[trained.split.fold] = _saved(folder, recipe, trained, seconds)
        started = time.monotonic()
    return dict(sorted(done.items()))


def _saved(folder: Path, recipe: Recipe, trained: "Fold", seconds: float) -> checkpoints.Checkpoint:
    """Write a fold's heads, and its checkpoint, which is returned."""
    from dogs_vs_cats.modeling import heads

    digests, histories = {}, {}
    for seed, head in zip(recipe.head.seeds, trained.heads, strict=True):
        path = folder / heads.file_name(recipe.head, trained.split.fold, seed)
        head.save(path)
        digests[path.name] = files.digest(path)
        histories[str(seed)] = {name: list(map(float, x)) for name, x in head.history.items()}
    checkpoint = checkpoints.Checkpoint(
        digests, len(trained.split.chosen), trained.probabilities.tolist(), histories, seconds
    )
    checkpoints.write(folder, trained.split.fold, checkpoint)
    return checkpoint


def _write_history(path: Path, folds: dict[int, checkpoints.Checkpoint]) -> None:
    """Write losses and accuracies of each head, a row for each epoch; nothing without epochs."""
    import pandas as pd

    tables = [
        pd.DataFrame({"fold": fold, "seed": int(seed), "epoch": epochs, **history})
        for fold, checkpoint in folds.items()
        for seed, history in checkpoint.histories.items()
        if history and (epochs := range(1, len(history["loss"]) + 1))
    ]
    if tables:
        files.write_text(path, pd.concat(tables).to_csv(index=False, lineterminator="\n"))


def _keep_without(old: Path, new: Path, wanted: Artifact[TrainedHeads]) -> None:
    """Copy the predictions that the same heads made without verdicts, if the old folder has them.

    It has them if its own heads differ by verdicts alone: as their predictions if they were trained
    without any, else if it was given the file in this way itself.
    """
    from dogs_vs_cats.modeling import out_of_fold

    stamp = artifacts.read(old / "stamp.json")
    if stamp is None or not wanted.inputs["verdicts"]:
        return
    before = stamp["inputs"].get("verdicts")
    path = old / (out_of_fold.WITHOUT if before else out_of_fold.NAME)
    same = dataclasses.replace(wanted, inputs=wanted.inputs | {"verdicts": before})
    if same.fresh() is not None and path.exists():
        shutil.copyfile(path, new / out_of_fold.WITHOUT)


def training_rows(
    workspace: Workspace, recipe: Recipe, engine: Engine, table: "pd.DataFrame", classes: list[str]
) -> "tuple[Rows, dict[str, Verdict]]":
    """Return the Rows of all training photos, corrected as verdicts.csv says, and the verdicts.

    table: the training photos in photos.csv. UserError for a wrong verdict.
    """
    from dogs_vs_cats.features.join import join

    decided = verdicts.read(workspace, table, classes)
    rows = join(workspace, recipe, engine, "train", table, classes)
    corrected = verdicts.corrected_labels(decided, table, classes)
    return dataclasses.replace(rows, corrected=corrected), decided
