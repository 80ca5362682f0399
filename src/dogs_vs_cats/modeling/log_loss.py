"""Log loss, by which heads are followed, and calibrations and blends fitted."""

import numpy as np


def log_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return (n,) the log loss of each photo in nats, clipped at 1e-15 as Kaggle does.

    labels: (n,) int class indices; probabilities: (n, classes), rows summing to 1.
    """
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return np.asarray(-np.log(np.clip(chosen, 1e-15, 1 - 1e-15)))
