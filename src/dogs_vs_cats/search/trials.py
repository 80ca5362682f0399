"""Trials: what a head's settings are worth, by heads that never saw the photo they predict.

Each is made once and noted in a journal, so that a search that was killed goes on where it was.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats import code_keys
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import KerasHead, Recipe
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import calibration, cross_validation, training
from dogs_vs_cats.modeling.calibration import Calibration
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.workspace import Workspace

DECIMALS = 6  # of a photo's loss: a journal holds one for each photo of each trial


@dataclass(frozen=True)
class Photos:
    """What trials are made with: ids and groups, n texts; rows of n photos; fold_of, (n,) int."""

    ids: list[str]
    groups: list[str]
    rows: Rows
    fold_of: np.ndarray
    classes: int

    def without(self, fold: int) -> "Photos":
        """Return the photos of the other folds alone, with nothing of this fold's labels."""
        kept = np.flatnonzero(self.fold_of != fold)
        index = {view: rows[kept] for view, rows in self.rows.index.items()}
        labels, corrected = self.rows.labels[kept], self.rows.targets[kept]
        return Photos(
            [self.ids[i] for i in kept],
            [self.groups[i] for i in kept],
            dataclasses.replace(self.rows, index=index, labels=labels, corrected=corrected),
            self.fold_of[kept],
            self.classes,
        )

    def digest(self) -> str:
        """Return the sha256 of which photo is in which fold."""
        lines = zip(self.ids, self.fold_of.tolist(), strict=True)
        text = "".join(f"{photo}\0{fold}\n" for photo, fold in lines)
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True)
class Trial:
    """losses: (n,) float64, -log p(its class) of each photo, calibrated; None: training diverged.

    calibration: fitted on all the predictions of the trial, as that of test photos is.
    """

    losses: np.ndarray | None
    calibration: Calibration | None


class Trials:
    """Trials of a recipe with other heads on a dataset; `made` counts those not in the journal."""

    def __init__(
        self,
        workspace: Workspace,
        recipe: Recipe,
        engine: Engine,
        journal: Path,
        threads: int | None,
    ) -> None:
        self.recipe, self.journal, self.threads = recipe, journal, threads
        self.given = {
            **training.artifact(workspace, recipe, engine).inputs,
            "trials": code_keys.code_key("search.trials"),
        }
        self.known = _read(journal)
        self.made = 0

    def out_of_fold(self, head: KerasHead, photos: Photos) -> Trial:
        """Return what `head` is worth on the photos, each predicted by the head of its fold.

        A fold's calibration is fitted on the other folds' predictions (calibration.out_of_fold).
        """
        settings = {"folds": photos.digest()}
        return self._noted(head, settings, lambda recipe: _out_of_fold(recipe, photos))

    def held_out(self, head: KerasHead, photos: Photos, fold: int, fitted: Calibration) -> Trial:
        """Return what `head`, trained on the other folds, is worth on this one, calibrated so."""
        settings = {"folds": photos.digest(), "fold": fold, "by": dataclasses.asdict(fitted)}
        return self._noted(head, settings, lambda recipe: _held_out(recipe, photos, fold, fitted))

    def _noted(self, head: KerasHead, settings: dict, make: Callable[[Recipe], Trial]) -> Trial:
        """Return the trial that is in the journal, or make and note it."""
        # Beside all that decides training, of which nothing may be hidden by a key of ours.
        assert not self.given.keys() & settings.keys()
        decided_by = {**self.given, "head": dataclasses.asdict(head), **settings}
        key = hashlib.sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()
        if key not in self.known:
            keras_backend.start(self.threads)
            trial = make(dataclasses.replace(self.recipe, head=head))
            self.made += 1
            self.known[key] = entry = _entry(trial)
            with self.journal.open("a", encoding="utf-8") as log:
                # A line cut off by a kill must not swallow this one.
                log.write("\n" + json.dumps({"key": key, **entry}) + "\n")
        return _trial(self.known[key])


def _out_of_fold(recipe: Recipe, photos: Photos) -> Trial:
    labels = photos.rows.labels
    said = np.full((len(labels), photos.classes), np.nan)  # (n, classes)
    for one in cross_validation.run(recipe, photos.rows, photos.fold_of, photos.classes):
        said[one.split.held_out] = one.probabilities
    if not np.isfinite(said).all():
        return Trial(None, None)
    calibrated, _ = calibration.out_of_fold(labels, photos.fold_of, said)
    losses = log_losses(labels, calibrated).round(DECIMALS)
    return Trial(losses, calibration.fit(labels, said))


def _held_out(recipe: Recipe, photos: Photos, fold: int, fitted: Calibration) -> Trial:
    rows, classes = photos.rows, photos.classes
    (one,) = cross_validation.run(recipe, rows, photos.fold_of, classes, [fold])
    if not np.isfinite(one.probabilities).all():
        return Trial(None, None)
    said = fitted.apply(one.probabilities)
    losses = log_losses(rows.labels[one.split.held_out], said).round(DECIMALS)
    return Trial(losses, fitted)


def _entry(trial: Trial) -> dict:
    if trial.losses is None:
        return {"losses": None, "calibration": None}
    return {"losses": trial.losses.tolist(), "calibration": dataclasses.asdict(trial.calibration)}


def _trial(entry: dict) -> Trial:
    if entry["losses"] is None:
        return Trial(None, None)
    return Trial(np.array(entry["losses"]), Calibration(**entry["calibration"]))


def _read(journal: Path) -> dict[str, dict]:
    """Return key -> entry of a journal; none where there is no journal."""
    if not journal.exists():
        return {}
    known = {}
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut off by a kill: that trial is made again
        if isinstance(entry, dict) and entry.keys() == {"key", "losses", "calibration"}:
            known[entry.pop("key")] = entry
    return known
