"""Calibration: a temperature and a clip, fitted on out-of-fold predictions by their log loss.

The temperature softens or sharpens all predictions: p ** (1 / T), normalised (Guo et al. 2017,
"On Calibration of Modern Neural Networks"). Temperature scaling cannot fix confident errors, such
as a photo with a wrong label, so a clip keeps the probability of each class above a minimum.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats import files

NAME = "calibration.json"
# The distance from 1 of the nearest float32 below it: probabilities nearer to 0 count as this far.
FLOOR = float(np.finfo(np.float32).epsneg)
# FLOOR keeps log-odds within ±17: beyond these temperatures everything is a coin toss, or certain.
TEMPERATURES = (1e-3, 1e3)
SPREAD = 3.0  # standard deviation of the prior of log-temperatures
ROUNDS = 4  # of fitting temperature, then clip; more rounds change no fourth digit
STEPS = 64  # clips to try before the best is refined: the loss has a small dip at each mistake


@dataclass(frozen=True)
class Calibration:
    """temperature: above 0; 1 changes nothing. clip: the least probability, below 1 / classes.

    fitted_on: the number of photos whose predictions and labels decided both.
    """

    temperature: float
    clip: float
    fitted_on: int

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Return (n, classes) float64: scaled by the temperature, then clipped; rows sum to 1.

        The order of the classes in a row is kept, except for ties at the clip.
        """
        return _clipped(np.exp(_log_scaled(probabilities, self.temperature)), self.clip)


def fit(labels: np.ndarray, probabilities: np.ndarray) -> Calibration:
    """Return the temperature and the clip of the least expected log loss.

    labels: (n,) int class indices; probabilities: (n, classes), rows summing to 1, 0 and 1
    allowed; n at least 1. They are fitted in turn, each with the other fixed: confident errors
    that the clip takes care of need not soften all photos. n photos without a mistake do not
    prove that there will be none, so the clip is fitted by Laplace's rule of succession.
    """
    clip = 0.0
    for _ in range(ROUNDS):
        temperature = fit_temperature(labels, probabilities, clip)
        clip = fit_clip(labels, np.exp(_log_scaled(probabilities, temperature)))
    return Calibration(temperature, clip, len(labels))


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray, clip: float) -> float:
    """Return the temperature of the least log loss at this clip; prior of its logarithm: N(0, 3²).

    The prior weighs less than one mistake; it decides only where the labels don't.
    """
    from scipy.optimize import minimize_scalar

    n = len(labels)

    def loss(log_temperature: float) -> float:
        scaled = np.exp(_log_scaled(probabilities, float(np.exp(log_temperature))))
        chosen = _clipped(scaled, clip)[np.arange(n), labels]
        return -float(np.log(chosen).mean()) + log_temperature**2 / (2 * SPREAD**2 * n)

    best = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x
    # Where every prediction is a coin toss, no temperature is better than another.
    return float(np.exp(min(0.0, float(best), key=loss)))


def fit_clip(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the clip of the least log loss, with one more mistake and one more hit at the clip.

    With k mistakes among m photos at the clip of two classes, that is Laplace's (k + 1) / (m + 2):
    never 0, where a single future mistake would cost infinitely much. At most half of an even
    share: predictions no better than a guess are left to the temperature.
    """
    from scipy.optimize import minimize_scalar

    n, classes = probabilities.shape

    def loss(log_clip: float) -> float:
        clip = float(np.exp(log_clip))
        chosen = _clipped(probabilities, clip)[np.arange(n), labels]
        more = np.log(clip) + np.log(1 - (classes - 1) * clip)
        return -float((np.log(chosen).sum() + more) / (n + 2))

    # From the clip of n photos that are all confident and right; very few photos allow no other.
    most = -np.log(2 * classes)
    steps = np.linspace(min(-np.log((classes - 1) * (n + 2)), most), most, STEPS)
    lowest = int(np.argmin([loss(step) for step in steps]))
    around = steps[max(lowest - 1, 0)], steps[min(lowest + 1, STEPS - 1)]
    refined = minimize_scalar(loss, bounds=around, method="bounded").x
    return float(np.exp(min(steps[lowest], float(refined), key=loss)))


def out_of_fold(
    labels: np.ndarray, folds: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, dict[int, Calibration]]:
    """Return (n, classes) calibrated probabilities, and each fold's calibration.

    folds: (n,) int. A fold's temperature and clip are fitted on the predictions and labels of the
    other folds alone, so its log loss tells what calibration is worth on unseen photos. (The other
    folds' predictions come from heads that trained on this fold, as in all stacking; the fold's own
    predictions and labels are not used.)
    """
    calibrated = np.empty(probabilities.shape)
    by_fold = {}
    for fold in np.unique(folds).tolist():
        held_out = folds == fold
        by_fold[fold] = fit(labels[~held_out], probabilities[~held_out])
        calibrated[held_out] = by_fold[fold].apply(probabilities[held_out])
    return calibrated, by_fold


def write(path: Path, calibration: Calibration, by_fold: dict[int, Calibration]) -> None:
    """Write the calibration of test photos, fitted on all folds, and those of the folds."""
    folds = [{"fold": fold, **asdict(fitted)} for fold, fitted in by_fold.items()]
    files.write_text(path, json.dumps({**asdict(calibration), "folds": folds}, indent=1) + "\n")


def read(path: Path) -> Calibration:
    """Return the calibration of test photos, for the average of all heads' probabilities.

    It was fitted on predictions of one fold's heads each. The average over all folds is less
    confident than its parts and more often right, so it stays a little too soft; without labels of
    photos that no head has seen, nobody knows by how much.
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    return Calibration(stored["temperature"], stored["clip"], stored["fitted_on"])


def read_folds(path: Path) -> dict[int, Calibration]:
    """Return the calibration that each fold is reported with, as `out_of_fold` fitted it."""
    folds = json.loads(path.read_text(encoding="utf-8"))["folds"]
    return {values.pop("fold"): Calibration(**values) for values in folds}


def _log_scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return (n, classes) logarithms of the probabilities, scaled by the temperature."""
    logs: np.ndarray = np.log(np.clip(probabilities.astype(np.float64), FLOOR, 1)) / temperature
    logs -= logs.max(axis=1, keepdims=True)
    return np.asarray(logs - np.log(np.exp(logs).sum(axis=1, keepdims=True)))


def _clipped(probabilities: np.ndarray, clip: float) -> np.ndarray:
    """Return the rows with no class below `clip`; the others give the difference, in proportion.

    For two classes that is np.clip(p, clip, 1 - clip).
    """
    # A row's largest always gives: the clip is at most an even share.
    gives = np.zeros(probabilities.shape, bool)
    gives[np.arange(len(gives)), probabilities.argmax(axis=1)] = True
    low = (probabilities < clip) & ~gives
    while True:
        rest = np.where(low, 0, probabilities)
        share = (1 - clip * low.sum(axis=1, keepdims=True)) / rest.sum(axis=1, keepdims=True)
        clipped: np.ndarray = np.where(low, clip, rest * share)
        # Having given, a class may be below the clip itself.
        below = (clipped < clip) & ~low & ~gives
        if not below.any():
            return clipped
        low |= below
