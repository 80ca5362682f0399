"""Blend: the weighted average of several recipes' probabilities, fitted on log loss out of fold.

A linear opinion pool (Stone 1961, "The Opinion Pool"): p = sum of weight * p of each member, the
weights at least 0 and 1 in all, as in stacking (Breiman 1996, "Stacked Regressions"). Each member
is calibrated before, the average after it. Members are joined by name, never by position.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats import files
from dogs_vs_cats.modeling import calibration
from dogs_vs_cats.modeling.calibration import Calibration

NAME = "weights.json"


@dataclass(frozen=True)
class Pool:
    """weights, members: name -> the weight, and the calibration before it, of each member.

    calibration: that of their average.
    """

    weights: dict[str, float]
    members: dict[str, Calibration]
    calibration: Calibration

    def mixed(self, raw: dict[str, np.ndarray]) -> np.ndarray:
        """Return (n, classes): the average of the members, each calibrated; rows sum to 1.

        raw: name -> (n, classes), a member's probabilities as its heads gave them, with the same
        photos in the same rows. KeyError if a member is missing.
        """
        return sum(self.weights[name] * one.apply(raw[name]) for name, one in self.members.items())

    def apply(self, raw: dict[str, np.ndarray]) -> np.ndarray:
        """Return (n, classes): `mixed`, calibrated."""
        return self.calibration.apply(self.mixed(raw))


def fit(labels: np.ndarray, raw: dict[str, np.ndarray]) -> Pool:
    """Return the members' calibrations, then their weights, then the calibration of the average.

    labels: (n,) int class indices; raw: name -> (n, classes). All is decided by these rows.
    """
    members = {name: calibration.fit(labels, one) for name, one in raw.items()}
    weights = fit_weights(labels, {name: one.apply(raw[name]) for name, one in members.items()})
    pool = Pool(weights, members, Calibration(1.0, 0.0, 0))
    return Pool(weights, members, calibration.fit(labels, pool.mixed(raw)))


def fit_weights(labels: np.ndarray, probabilities: dict[str, np.ndarray]) -> dict[str, float]:
    """Return name -> weight, at least 0 and 1 in all, of the least log loss of the average.

    probabilities: name -> (n, classes), above 0. The log loss is convex in the weights, so there
    is one minimum, and it is never worse than that of the best member alone. Of members that
    always agree, each gets the same.
    """
    from scipy.optimize import minimize

    rows = np.arange(len(labels))
    true = np.stack([one[rows, labels] for one in probabilities.values()], axis=1)  # (n, members)
    count = true.shape[1]

    def harm(weights: np.ndarray) -> float:
        return -float(np.log(true @ weights).mean())

    def slope(weights: np.ndarray) -> np.ndarray:
        return -(true / (true @ weights)[:, None]).mean(axis=0)

    found = minimize(
        harm,
        np.full(count, 1 / count),
        jac=slope,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    # The solver keeps to the bounds and the sum but for a last bit.
    best = np.clip(found.x, 0, 1)
    best = min([best / best.sum(), *np.eye(count)], key=harm)
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
    found = {}
    for fold in np.unique(folds).tolist():
        mine = folds == fold
        found[fold] = fit(labels[~mine], {name: one[~mine] for name, one in raw.items()})
        shown = {name: one[mine] for name, one in raw.items()}
        mixed[mine], calibrated[mine] = found[fold].mixed(shown), found[fold].apply(shown)
    return mixed, calibrated, found


def correlations(
    labels: np.ndarray, probabilities: dict[str, np.ndarray]
) -> tuple[tuple[float, ...], ...]:
    """Return, for each pair of members, the correlation of their errors (Pearson's r).

    A photo's error is 1 - p(its class); r is taken over the photos. nan for a member whose error
    is the same on all photos. The lower it is, the more there is to gain from a blend.
    """
    rows = np.arange(len(labels))
    errors = np.stack([1 - one[rows, labels] for one in probabilities.values()])  # (members, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        return tuple(map(tuple, np.corrcoef(errors).tolist()))


def write(folder: Path, pool: Pool, by_fold: dict[int, Pool]) -> None:
    """Write the pool for test photos, fitted on all folds, and those of the report."""
    folds = [{"fold": fold, "members": _members(one)} for fold, one in by_fold.items()]
    text = json.dumps({"members": _members(pool), "folds": folds}, indent=1)
    files.write_text(folder / NAME, text + "\n")
    calibrations = {fold: one.calibration for fold, one in by_fold.items()}
    calibration.write(folder / calibration.NAME, pool.calibration, calibrations)


def read(folder: Path) -> Pool:
    """Return the pool for test photos, whose members are averages of heads: see calibration."""
    found = json.loads((folder / NAME).read_text(encoding="utf-8"))["members"]
    weights = {one["name"]: one["weight"] for one in found}
    members = {
        one["name"]: Calibration(one["temperature"], one["clip"], one["fitted_on"]) for one in found
    }
    return Pool(weights, members, calibration.read(folder / calibration.NAME))


def _members(pool: Pool) -> list[dict]:
    return [
        {"name": name, "weight": pool.weights[name], **asdict(one)}
        for name, one in pool.members.items()
    ]
