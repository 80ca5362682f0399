"""A small Keras network as a head: built, trained, asked."""

import contextlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats.config.recipes import KerasHead
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.modeling.heads import standardisation
from dogs_vs_cats.modeling.heads.dense import Dense
from dogs_vs_cats.modeling.heads.prediction import predict, step_size
from dogs_vs_cats.modeling.heads.protocol import History, Split
from dogs_vs_cats.modeling.log_loss import log_losses
from dogs_vs_cats.modeling.training_order import TrainingOrder

SUFFIX = ".keras"


class TrainedKerasHead:
    """A trained Keras model: features (n, dimension) float16 -> (n, 1) or (n, classes).

    Or, fine-tuned: cached maps (n, side * side * depth) float16, through the backbone's layers
    after the tap.
    """

    def __init__(self, model: Any, history: History | None = None) -> None:
        self.model, self.history = model, history or {}

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return (n, classes) float64, whether the model ends in (n, 1) or (n, classes).

        The model always gets the same number of rows, a power of two, padded with zeros: matrix
        products choose their kernel by the number of rows, and the rows left over at the end of
        another number get a kernel of their own; each adds up in its own order.
        """
        step, outputs = step_size(features.shape[1]), []
        for start in range(0, len(features), step):
            part = features[start : start + step]
            full = part
            if len(part) < step:
                full = np.zeros((step, features.shape[1]), features.dtype)
                full[: len(part)] = part
            # Called, not `predict`: a graph for each of many heads costs more than its products.
            output = _number(self.model(full, training=False))
            outputs.append(output[: len(part)].astype(np.float64))
        output = np.concatenate(outputs)
        if output.shape[1] == 1:
            return np.concatenate([1 - output, output], axis=1)
        return output

    def last_maps(self, maps: np.ndarray) -> np.ndarray:
        """Return the maps that are pooled: see Head."""
        if self._maps is None:
            return maps
        rows = maps.reshape(len(maps), -1).astype(np.float16)  # as they are cached
        return _number(self._maps(rows, training=False))

    def gradient(self, pooled: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return (n, dimension), the gradient of the logit of classes (n,): see Head."""
        return self.dense.gradient(pooled, classes)

    @cached_property
    def dense(self) -> Dense:
        """The arithmetic of the layers after the pooling.

        Dropout does nothing once a head is trained. ValueError if there is a layer that `build`
        does not make.
        """
        keras = keras_backend.start()
        layers, mean, deviation = [], np.float32(0), np.float32(1)
        for layer in self.model.layers[1 if self._maps is None else 2 :]:
            if isinstance(layer, keras.layers.Normalization):
                mean = _number(layer.mean)[0]
                # As Keras does: a variance of 0 divides by a small number.
                deviation = np.maximum(np.sqrt(_number(layer.variance)[0]), keras.config.epsilon())
            elif isinstance(layer, keras.layers.Dense):
                kernel, bias = (np.array(x, np.float32) for x in layer.get_weights())
                layers.append((kernel, bias))
            elif not isinstance(layer, keras.layers.Dropout):
                raise ValueError(f"a head with a layer of an unknown kind: {layer}")
        dimension = layers[0][0].shape[0]
        full = [np.broadcast_to(x, dimension).astype(np.float32) for x in (mean, deviation)]
        return Dense(full[0], full[1], layers)

    @cached_property
    def _maps(self) -> Any:
        """The fine-tuned layers up to the maps that are pooled; None if there are none."""
        keras = keras_backend.start()
        layers = self.model.layers[1]
        if not isinstance(layers, keras.Model):
            return None
        pool = next(x for x in layers.layers if isinstance(x, keras.layers.GlobalAveragePooling2D))
        return keras.Model(layers.input, keras.ops.cast(pool.input, "float32"))

    def in_float32(self) -> "TrainedKerasHead":
        """Return a copy that computes all in float32, the backbone's layers in it too.

        Its weights are float32 already. It is built anew from its description: a model within it
        would go on casting its input to bfloat16 if each layer were told alone.
        """
        keras = keras_backend.start()
        described = self.model.to_json().replace('"mixed_bfloat16"', '"float32"')
        copy = keras.models.model_from_json(described.replace('"bfloat16"', '"float32"'))
        copy.set_weights(self.model.get_weights())
        return TrainedKerasHead(copy)

    def symbolic(self, features: Any) -> Any:
        """Return symbolic (n, classes) float32 of symbolic features: see Head."""
        keras = keras_backend.start()
        model = self.in_float32().model
        # A model of its own: heads come from files in which all have the same name.
        output = keras.Model(model.input, model.output)(features, training=False)
        if output.shape[1] == 1:
            return keras.ops.concatenate([1 - output, output], axis=1)
        return output

    def save(self, path: Path) -> None:
        """Write the model without its optimiser, which is twice as large and no longer needed."""
        keras_backend.start().Model(self.model.input, self.model.output).save(path)


def load(path: Path) -> TrainedKerasHead:
    """Return a saved head."""
    return TrainedKerasHead(keras_backend.start().saving.load_model(path, compile=False))


def train(
    settings: KerasHead,
    rows: Rows,
    split: Split,
    seed: int,
    classes: int,
    on_step: Callable[[int], None],
) -> TrainedKerasHead:
    """Return a head trained on the chosen photos of a split: see HeadKind."""
    set_seed(seed, split.fold)
    moments = None
    if settings.standardise:
        moments = standardisation.moments(rows, split.chosen, split.views)
    steps = -(-len(split.chosen) // settings.batch_size) * settings.epochs
    model = build(settings, rows.dimension, classes, moments)
    compile_for(model, settings, settings.learning_rate, classes, steps)
    rng = np.random.default_rng([seed, split.fold])
    order = TrainingOrder(rows, split.chosen, split.views, rng)
    return fit(model, order, split, settings.batch_size, settings.epochs, on_step)


def set_seed(*numbers: int) -> None:
    """Seed every random draw that Keras makes; other numbers give other draws."""
    (state,) = np.random.SeedSequence(numbers).generate_state(1)
    keras_backend.start().utils.set_random_seed(int(state))


def build(settings: KerasHead, dimension: int, classes: int, moments: np.ndarray | None) -> Any:
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
    model: Any, settings: KerasHead, learning_rate: float, classes: int, steps: int
) -> None:
    """Compile a model that ends as a head does, for training of `steps` steps in all."""
    keras = keras_backend.start()
    rate = learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    # Without a decay, an optimiser keeps its own.
    decay = {"weight_decay": settings.weight_decay} if settings.weight_decay else {}
    optimiser = keras.optimizers.get({"class_name": settings.optimiser, "config": decay})
    optimiser.learning_rate = rate
    smoothing = settings.label_smoothing

    def many(labels: Any, probabilities: Any) -> Any:
        labels = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), classes)
        return keras.losses.categorical_crossentropy(
            labels, probabilities, label_smoothing=smoothing
        )

    two = keras.losses.BinaryCrossentropy(label_smoothing=smoothing)
    metrics = keras.metrics
    accuracy = metrics.BinaryAccuracy if classes == 2 else metrics.SparseCategoricalAccuracy
    # TensorFlow traces a step twice if variables are made in it: the optimiser's and the metric's
    # are made before.
    optimiser.build(model.trainable_variables)
    model.compile(
        optimiser,
        two if classes == 2 else many,
        metrics=[accuracy(name="accuracy")],
        # XLA slows a head down on TensorFlow; JAX has nothing else.
        jit_compile=keras.config.backend() == "jax",
    )


def fit(
    model: Any,
    order: TrainingOrder,
    split: Split,
    batch_size: int,
    epochs: int,
    on_step: Callable[[int], None],
) -> TrainedKerasHead:
    """Train a compiled model; return it with its losses and accuracies, a number for each epoch.

    Each epoch shows each chosen photo once, in a new order, in a random view (see TrainingOrder);
    then the held-out photos of the split are measured.
    """
    keras = keras_backend.start()
    head = TrainedKerasHead(model)
    measured: list[tuple[float, float]] = []

    class Following(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            self.before = 0

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            done = min((batch + 1) * batch_size, len(order))
            on_step(done - self.before)
            self.before = done

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            measured.append(_measured(head, order.rows, split))

    with contextlib.closing(order):
        history = model.fit(
            _batches(order, batch_size),
            epochs=epochs,
            shuffle=False,  # the order is ours
            verbose=0,
            callbacks=[Following()],
        ).history
    losses, accuracies = map(list, zip(*measured, strict=True))
    head.history = {**history, "val_loss": losses, "val_accuracy": accuracies}
    return head


def _measured(head: TrainedKerasHead, rows: Rows, split: Split) -> tuple[float, float]:
    """Return log loss, in nats, and accuracy of a head on a split's held-out photos."""
    predicted = predict([head], rows, split.held_out, (split.measured,))
    labels = rows.labels[split.held_out]
    losses = log_losses(labels, predicted)
    return float(losses.mean()), float((predicted.argmax(axis=1) == labels).mean())


def _batches(order: TrainingOrder, size: int) -> Any:
    """Return a Keras dataset of an order, `size` rows a batch; the last one may be shorter."""
    keras = keras_backend.start()

    class Batches(keras.utils.PyDataset):  # type: ignore[misc, name-defined]
        def __len__(self) -> int:
            return -(-len(order) // size)

        def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
            return order.batch(slice(i * size, min((i + 1) * size, len(order))))

        def on_epoch_end(self) -> None:
            order.begin()

    return Batches()


def _number(tensor: Any) -> np.ndarray:
    """Return a tensor as an array."""
    return np.asarray(keras_backend.start().ops.convert_to_numpy(tensor))
