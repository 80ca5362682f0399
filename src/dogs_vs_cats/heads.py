"""Heads: the small network on top of cached features; built, trained, asked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dogs_vs_cats import backend
from dogs_vs_cats.recipes import Head
from dogs_vs_cats.rows import Order, Rows

ROWS = 512  # rows a step of predicting and measuring; fixed, as it could decide a last bit
STEPS = 16  # training steps between two returns to Python, which cost more than a small step


def standardisation(rows: Rows, chosen: np.ndarray, views: tuple[str, ...]) -> np.ndarray:
    """Return (2, dimension) float32: mean and variance over the chosen photos and views.

    Summed in float64, in order, so that the bytes do not depend on anything. A channel that is
    (almost) always off gets a floor under its variance, lest one photo that lights it up
    explode.
    """
    total = square = 0.0
    for view in views:
        for start in range(0, len(chosen), ROWS):
            part = rows.take(chosen[start : start + ROWS], view).astype(np.float64)
            total = total + part.sum(axis=0)
            square = square + (part**2).sum(axis=0)
    count = len(chosen) * len(views)
    mean = total / count
    variance = np.maximum(square / count - mean**2, 0)
    return np.stack([mean, np.maximum(variance, 1e-4 * variance.mean())]).astype(np.float32)


def build(settings: Head, dimension: int, classes: int, moments: np.ndarray | None, steps: int):
    """Return a compiled Keras model: (n, dimension) float16 -> (n, 1) or (n, classes).

    Two classes end in one sigmoid, the probability of class 1; more end in a softmax.
    `moments` (2, dimension) standardise the input; None leaves it as it is. `steps` is the whole
    training's, for the schedule.
    """
    keras = backend.start()
    policy = "mixed_bfloat16" if settings.precision == "bfloat16" else "float32"
    layers = keras.layers
    # As it is cached; the first layer casts it, faster than NumPy would.
    features = flow = keras.Input((dimension,), dtype="float16")
    if moments is not None:
        flow = layers.Normalization(mean=moments[0], variance=moments[1])(flow)
    for width in settings.hidden:
        flow = layers.Dense(width, activation="relu", dtype=policy)(flow)
        flow = layers.Dropout(settings.dropout, dtype=policy)(flow)
    if classes == 2:
        outputs = layers.Dense(1, activation="sigmoid", dtype="float32")(flow)
    else:
        outputs = layers.Dense(classes, activation="softmax", dtype="float32")(flow)
    model = keras.Model(features, outputs)
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimiser = keras.optimizers.get({"class_name": settings.optimiser, "config": {}})
    optimiser.learning_rate = rate
    loss = "binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy"
    # XLA slows a head down on TensorFlow; JAX has nothing else.
    jax = keras.config.backend() == "jax"
    model.compile(optimiser, loss, metrics=["accuracy"], jit_compile=jax, steps_per_execution=STEPS)
    return model


def train(
    settings: Head,
    rows: Rows,
    fold: int,
    train_views: tuple[str, ...],
    classes: int,
    chosen: np.ndarray,
    held_out: np.ndarray,
    measured_view: str,
    tick: Callable[[], None],
):
    """Return (model, history) of one head, trained on the photos at positions `chosen`.

    Each epoch shows each photo once, in a new order, in a view drawn by chance (`Order` says how);
    the recipe's seed and the fold decide both. The held-out photos are only measured, after each
    epoch, in `measured_view`: nothing is picked by it. `tick` is called after each epoch.
    """
    keras = backend.start()
    keras.utils.set_random_seed(settings.seed + fold)
    rng = np.random.default_rng([settings.seed, fold])
    moments = standardisation(rows, chosen, train_views) if settings.standardise else None
    steps = -(-len(chosen) // settings.batch_size) * settings.epochs
    model = build(settings, rows.dimension, classes, moments, steps)
    order = Order(rows, chosen, train_views, rng)

    def measured(part: slice) -> tuple[np.ndarray, np.ndarray]:
        return rows.take(held_out[part], measured_view), rows.labels[held_out[part]]

    history = model.fit(
        _sequence(len(order), settings.batch_size, order.batch, order.begin),
        epochs=settings.epochs,
        validation_data=_sequence(len(held_out), ROWS, measured),
        shuffle=False,  # the order is ours
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: tick())],
    )
    return model, history.history


def _sequence(length: int, size: int, batch: Callable, begin: Callable = lambda: None):
    """Return a Keras dataset of `length` rows, `size` a batch; the last has its own size.

    `batch` gives the features and labels of a slice of rows; `begin` is called after an epoch.
    """
    keras = backend.start()

    class Sequence(keras.utils.PyDataset):
        def __len__(self) -> int:
            return -(-length // size)

        def __getitem__(self, i: int):
            return batch(slice(i * size, min((i + 1) * size, length)))

        def on_epoch_end(self) -> None:
            begin()

    return Sequence()


def predict(model, rows: Rows, chosen: np.ndarray, views: tuple[str, ...]) -> np.ndarray:
    """Return (len(chosen), classes) float64 probabilities, averaged over the views."""
    parts = []
    for start in range(0, len(chosen), ROWS):
        part = chosen[start : start + ROWS]
        shown = [_probabilities(model, rows.take(part, view)) for view in views]
        parts.append(np.mean(shown, axis=0))
    return np.concatenate(parts)


def _probabilities(model, features: np.ndarray) -> np.ndarray:
    """Return (n, classes) float64, whether the model ends in (n, 1) or (n, classes)."""
    # Called, not `predict`: compiling a graph costs more than a small head's few products.
    output = backend.start().ops.convert_to_numpy(model(features, training=False))
    output = output.astype(np.float64)
    if output.shape[1] == 1:
        return np.concatenate([1 - output, output], axis=1)
    return output


def save(model, path: Path) -> None:
    model.save(path)


def load(path: Path):
    """Return a saved head."""
    return backend.start().saving.load_model(path, compile=False)
