"""Rows of cached features as row numbers, which a head looks up in its own graph.

Copying a batch of features in Python takes longer than a step of a small head; its row numbers
are a few bytes. And what stands first in a head, the same for a row each time, is done once.
"""

import numpy as np

from dogs_vs_cats import backend
from dogs_vs_cats.rows import Rows

# Bytes of a table at most, as float32.
LARGEST = 1 << 29
STEP = 4096  # rows that are copied at once


def fits(rows: Rows, chosen: np.ndarray, views: tuple[str, ...]) -> bool:
    """Return whether the chosen photos are few enough for a table, and read one by one anyway."""
    return rows.block == 1 and len(chosen) * len(views) * rows.dimension * 4 <= LARGEST


def put_before(model, rows: Rows, chosen: np.ndarray, views: tuple[str, ...]):
    """Return (learner, rows): a model to train in place of a head, and its rows of (1,) int32.

    The rows are those of the chosen photos alone. The learner shares the head's layers and says
    the same of them, to the last bit; it and its table end with its training.
    """
    keras = backend.start()
    _, *layers = model.layers  # without the input
    first = None
    if isinstance(layers[0], keras.layers.Normalization):
        first, *layers = layers
    places = np.full(len(rows.labels), -1)
    places[chosen] = np.arange(len(chosen))
    table = np.empty(
        (len(views) * len(chosen), rows.dimension), np.float32 if first else np.float16
    )
    numbers = {}
    for begin, view in zip(range(0, len(table), max(1, len(chosen))), views, strict=True):
        for start in range(0, len(chosen), STEP):
            part = rows.take(chosen[start : start + STEP], view)
            there = slice(begin + start, begin + start + len(part))
            table[there] = keras.ops.convert_to_numpy(first(part)) if first else part
        numbers[view] = np.arange(begin, begin + len(chosen), dtype=np.int32)[:, None]

    class Learner(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            # In this graph alone: layers that are called in another keep it as long as they live.
            self.table = keras.Variable(
                table, dtype=table.dtype.name, trainable=False, autocast=False
            )
            self.after = layers

        def call(self, numbers, training=None):
            flow = keras.ops.take(self.table, numbers[:, 0], axis=0)
            for layer in self.after:
                flow = layer(flow)  # which learn from the call whether it is training
            return flow

    numbered = Rows(numbers, dict.fromkeys(views, places), rows.labels, rows.block, rows.taught)
    return Learner(), numbered
