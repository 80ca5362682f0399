"""Opinion pool: a weighted average of recipes' probabilities, fitted on log loss out of fold.

A linear opinion pool (Stone 1961, "The Opinion Pool"): p = sum of weight * p of each member, the
weights at least 0 and 1 in all, as in stacking (Breiman 1996, "Stacked Regressions"). Each member
is calibrated first, and the average again. Members are matched by name, never by position.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats import files
from dogs_vs_cats.modeling import calibration
from dogs_vs_cats.modeling.calibration import Calibration

NAME = "weights.json"


@dataclass(frozen=True)
class Pool:
    """weights, members: name of a member -> its weight, and its own calibration.

    calibration: that of the average.
    """

    weights: dict[str, float]
    members: dict[str, Calibration]
    calibration: Calibration

    def mixed(self, raw: dict[str, np.ndarray]) -> np.ndarray:
        """Return (n, classes): the average of the members, each calibrated; rows sum to 1.

        raw: name -> (n, classes), a member's probabilities before calibration, with the same
        photos in the same rows. KeyError if a member is missing.
        """
        parts = [self.weights[name] * own.apply(raw[name]) for name, own in self.members.items()]
        return np.asarray(sum(parts))

    def apply(self, raw: dict[str, np.ndarray]) -> np.ndarray:
        """Return (n, classes): `mixed`, calibrated."""
        return self.calibration.apply(self.mixed(raw))


def fit(labels: np.ndarray, raw: dict[str, np.ndarray]) -> Pool:
    """Return the members' calibrations, then their weights, then the calibration of the average.

    labels: (n,) int class indices; raw: name -> (n, classes).
    """
    members = {name: calibration.fit(labels, probabilities) for name, probabilities in raw.items()}
    weights = fit_weights(labels, {name: own.apply(raw[name]) for name, own in members.items()})
    pool = Pool(weights, members, Calibration(1.0, 0.0, 0))
    return Pool(weights, members, calibration.fit(labels, pool.mixed(raw)))


def fit_weights(labels: np.ndarray, probabilities: dict[str, np.ndarray]) -> dict[str, float]:
    """Return name -> weight, at least 0 and 1 in all, of the least log loss of the average.

    probabilities: name -> (n, classes), above 0. The log loss is convex in the weights, so there
    is one minimum, and it is never worse than that of the best member alone. Members that always
    agree get equal weights.
    """
    from scipy.optimize import minimize

    rows = np.arange(len(labels))
    true = np.stack([p[rows, labels] for p in probabilities.values()], axis=1)  # (n, members)
    count = true.shape[1]

    def loss(weights: np.ndarray) -> float:
        return -float(np.log(true @ weights).mean())

    def slope(weights: np.ndarray) -> np.ndarray:
        return np.asarray(-(true / (true @ weights)[:, None]).mean(axis=0))

    solved = minimize(
        loss,
        np.full(count, 1 / count),
        jac=slope,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    # The solver keeps the bounds and the sum, except for a last bit.
    best = np.clip(solved.x, 0, 1)
    best = min([best / best.sum(), *np.eye(count)], key=loss)
    return dict(zip(probabilities, best.tolist(), strict=True))


def out_of_fold(
    labels: np.ndarray, folds: np.ndarray, raw: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, dict[int, Pool]]:
    """Return (n, classes) averages, the same calibrated, and each fold's pool.

    folds: (n,) int; raw: name -> (n, classes), predicted out of fold. A fold's temperatures,
    clips and weights are all fitted on the other folds' predictions and labels alone, so its log
    loss says what the blend is worth on photos it has not seen. (As in `calibration`, the
    predictions of the other folds come from heads that trained on this fold too.)
    """
    mixed = np.empty(next(iter(raw.values())).shape)
    calibrated = np.empty(mixed.shape)
    pools = {}
    for fold in np.unique(folds).tolist():
        held_out = folds == fold
        pool = fit(labels[~held_out], {name: p[~held_out] for name, p in raw.items()})
        shown = {name: p[held_out] for name, p in raw.items()}
        mixed[held_out], calibrated[held_out] = pool.mixed(shown), pool.apply(shown)
        pools[fold] = pool
    return mixed, calibrated, pools


def correlations(
    labels: np.ndarray, probabilities: dict[str, np.ndarray]
) -> tuple[tuple[float, ...], ...]:
    """Return, for each pair of members, the correlation of their errors (Pearson's r).

    A photo's error is 1 - p(its class); r is taken over the photos. nan for a member whose error
    is the same on all photos. The lower, the more a blend can gain.
    """
    rows = np.arange(len(labels))
    errors = np.stack([1 - p[rows, labels] for p in probabilities.values()])  # (members, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        return tuple(map(tuple, np.corrcoef(errors).tolist()))


def write(folder: Path, pool: Pool, by_fold: dict[int, Pool]) -> None:
    """Write the pool for test photos, fitted on all folds, and those of the folds."""
    folds = [{"fold": fold, "members": _members(fitted)} for fold, fitted in by_fold.items()]
    text = json.dumps({"members": _members(pool), "folds": folds}, indent=1)
    files.write_text(folder / NAME, text + "\n")
    calibrations = {fold: fitted.calibration for fold, fitted in by_fold.items()}
    calibration.write(folder / calibration.NAME, pool.calibration, calibrations)


def read(folder: Path) -> Pool:
    """Return the pool for test photos, whose members are averages of heads: see calibration."""
    stored = json.loads((folder / NAME).read_text(encoding="utf-8"))["members"]
    weights = {member["name"]: member["weight"] for member in stored}
    members = {
        member["name"]: Calibration(member["temperature"], member["clip"], member["fitted_on"])
        for member in stored
    }
    return Pool(weights, members, calibration.read(folder / calibration.NAME))


def _members(pool: Pool) -> list[dict[str, Any]]:
    return [
        {"name": name, "weight": pool.weights[name], **asdict(fitted)}
        for name, fitted in pool.members.items()
    ]
