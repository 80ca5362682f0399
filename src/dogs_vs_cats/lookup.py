"""Rows of cached features as row numbers, which a head looks up in its own graph.

Copying a batch of features in Python takes longer than a step of a small head; its row numbers
are a few bytes.
"""

import numpy as np

from dogs_vs_cats import backend
from dogs_vs_cats.rows import Rows

# Bytes of features that are copied into a table at most.
LARGEST = 1 << 28

_last: tuple = (None, None)  # the arrays that were last copied, and their layer


def fits(rows: Rows) -> bool:
    """Return whether the rows are few enough to be looked up, and read one by one anyway."""
    return rows.block == 1 and sum(array.nbytes for array in rows.views.values()) <= LARGEST


def put_before(model, rows: Rows):
    """Return (model, rows): the same model and rows, but of row numbers (n, 1) int32.

    The model returned shares the weights of the one given and says the same, to the last bit.
    The table is kept for the next model on the same arrays, and made anew for others.
    """
    keras = backend.start()
    numbers = keras.Input((1,), dtype="int32")
    features = keras.layers.Flatten(dtype="float16")(_table(rows)(numbers))
    views, first = {}, 0
    for name, array in rows.views.items():
        views[name] = np.arange(first, first + len(array), dtype=np.int32)[:, None]
        first += len(array)
    numbered = Rows(views, rows.index, rows.labels, rows.block, rows.taught)
    return keras.Model(numbers, model(features)), numbered


def _table(rows: Rows):
    """Return an Embedding of all rows of all views, one view after the other, never trained."""
    global _last
    if _last[0] is not rows.views:
        _last = None, None  # freed before the next is made
        keras = backend.start()
        count = sum(len(array) for array in rows.views.values())
        table = keras.layers.Embedding(
            count, rows.dimension, "zeros", trainable=False, dtype="float16"
        )
        table.build()
        table.embeddings.assign(np.concatenate(list(rows.views.values())))
        _last = rows.views, table
    return _last[1]
