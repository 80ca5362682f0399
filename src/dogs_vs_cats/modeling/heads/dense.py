"""The arithmetic of a dense head in NumPy, and its gradient, for which no backend is needed."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dense:
    """A dense head: standardised features, layers with ReLU between them, the logits.

    mean, deviation: (dimension,). layers: kernel (in, out) and bias (out,) of each; the last has
    one output for two classes, the logit of class 1.
    """

    mean: np.ndarray
    deviation: np.ndarray
    layers: list[tuple[np.ndarray, np.ndarray]]

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return (n, 1) or (n, classes) of features (n, dimension)."""
        *hidden, (kernel, bias) = self.layers
        flow = (features - self.mean) / self.deviation
        for inner, offset in hidden:
            flow = np.maximum(flow @ inner + offset, 0)
        return np.asarray(flow @ kernel + bias)

    def gradient(self, features: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return (n, dimension): the gradient of the logit of classes (n,) at features.

        Of two classes, the logit of class 0 is that of class 1 times -1.
        """
        *hidden, (kernel, _) = self.layers
        flow = (features - self.mean) / self.deviation
        active = []  # (n, width) of each layer: where its ReLU is not 0
        for inner, offset in hidden:
            flow = flow @ inner + offset
            active.append(flow > 0)
            flow = np.maximum(flow, 0)
        if kernel.shape[1] == 1:
            slope = np.where(classes == 1, 1, -1)[:, None] * kernel[:, 0]  # (n, width)
        else:
            slope = kernel.T[classes]
        for (inner, _), on in zip(reversed(hidden), reversed(active), strict=True):
            slope = (slope * on) @ inner.T
        return np.asarray(slope / self.deviation)
