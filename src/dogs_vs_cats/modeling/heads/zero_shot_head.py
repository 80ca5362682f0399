"""Zero-shot: ImageNet's own classes as a head, calibrated on the photos it is given.

A photo's evidence is one number: the log of the summed probabilities of ImageNet's dogs, less that
of its cats. A logistic regression on it, a slope and an intercept, makes it a probability (Platt
1999, "Probabilistic Outputs for Support Vector Machines").
"""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats import files
from dogs_vs_cats.config import imagenet
from dogs_vs_cats.config.recipes import LogisticHead, ZeroShotHead
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling.heads import logistic_head
from dogs_vs_cats.modeling.heads.logistic_head import TrainedLogisticHead
from dogs_vs_cats.modeling.heads.protocol import History, Split

SUFFIX = ".json"
C = 1e3  # of the logistic regression: large, since two numbers need no restraint
# Of our class 0 and class 1 among the columns of ImageNet's logits.
CAT, DOG = (slice(numbers.start, numbers.stop) for numbers in imagenet.CLASSES.values())


@dataclass(frozen=True)
class TrainedZeroShotHead:
    """calibration: a logistic head whose only feature is the evidence."""

    calibration: TrainedLogisticHead

    @property
    def history(self) -> History:
        return {}

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return (n, 2) float64 of ImageNet's logits (n, 1000): see Head."""
        return self.calibration.probabilities(evidence(features))

    def last_maps(self, maps: np.ndarray) -> np.ndarray:
        """Return the maps as they are: see Head."""
        return maps

    def gradient(self, pooled: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return (n, 1000), the gradient of the logit of classes (n,): see Head."""
        slopes = np.zeros(pooled.shape)  # d evidence / d logits
        for columns, sign in (DOG, 1), (CAT, -1):
            own = pooled[:, columns].astype(np.float64)
            slopes[:, columns] = sign * np.exp(own - _log_sum(own))
        return self.calibration.gradient(evidence(pooled), classes) * slopes

    def in_float32(self) -> "TrainedZeroShotHead":
        """Return the head itself: float64 is as near to the exported one as float32."""
        return self

    def symbolic(self, features: Any) -> Any:
        """Return symbolic (n, 2) float32 of symbolic features: see Head."""
        ops = keras_backend.start().ops
        logits = ops.cast(features, "float32")
        sums = [ops.logsumexp(logits[:, x], axis=1, keepdims=True) for x in (CAT, DOG)]
        return self.calibration.symbolic(sums[1] - sums[0])

    def save(self, path: Path) -> None:
        """Write the numbers; the same head is the same bytes."""
        numbers = {name: array.tolist() for name, array in vars(self.calibration).items()}
        files.write_text(path, json.dumps(numbers) + "\n")


def load(path: Path) -> TrainedZeroShotHead:
    """Return a saved head."""
    numbers = json.loads(path.read_text(encoding="utf-8"))
    arrays = {name: np.array(values) for name, values in numbers.items()}
    return TrainedZeroShotHead(TrainedLogisticHead(**arrays))


def train(
    settings: ZeroShotHead,
    rows: Rows,
    split: Split,
    seed: int,
    classes: int,
    on_step: Callable[[int], None],
) -> TrainedZeroShotHead:
    """Return a head calibrated on all views of the chosen photos of a split: see HeadKind.

    Nothing is random: the seed decides nothing.
    """
    assert classes == len(imagenet.CLASSES)
    views = {view: evidence(array) for view, array in rows.views.items()}
    alone = dataclasses.replace(rows, views=views)
    fitted = logistic_head.train(LogisticHead(C=C), alone, split, seed, classes, on_step)
    return TrainedZeroShotHead(fitted)


def evidence(logits: np.ndarray) -> np.ndarray:
    """Return (n, 1) float64, log P(dog) - log P(cat), of ImageNet's logits (n, 1000).

    All other classes count in both, so they cancel.
    """
    return np.asarray(_log_sum(logits[:, DOG]) - _log_sum(logits[:, CAT]))


def _log_sum(logits: np.ndarray) -> np.ndarray:
    """Return (n, 1) float64, the log of the sum of exp(logits) of each row."""
    wide = logits.astype(np.float64)
    most = wide.max(axis=1, keepdims=True)
    return np.asarray(most + np.log(np.exp(wide - most).sum(axis=1, keepdims=True)))
