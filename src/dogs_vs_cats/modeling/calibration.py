"""Calibration: a temperature and a clip, fitted on out-of-fold predictions by their log loss.

The temperature softens (or sharpens) all predictions: p ** (1 / T), normalised (Guo et al. 2017,
"On Calibration of Modern Neural Networks"). The clip is the least probability that any class
keeps: what no temperature mends is the sure mistake, such as a photo with the wrong label.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats import files

NAME = "calibration.json"
# The nearest to 1 that a head's float32 output can be; what is nearer to 0 counts as this near.
FLOOR = float(np.finfo(np.float32).epsneg)
# With log-odds within ±17, as FLOOR has them, all that is beyond is a coin's toss, or sure.
TEMPERATURES = (1e-3, 1e3)
SPREAD = 3.0  # the standard deviation of log-temperatures that are thinkable
ROUNDS = 4  # of fitting the one, then the other: what is left moves no fourth digit
STEPS = 64  # clips to try before the best one is refined: the loss has a small dip at each mistake


@dataclass(frozen=True)
class Calibration:
    """temperature: above 0; 1 changes nothing. clip: the least probability, below 1 / classes.

    fitted_on: how many photos' predictions and labels decided both.
    """

    temperature: float
    clip: float
    fitted_on: int

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Return (n, classes) float64, tempered, then clipped; rows sum to 1, as they came.

        The order of classes within a row is kept, but for ties at the clip.
        """
        return _clipped(np.exp(_tempered(probabilities, self.temperature)), self.clip)


def fit(labels: np.ndarray, probabilities: np.ndarray) -> Calibration:
    """Return the temperature and the clip of the least expected log loss.

    labels: (n,) int class indices; probabilities: (n, classes), rows summing to 1, 0 and 1
    allowed; n at least 1. Each is fitted with the other as it is, in turn: what the clip bears,
    the temperature need not soften all photos for. That n photos show no mistake does not prove
    that there is none to come, so the clip is fitted by Laplace's rule of succession.
    """
    clip = 0.0
    for _ in range(ROUNDS):
        temperature = fit_temperature(labels, probabilities, clip)
        clip = fit_clip(labels, np.exp(_tempered(probabilities, temperature)))
    return Calibration(temperature, clip, len(labels))


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray, clip: float) -> float:
    """Return the temperature of the least log loss under a clip, its logarithm's prior N(0, 3²).

    The prior weighs less than one mistake; it decides where labels decide nothing.
    """
    from scipy.optimize import minimize_scalar

    n = len(labels)

    def harm(log_temperature: float) -> float:
        tempered = np.exp(_tempered(probabilities, float(np.exp(log_temperature))))
        chosen = _clipped(tempered, clip)[np.arange(n), labels]
        return -float(np.log(chosen).mean()) + log_temperature**2 / (2 * SPREAD**2 * n)

    found = minimize_scalar(harm, bounds=np.log(TEMPERATURES), method="bounded").x
    # Where every prediction is a coin's toss, no temperature is better than none.
    return float(np.exp(min(0.0, float(found), key=harm)))


def fit_clip(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the clip of the least log loss, with a mistake and a right prediction more at it.

    Of m photos at the clip, k of them mistakes, it becomes Laplace's (k + 1) / (m + 2) for two
    classes: never 0, where one mistake to come would cost any price. And never more than half of
    an even share: predictions that are no better than a guess are for the temperature.
    """
    from scipy.optimize import minimize_scalar

    n, classes = probabilities.shape

    def harm(log_clip: float) -> float:
        clip = float(np.exp(log_clip))
        chosen = _clipped(probabilities, clip)[np.arange(n), labels]
        more = np.log(clip) + np.log(1 - (classes - 1) * clip)
        return -float((np.log(chosen).sum() + more) / (n + 2))

    # From the clip of n photos that are all sure and right; of very few, that is all there is.
    most = -np.log(2 * classes)
    steps = np.linspace(min(-np.log((classes - 1) * (n + 2)), most), most, STEPS)
    best = int(np.argmin([harm(step) for step in steps]))
    around = steps[max(best - 1, 0)], steps[min(best + 1, STEPS - 1)]
    found = minimize_scalar(harm, bounds=around, method="bounded").x
    return float(np.exp(min(steps[best], float(found), key=harm)))


def out_of_fold(
    labels: np.ndarray, folds: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, dict[int, Calibration]]:
    """Return (n, classes) calibrated probabilities, and each fold's calibration.

    folds: (n,) int. A fold's temperature and clip are fitted on the other folds' predictions
    and labels alone, so its log loss says what calibration is worth on photos it has not seen.
    (The predictions of the other folds come from heads that trained on this fold too, as in all
    stacking; its own predictions and labels are not looked at.)
    """
    calibrated = np.empty(probabilities.shape)
    found = {}
    for fold in np.unique(folds).tolist():
        mine = folds == fold
        found[fold] = fit(labels[~mine], probabilities[~mine])
        calibrated[mine] = found[fold].apply(probabilities[mine])
    return calibrated, found


def write(path: Path, calibration: Calibration, by_fold: dict[int, Calibration]) -> None:
    """Write the calibration of test photos, fitted on all folds, and those of the report."""
    folds = [{"fold": fold, **asdict(one)} for fold, one in by_fold.items()]
    files.write_text(path, json.dumps({**asdict(calibration), "folds": folds}, indent=1) + "\n")


def read(path: Path) -> Calibration:
    """Return the calibration of test photos.

    It is for the average of the heads' probabilities: average, temperature, clip, in this order.
    It was fitted on predictions of one fold's heads each. The average of all folds' is less sure
    than its parts and more often right, so it is left a little softer than need be; without
    labels of photos that no head has seen, nothing says by how much.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    return Calibration(found["temperature"], found["clip"], found["fitted_on"])


def read_folds(path: Path) -> dict[int, Calibration]:
    """Return the calibration that each fold is reported with, as `out_of_fold` fitted it."""
    folds = json.loads(path.read_text(encoding="utf-8"))["folds"]
    return {one.pop("fold"): Calibration(**one) for one in folds}


def _tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return (n, classes) logarithms of the tempered probabilities."""
    logs = np.log(np.clip(probabilities.astype(np.float64), FLOOR, 1)) / temperature
    logs -= logs.max(axis=1, keepdims=True)
    return logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))


def _clipped(probabilities: np.ndarray, clip: float) -> np.ndarray:
    """Return the rows with no class below `clip`; the others give what is needed, in proportion.

    For two classes that is np.clip(p, clip, 1 - clip).
    """
    # A row's largest always gives: the clip is at most where all classes are the same.
    gives = np.zeros(probabilities.shape, bool)
    gives[np.arange(len(gives)), probabilities.argmax(axis=1)] = True
    low = (probabilities < clip) & ~gives
    while True:
        rest = np.where(low, 0, probabilities)
        share = (1 - clip * low.sum(axis=1, keepdims=True)) / rest.sum(axis=1, keepdims=True)
        clipped = np.where(low, clip, rest * share)
        # Having given, a class may be below the clip itself.
        below = (clipped < clip) & ~low & ~gives
        if not below.any():
            return clipped
        low |= below
