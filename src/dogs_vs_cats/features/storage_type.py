"""Storage type: the numbers of features as they are stored, in float16."""

import numpy as np

from dogs_vs_cats.errors import UserError

DTYPE = np.dtype("<f2")


def narrowed(features: np.ndarray) -> np.ndarray:
    """Return features as they are stored, in float16; UserError if a number does not fit."""
    with np.errstate(over="ignore"):  # an overflow is an error of our own, just below
        narrow = features.astype(DTYPE)
    if not np.isfinite(narrow).all():
        raise UserError(
            f"A feature of {np.max(features)} is beyond float16, which ends at 65,504. Choose a "
            "later tap, or another pooling."
        )
    return narrow
