"""Trials: the out-of-fold log loss of heads with other settings.

Each trial is written to a journal, so that an interrupted search resumes where it stopped.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
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


@dataclass(frozen=True)
class Order:
    """A trial to make: of a head, out of fold; or on `fold` alone, with a given calibration.

    A fold's out-of-fold calibration is fitted on the other folds (calibration.out_of_fold).
    """

    head: HeadSettings
    photos: SearchPhotos
    fold: int | None = None
    calibration: Calibration | None = None

    def settings(self) -> dict[str, Any]:
        """Return what decides the trial, but for the inputs of all, ready for JSON."""
        settings = {"head": dataclasses.asdict(self.head), "folds": self.photos.digest()}
        if self.calibration is None:
            return settings
        return {**settings, "fold": self.fold, "by": dataclasses.asdict(self.calibration)}


# Called with each trial as it comes: its head, what it measured, and whether it is new.
OnTrial = Callable[[HeadSettings, Trial, bool], object]
# Makes trials; yields the position of each among the orders, and the trial, as they are finished.
Make = Callable[[list[Order]], Iterator[tuple[int, Trial]]]


def inputs(workspace: Workspace, recipe: Recipe, engine: Engine) -> dict[str, Any]:
    """Return what decides all trials of a recipe, but for their own settings; ready for JSON."""
    return {
        **training.artifact(workspace, recipe, engine).inputs,
        "trials": code_keys.code_key(*CODE),
    }


def made(recipe: Recipe, order: Order) -> Trial:
    """Make a trial. Keras is started."""
    recipe = dataclasses.replace(recipe, head=order.head)
    if order.fold is None or order.calibration is None:
        return _out_of_fold(recipe, order.photos)
    return _held_out(recipe, order.photos, order.fold, order.calibration)


def in_turn(recipe: Recipe, threads: int | None) -> Make:
    """Return a function that makes trials in this process, one after the other."""

    def make(orders: list[Order]) -> Iterator[tuple[int, Trial]]:
        for position, order in enumerate(orders):
            keras_backend.start(threads)
            yield position, made(recipe, order)

    return make


class Trials:
    """Trials of a recipe with other heads, which `make` makes.

    made: how many were not in the journal.
    """

    def __init__(
        self, workspace: Workspace, recipe: Recipe, engine: Engine, journal: Path, make: Make
    ) -> None:
        self.journal, self.make = journal, make
        self.inputs = inputs(workspace, recipe, engine)
        self.known = _read(journal)
        self.made = 0

    def out_of_fold(
        self, heads: list[HeadSettings], photos: SearchPhotos, on_trial: OnTrial
    ) -> list[Trial]:
        """Return the trial of each head in which photos are predicted by the head of their fold."""
        return self._trials([Order(head, photos) for head in heads], on_trial)

    def held_out(
        self,
        head: HeadSettings,
        photos: SearchPhotos,
        fold: int,
        calibration: Calibration,
        on_trial: OnTrial,
    ) -> Trial:
        """Return the trial of `head` on one fold, trained on the others and calibrated as given."""
        return self._trials([Order(head, photos, fold, calibration)], on_trial)[0]

    def _trials(self, orders: list[Order], on_trial: OnTrial) -> list[Trial]:
        """Return trials from the journal, or make them and add them to the journal."""
        keys = list(map(self._key, orders))
        missing = {}
        for key, order in zip(keys, orders, strict=True):
            if key in self.known:
                on_trial(order.head, _from_entry(self.known[key]), False)
            else:
                missing[key] = order
        names = list(missing)
        if names:
            for position, trial in self.make(list(missing.values())):
                self._keep(names[position], trial)
                on_trial(missing[names[position]].head, trial, True)
        return [_from_entry(self.known[key]) for key in keys]

    def _key(self, order: Order) -> str:
        settings = order.settings()
        assert self.inputs.keys() & settings.keys() <= {"head"}  # or they would hide an input
        text = json.dumps({**self.inputs, **settings}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _keep(self, key: str, trial: Trial) -> None:
        self.made += 1
        self.known[key] = entry = _entry(trial)
        with self.journal.open("a", encoding="utf-8") as journal:
            # The last line may have been cut off by a kill.
            journal.write("\n" + json.dumps({"key": key, **entry}) + "\n")


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
