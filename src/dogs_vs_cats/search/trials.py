"""Trials: the out-of-fold log loss of heads with other settings.

Each trial is written to a journal, so that an interrupted search resumes where it stopped.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats import code_keys, files
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import HeadSettings, Recipe
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import calibration, cross_validation, training
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.workspace import Workspace

DECIMALS = 6  # of the losses, since a journal holds one for each photo of each trial
CODE = ("search.trials",)


@dataclass(frozen=True)
class SearchPhotos:
    """The photos of a search, and the folds that it compares heads on.

    ids, groups: n strings. rows: the features of the n photos. fold_of: (n,) int. classes: how
    many there are.
    """

    ids: list[str]
    groups: list[str]
    rows: Rows
    fold_of: np.ndarray
    classes: int

    def without(self, fold: int) -> "SearchPhotos":
        """Return the photos of the other folds, with no label of this fold."""
        kept = np.flatnonzero(self.fold_of != fold)
        index = {view: rows[kept] for view, rows in self.rows.index.items()}
        labels, corrected = self.rows.labels[kept], self.rows.targets[kept]
        return SearchPhotos(
            [self.ids[i] for i in kept],
            [self.groups[i] for i in kept],
            dataclasses.replace(self.rows, index=index, labels=labels, corrected=corrected),
            self.fold_of[kept],
            self.classes,
        )

    def digest(self) -> str:
        """Return the sha256 of the photos' ids and folds."""
        lines = zip(self.ids, self.fold_of.tolist(), strict=True)
        text = "".join(f"{photo}\0{fold}\n" for photo, fold in lines)
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Trial:
    """A head's out-of-fold predictions, measured. Both fields are None if training diverged.

    losses: (n,) float64, the log loss of each photo after calibration, in nats. calibration:
    fitted on all predictions of the trial.
    """

    losses: np.ndarray | None
    calibration: Calibration | None


def require_finite(trial: Trial) -> np.ndarray:
    """Return the losses of a trial; UserError if its training diverged."""
    if trial.losses is None:
        raise UserError(
            "Training diverged: some predictions are not finite. Lower learning_rate in the recipe."
        )
    return trial.losses


class Trials:
    """Trials of a recipe with other heads. made: how many were not in the journal."""

    def __init__(
        self,
        workspace: Workspace,
        recipe: Recipe,
        engine: Engine,
        journal: Path,
        threads: int | None,
    ) -> None:
        self.recipe, self.journal, self.threads = recipe, journal, threads
        self.inputs = {
            **training.artifact(workspace, recipe, engine).inputs,
            "trials": code_keys.code_key(*CODE),
        }
        self.known = _read(journal)
        self.made = 0

    def out_of_fold(self, head: HeadSettings, photos: SearchPhotos) -> Trial:
        """Return the trial of `head` in which each photo is predicted by the head of its fold.

        A fold's calibration is fitted on the other folds' predictions (calibration.out_of_fold).
        """
        settings = {"folds": photos.digest()}
        return self._trial(head, settings, lambda recipe: _out_of_fold(recipe, photos))

    def held_out(
        self, head: HeadSettings, photos: SearchPhotos, fold: int, calibration: Calibration
    ) -> Trial:
        """Return the trial of `head` on one fold, trained on the others and calibrated as given."""
        by = dataclasses.asdict(calibration)
        settings = {"folds": photos.digest(), "fold": fold, "by": by}
        return self._trial(
            head, settings, lambda recipe: _held_out(recipe, photos, fold, calibration)
        )

    def _trial(
        self, head: HeadSettings, settings: dict[str, Any], make: Callable[[Recipe], Trial]
    ) -> Trial:
        """Return the trial from the journal, or make it and add it to the journal."""
        assert not self.inputs.keys() & settings.keys()  # or settings would hide an input
        inputs = {**self.inputs, "head": dataclasses.asdict(head), **settings}
        key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        if key not in self.known:
            keras_backend.start(self.threads)
            trial = make(dataclasses.replace(self.recipe, head=head))
            self.made += 1
            self.known[key] = entry = _entry(trial)
            with self.journal.open("a", encoding="utf-8") as journal:
                # The last line may have been cut off by a kill.
                journal.write("\n" + json.dumps({"key": key, **entry}) + "\n")
        return _from_entry(self.known[key])


def _out_of_fold(recipe: Recipe, photos: SearchPhotos) -> Trial:
    labels = photos.rows.labels
    probabilities = np.full((len(labels), photos.classes), np.nan)  # (n, classes)
    for fold in cross_validation.run(recipe, photos.rows, photos.fold_of, photos.classes):
        probabilities[fold.split.held_out] = fold.probabilities
    if not np.isfinite(probabilities).all():
        return Trial(None, None)
    calibrated, _ = calibration.out_of_fold(labels, photos.fold_of, probabilities)
    losses = log_losses(labels, calibrated).round(DECIMALS)
    return Trial(losses, calibration.fit(labels, probabilities))


def _held_out(recipe: Recipe, photos: SearchPhotos, fold: int, fitted: Calibration) -> Trial:
    rows, classes = photos.rows, photos.classes
    (trained,) = cross_validation.run(recipe, rows, photos.fold_of, classes, [fold])
    if not np.isfinite(trained.probabilities).all():
        return Trial(None, None)
    calibrated = fitted.apply(trained.probabilities)
    losses = log_losses(rows.labels[trained.split.held_out], calibrated).round(DECIMALS)
    return Trial(losses, fitted)


def _entry(trial: Trial) -> dict[str, Any]:
    if trial.losses is None or trial.calibration is None:
        return {"losses": None, "calibration": None}
    return {"losses": trial.losses.tolist(), "calibration": dataclasses.asdict(trial.calibration)}


def _from_entry(entry: dict[str, Any]) -> Trial:
    if entry["losses"] is None:
        return Trial(None, None)
    return Trial(np.array(entry["losses"]), Calibration(**entry["calibration"]))


def _read(journal: Path) -> dict[str, dict[str, Any]]:
    """Return key -> entry of a journal, {} if there is none."""
    return {
        entry.pop("key"): entry
        for entry in files.read_json_lines(journal)
        if entry.keys() == {"key", "losses", "calibration"}
    }
