"""Logistic regression as a head: scikit-learn's, on standardised features."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats import files
from dogs_vs_cats.config.recipes import LogisticHead
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling.heads import standardisation
from dogs_vs_cats.modeling.heads.dense import Dense
from dogs_vs_cats.modeling.heads.protocol import History, Split

SUFFIX = ".npz"
TOLERANCE = 1e-4  # of the gradient, scikit-learn's default
SMALLEST = 1e-7  # deviation of features that are all the same, as in Keras
ITERATIONS = 2000  # at most; C = 0.02 on 1,024 features takes some 100


@dataclass(frozen=True)
class TrainedLogisticHead:
    """mean, deviation: (dimension,) float64. kernel, bias: (dimension, outputs), (outputs,).

    A single output is the logit of class 1 of two; else each class has one, with a bias of -inf if
    no photo was trained as it.
    """

    mean: np.ndarray
    deviation: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray

    @property
    def history(self) -> History:
        return {}

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return (n, classes) float64, rows summing to 1: see Head."""
        scaled = (features.astype(np.float64) - self.mean) / self.deviation
        # Row by row along the last axis, as a matrix product would add up by the number of rows.
        sums = [(scaled * weights).sum(axis=1) for weights in self.kernel.T]
        logits = np.stack(sums, axis=1) + self.bias
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        total = shares[:, 0].copy()
        for column in shares.T[1:]:
            total += column
        return np.asarray(shares / total[:, None])

    def last_maps(self, maps: np.ndarray) -> np.ndarray:
        """Return the maps as they are: see Head."""
        return maps

    def gradient(self, pooled: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return (n, dimension), the gradient of the logit of classes (n,): see Head."""
        layers = [(self.kernel, self.bias)]
        return Dense(self.mean, self.deviation, layers).gradient(pooled, classes)

    def in_float32(self) -> "TrainedLogisticHead":
        """Return the head itself: float64 is as near to the exported one as float32."""
        return self

    def symbolic(self, features: Any) -> Any:
        """Return symbolic (n, classes) float32 of symbolic features: see Head."""
        ops = keras_backend.start().ops
        arrays = {name: array.astype(np.float32) for name, array in vars(self).items()}
        scaled = (ops.cast(features, "float32") - arrays["mean"]) / arrays["deviation"]
        logits = ops.matmul(scaled, arrays["kernel"]) + arrays["bias"]
        if self.kernel.shape[1] == 1:
            p = ops.sigmoid(logits)
            return ops.concatenate([1 - p, p], axis=1)
        return ops.softmax(logits, axis=1)

    def save(self, path: Path) -> None:
        """Write the arrays; the same head is the same bytes."""
        with files.whole(path) as beside, beside.open("wb") as file:
            np.savez(file, **vars(self))


def load(path: Path) -> TrainedLogisticHead:
    """Return a saved head."""
    with np.load(path) as arrays:
        return TrainedLogisticHead(**arrays)


def train(
    settings: LogisticHead,
    rows: Rows,
    split: Split,
    seed: int,
    classes: int,
    on_step: Callable[[int], None],
) -> TrainedLogisticHead:
    """Return a head trained on all views of the chosen photos of a split: see HeadKind.

    Nothing is random: the seed decides nothing. Each view of a photo counts C / views.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    mean, variance = standardisation.moments(rows, split.chosen, split.views).astype(np.float64)
    deviation = np.maximum(np.sqrt(variance), SMALLEST)
    n = len(split.chosen)
    features = np.empty((len(split.views) * n, rows.dimension))
    for number, view in enumerate(split.views):
        features[number * n : (number + 1) * n] = rows.take(split.chosen, view)
    features -= mean
    features /= deviation
    labels = np.tile(rows.targets[split.chosen], len(split.views))
    present = np.unique(labels)
    if len(present) == 1:  # which scikit-learn refuses
        kernel, bias = np.zeros((rows.dimension, 1)), np.zeros(1)
    else:
        model = LogisticRegression(
            C=settings.C / len(split.views), tol=TOLERANCE, max_iter=ITERATIONS
        )
        # How many threads add up decides the last bit.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                model.fit(features, labels)
            except ConvergenceWarning as warning:
                raise UserError(
                    f"The logistic head did not settle within {ITERATIONS:,} iterations. Lower C "
                    "in the recipe."
                ) from warning
        kernel, bias = model.coef_.T, model.intercept_
    on_step(n)
    return TrainedLogisticHead(mean, deviation, *_outputs(kernel, bias, present, classes))


def _outputs(
    kernel: np.ndarray, bias: np.ndarray, present: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias as TrainedLogisticHead has them, from scikit-learn's.

    present: the classes that photos were trained as; scikit-learn has one output for two of them.
    """
    if classes == 2 and len(present) == 2:
        return np.ascontiguousarray(kernel), bias
    full, offset = np.zeros((len(kernel), classes)), np.full(classes, -np.inf)
    offset[present] = 0
    columns = present if kernel.shape[1] == len(present) else present[-1:]
    full[:, columns], offset[columns] = kernel, bias
    return full, offset
