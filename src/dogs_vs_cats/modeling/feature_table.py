"""Rows of cached features as row numbers, which a head looks up in its own graph.

Copying a batch of features in Python takes longer than a step of a small head; its row numbers
are a few bytes.
"""

import numpy as np

from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.rows import Rows

# Bytes of features that are copied into a table at most.
LARGEST = 1 << 28

_last: tuple = (None, None, None)  # the arrays and views that were last copied, and their table


def fits(rows: Rows, views: tuple[str, ...]) -> bool:
    """Return whether the rows are few enough to be looked up, and read one by one anyway."""
    return rows.block == 1 and sum(rows.views[view].nbytes for view in views) <= LARGEST


def put_before(model, rows: Rows, views: tuple[str, ...]):
    """Return (learner, rows): a model to train in place of a head, and its rows of (1,) int32.

    The rows are those of `views`. The learner shares the head's layers and says the same, to the
    last bit. The table is kept for the next head on the same arrays, and made anew for others.
    """
    keras = keras_backend.start()
    table, layers = _table(rows, views), model.layers[1:]  # without its input

    class Learner(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.after = table, layers

        # Not a graph of its own that is joined to the head's: that would keep every head alive
        # as long as the table.
        def call(self, numbers, training=None):
            flow = keras.ops.take(self.table, numbers[:, 0], axis=0)
            for layer in self.after:
                flow = layer(flow)
            return flow

    numbers, first = {}, 0
    for view in views:
        count = len(rows.views[view])
        numbers[view] = np.arange(first, first + count, dtype=np.int32)[:, None]
        first += count
    index = {view: rows.index[view] for view in views}
    return Learner(), Rows(numbers, index, rows.labels, rows.block, rows.corrected)


def _table(rows: Rows, views: tuple[str, ...]):
    """Return a variable of all rows of the views, one view after the other, never trained."""
    global _last
    if _last[0] is not rows.views or _last[1] != views:
        _last = None, None, None  # freed before the next is made
        features = np.concatenate([rows.views[view] for view in views])
        keras = keras_backend.start()
        # Not cast to float32 as a whole at each step, which Keras would do for a layer's weights.
        table = keras.Variable(features, dtype="float16", trainable=False, autocast=False)
        _last = rows.views, views, table
    return _last[2]
