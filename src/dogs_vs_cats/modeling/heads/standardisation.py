"""Standardisation: mean and variance of the features that a head is trained on."""

import numpy as np

from dogs_vs_cats.features.rows import Rows

ROWS = 512  # added up at once; fixed, as it decides the last bit


def moments(rows: Rows, chosen: np.ndarray, views: tuple[str, ...]) -> np.ndarray:
    """Return (2, dimension) float32: mean and variance over the chosen photos and views.

    Summed in float64 in a fixed order, so that the bytes are always the same. The variance has a
    floor: a channel that is almost always off must not explode when one photo lights it up.
    """
    total = np.zeros(rows.dimension)
    square = np.zeros(rows.dimension)
    for view in views:
        for start in range(0, len(chosen), ROWS):
            part = rows.take(chosen[start : start + ROWS], view).astype(np.float64)
            total = total + part.sum(axis=0)
            square = square + (part**2).sum(axis=0)
    count = len(chosen) * len(views)
    mean = total / count
    variance = np.maximum(square / count - mean**2, 0)
    return np.stack([mean, np.maximum(variance, 1e-4 * variance.mean())]).astype(np.float32)
