"""Retraining: the backbone's layers after the tap, trained on with the head, on cached maps.

Fine-tuning at the speed of the layers that change: the frozen ones below the tap have computed
their maps once.
"""

import functools
from collections.abc import Callable

import numpy as np

from dogs_vs_cats.config.recipes import Recipe
from dogs_vs_cats.features import keras_backend, networks, store
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.features.weights import Weights
from dogs_vs_cats.modeling import heads
from dogs_vs_cats.modeling.heads import Split
from dogs_vs_cats.modeling.training_order import TrainingOrder


def layers_after_tap(recipe: Recipe, weights: Weights):
    """Return a Keras model: cached maps (n, side * side * depth) float16 -> pooled features.

    With the ImageNet weights. Batch normalisation stays frozen, in inference mode: its moments
    are those of ImageNet, and small batches would spoil them.
    """
    keras = keras_backend.start()
    settings = recipe.features
    network = networks.build(settings.backbone, settings.size, recipe.retrain.precision, weights)
    tap = networks.tap_of(network, settings.backbone, settings.tap, settings.size)
    layers = keras.Model(tap, network.output)
    for layer in layers.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    cached = keras.Input((settings.dimension(),), dtype="float16")
    policy = "mixed_bfloat16" if recipe.retrain.precision == "bfloat16" else "float32"
    maps = keras.layers.Reshape(tap.shape[1:], dtype=policy)(cached)
    return keras.Model(cached, networks.pool(layers(maps), recipe.retrain.pooling))


def pooled(layers, rows: Rows, views: tuple[str, ...], tick: Callable[[int], None]) -> Rows:
    """Return what the layers after the tap, as they are, make of all rows; for a head to begin on.

    `tick` is told how many rows were computed since it was last called. The features are kept in
    memory, as float16; UserError if a number is too large for it.
    """
    keras = keras_backend.start()
    # A model of its own: what is compiled would take its optimiser along when it is copied.
    frozen = keras.Model(layers.input, layers.output)
    frozen.compile(jit_compile=keras.config.backend() == "jax")
    photos, step = np.arange(len(rows.labels)), heads.rows_a_step(rows)
    found = {}
    for view in views:
        found[view] = np.empty((len(photos), layers.output.shape[1]), np.float16)
        for start in range(0, len(photos), step):
            part = photos[start : start + step]
            found[view][part] = store.narrowed(frozen.predict_on_batch(rows.take(part, view)))
            tick(len(part))
    return Rows(found, dict.fromkeys(views, photos), rows.labels, corrected=rows.corrected)


def train(
    recipe: Recipe,
    layers,
    head,
    rows: Rows,
    split: Split,
    seed: int,
    classes: int,
    tick: Callable[[int], None],
):
    """Return (model, history): the layers after the tap and a trained `head`, trained on together.

    `layers` are copied and stay as they are. The model takes rows of maps, as a head takes rows
    of features; `tick` is as in heads.train.
    """
    keras = keras_backend.start()
    settings = recipe.retrain
    heads.set_seed(seed, split.fold, 1)
    own = keras.models.clone_model(layers)
    own.set_weights(layers.get_weights())
    maps = keras.Input((rows.dimension,), dtype="float16")
    flow = own(maps)
    for layer in head.layers[1:]:  # not its input, which is float16: gradients would drown in it
        flow = layer(flow)
    model = keras.Model(maps, flow)
    steps = -(-len(split.chosen) // settings.batch_size) * settings.epochs
    heads.compile_for(model, recipe.head, settings.learning_rate, classes, steps, 1)
    rng = np.random.default_rng([seed, split.fold, 1])
    order = TrainingOrder(rows, split.chosen, split.views, rng)
    measure = functools.partial(heads.measured, model, rows, split)
    return model, heads.fit(model, order, measure, settings.batch_size, settings.epochs, tick)
