"""Heads: the small network on top of cached features; built, trained, asked."""

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats.config.recipes import KerasHead
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling import feature_table
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.training_order import TrainingOrder

# What a step of predicting and measuring takes at most, in rows and in bytes of their features;
# fixed, as it decides a last bit. Not more of wide rows: one photo costs as much as a step.
ROWS, ROWS_BYTES = 512, 1 << 23
# Training steps between two returns to Python, which cost more than a small step; of those that
# look rows up in their graph, and of those that are handed them.
STEPS_LOOKING_UP, STEPS_AT_ONCE = 64, 16


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


def build(settings: KerasHead, dimension: int, classes: int, moments: np.ndarray | None):
    """Return a Keras model: (n, dimension) float16 -> (n, 1) or (n, classes).

    Two classes end in one sigmoid, the probability of class 1; more end in a softmax.
    `moments` (2, dimension) standardise the input; None leaves it as it is.
    """
    keras = keras_backend.start()
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
    return keras.Model(features, outputs)


def compile_for(
    model, settings: KerasHead, learning_rate: float, classes: int, steps: int, at_once: int
) -> None:
    """Compile a model that ends as a head does, for training.

    `steps` is the whole training's, for the schedule; `at_once` are taken in one call.
    """
    keras = keras_backend.start()
    rate = learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    # Without it, an optimiser keeps its own.
    decay = {"weight_decay": settings.weight_decay} if settings.weight_decay else {}
    optimiser = keras.optimizers.get({"class_name": settings.optimiser, "config": decay})
    optimiser.learning_rate = rate
    smoothing = settings.label_smoothing

    def many(labels, probabilities):
        labels = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), classes)
        return keras.losses.categorical_crossentropy(
            labels, probabilities, label_smoothing=smoothing
        )

    two = keras.losses.BinaryCrossentropy(label_smoothing=smoothing)
    name = keras.config.backend()
    model.compile(
        optimiser,
        two if classes == 2 else many,
        metrics=["accuracy"],
        jit_compile=name == "jax",  # XLA slows a head down on TensorFlow; JAX has nothing else
        steps_per_execution=1 if name == "torch" else at_once,  # torch can't take several
    )


@dataclass(frozen=True)
class Split:
    """Who is shown what. chosen, held_out: (n,) positions of photos in the rows.

    The held-out photos are only measured, in the view `measured`: nothing is picked by it.
    """

    fold: int
    chosen: np.ndarray
    held_out: np.ndarray
    views: tuple[str, ...]
    measured: str


def train(
    settings: KerasHead,
    rows: Rows,
    split: Split,
    seed: int,
    classes: int,
    tick: Callable[[int], None],
):
    """Return (model, history) of one head, trained on the chosen photos of a split.

    `seed` and the fold decide the first weights and the order; `tick` is told how many photos
    were shown since it was last called, of chosen photos x epochs.
    """
    set_seed(seed, split.fold)
    moments = None
    if settings.standardise:
        moments = standardisation(rows, split.chosen, split.views)
    steps = -(-len(split.chosen) // settings.batch_size) * settings.epochs
    model = build(settings, rows.dimension, classes, moments)
    learner, shown, at_once = model, rows, STEPS_AT_ONCE
    if feature_table.fits(rows, split.views):
        learner, shown = feature_table.put_before(model, rows, split.views)
        at_once = STEPS_LOOKING_UP
    compile_for(learner, settings, settings.learning_rate, classes, steps, at_once)
    order = TrainingOrder(
        shown, split.chosen, split.views, np.random.default_rng([seed, split.fold])
    )
    measure = functools.partial(measured, model, rows, split)
    return model, fit(learner, order, measure, settings.batch_size, settings.epochs, tick)


def set_seed(*numbers: int) -> None:
    """Let all that Keras draws by chance follow from these numbers, other numbers other draws."""
    (state,) = np.random.SeedSequence(numbers).generate_state(1)
    keras_backend.start().utils.set_random_seed(int(state))


def measured(model, rows: Rows, split: Split) -> tuple[float, float]:
    """Return log loss, in nats, and accuracy of what a model says of a split's held-out photos."""
    said, labels = predict([model], rows, split.held_out, (split.measured,)), rows.labels
    losses = log_losses(labels[split.held_out], said)
    right = said.argmax(axis=1) == labels[split.held_out]
    return float(losses.mean()), float(right.mean())


def fit(
    learner,
    order: TrainingOrder,
    measure: Callable[[], tuple[float, float]],
    batch_size: int,
    epochs: int,
    tick: Callable[[int], None],
) -> dict[str, list[float]]:
    """Train a compiled model; return its losses and accuracies, a number an epoch each.

    Each epoch shows each chosen photo once, in a new order, in a random view (`TrainingOrder`
    says how); then `measure` returns log loss and accuracy of held-out photos.
    """
    keras = keras_backend.start()
    after: list[tuple[float, float]] = []

    class Following(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs=None) -> None:
            self.before = 0

        def on_train_batch_end(self, batch: int, logs=None) -> None:
            done = min((batch + 1) * batch_size, len(order))
            tick(done - self.before)
            self.before = done

        def on_epoch_end(self, epoch: int, logs=None) -> None:
            after.append(measure())

    with contextlib.closing(order):
        history = learner.fit(
            _sequence(order, batch_size),
            epochs=epochs,
            shuffle=False,  # the order is ours
            verbose=0,
            callbacks=[Following()],
        ).history
    losses, accuracies = map(list, zip(*after, strict=True))
    return {**history, "val_loss": losses, "val_accuracy": accuracies}


def _sequence(order: TrainingOrder, size: int):
    """Return a Keras dataset of an order, `size` rows a batch; the last has its own size."""
    keras = keras_backend.start()

    class Sequence(keras.utils.PyDataset):
        def __len__(self) -> int:
            return -(-len(order) // size)

        def __getitem__(self, i: int):
            return order.batch(slice(i * size, min((i + 1) * size, len(order))))

        def on_epoch_end(self) -> None:
            order.begin()

    return Sequence()


def rows_a_step(rows: Rows) -> int:
    """Return how many rows are predicted at once, a power of two: fewer of wide ones, as maps."""
    most = max(1, min(ROWS, ROWS_BYTES // (rows.dimension * 2)))
    return 1 << (most.bit_length() - 1)


def predict(
    models: list,
    rows: Rows,
    chosen: np.ndarray,
    views: tuple[str, ...],
    tick: Callable[[int], None] = lambda shown: None,
) -> np.ndarray:
    """Return (len(chosen), classes) float64 probabilities, averaged over models and views.

    A photo's are the same, to the last bit, whichever others are chosen. `tick` is told how many
    photos were predicted since it was last called.
    """
    parts = []
    step = rows_a_step(rows)
    for start in range(0, len(chosen), step):
        part = chosen[start : start + step]
        # Read once for all models: maps are large. (views * n, dimension)
        shown = np.concatenate([rows.take(part, view) for view in views])
        said = [_probabilities(model, shown, step) for model in models]
        said = np.concatenate([one.reshape(len(views), len(part), -1) for one in said])
        parts.append(said.mean(axis=0))
        tick(len(part))
    return np.concatenate(parts)


def _probabilities(model, features: np.ndarray, step: int) -> np.ndarray:
    """Return (n, classes) float64, whether the model ends in (n, 1) or (n, classes).

    It always sees `step` rows, a power of two: the kernel of a matrix product is chosen by their
    number, and the rows left over at the end of another number get one of their own; each adds
    up in its own order. The blank rows that fill a step are dropped again.
    """
    outputs = []
    for start in range(0, len(features), step):
        part = features[start : start + step]
        full = part
        if len(part) < step:
            full = np.zeros((step, features.shape[1]), features.dtype)
            full[: len(part)] = part
        # Called, not `predict`: a graph for each of many heads costs more than its few products.
        output = keras_backend.start().ops.convert_to_numpy(model(full, training=False))
        outputs.append(output[: len(part)].astype(np.float64))
    output = np.concatenate(outputs)
    if output.shape[1] == 1:
        return np.concatenate([1 - output, output], axis=1)
    return output


def save(model, path: Path) -> None:
    """Write a head, without its optimiser, which is twice as large and no longer needed."""
    keras_backend.start().Model(model.input, model.output).save(path)


def load(path: Path):
    """Return a saved head."""
    return keras_backend.start().saving.load_model(path, compile=False)
