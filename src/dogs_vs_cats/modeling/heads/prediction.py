"""Prediction: probabilities of photos, averaged over heads and views."""

from collections.abc import Callable, Sequence

import numpy as np

from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling.heads.protocol import Head

# Most rows of a step, and most bytes of their features: one photo costs as much as a whole step,
# so steps of wide rows, as maps have, are shorter. Fixed, as they decide the last bit.
ROWS, ROWS_BYTES = 512, 1 << 23


def step_size(dimension: int) -> int:
    """Return how many rows of features are predicted at once: a power of two."""
    most = max(1, min(ROWS, ROWS_BYTES // (dimension * 2)))
    return 1 << (most.bit_length() - 1)


def predict(
    heads: Sequence[Head],
    rows: Rows,
    chosen: np.ndarray,
    views: tuple[str, ...],
    on_step: Callable[[int], None] = lambda photos: None,
) -> np.ndarray:
    """Return (len(chosen), classes) float64 probabilities, averaged over heads and views.

    A photo's are bitwise identical whichever others are chosen. `on_step` is called with the
    number of photos predicted since its last call.
    """
    parts = []
    step = step_size(rows.dimension)
    for start in range(0, len(chosen), step):
        part = chosen[start : start + step]
        # Read once for all heads: maps are large. (views * n, dimension)
        features = np.concatenate([rows.take(part, view) for view in views])
        predicted = [head.probabilities(features) for head in heads]
        by_view = [p.reshape(len(views), len(part), -1) for p in predicted]
        parts.append(np.concatenate(by_view).mean(axis=0))
        on_step(len(part))
    return np.concatenate(parts)
