"""A small head's settings, and made-up rows for heads to be trained on."""

import numpy as np

from dogs_vs_cats.config.recipes import KerasHead
from dogs_vs_cats.features.rows import Rows

HEAD = KerasHead(
    standardise=True,
    hidden=(32,),
    dropout=0.2,
    optimiser="adam",
    learning_rate=3e-3,
    schedule="cosine",
    batch_size=16,
    epochs=12,
    precision="float32",
    seeds=(7,),
)
VIEWS = ("plain", "mirror")


def noisy_rows(n: int, classes: int = 2, signal: float = 1.5) -> Rows:
    """Return rows of noise whose first numbers tell the class; the views differ a little.

    The rows of the arrays are in another order than the photos, as in the cache.
    """
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    features = rng.normal(size=(n, 12))
    features[np.arange(n), labels] += signal
    views, index = {}, {}
    for view in VIEWS:
        order = rng.permutation(n)
        array = np.empty((n, 12), np.float16)
        array[order] = features + rng.normal(scale=0.05, size=features.shape)
        views[view], index[view] = array, order
    return Rows(views, index, labels)
