"""Fine-tuning: the backbone's layers after the tap, trained together with the head.

On cached maps, at the speed of the layers that change: the frozen layers below the tap have
computed their maps once.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from dogs_vs_cats.config.recipes import FineTuning, KerasHead, Recipe
from dogs_vs_cats.features import keras_backend, networks, storage_type
from dogs_vs_cats.features.rows import Rows
from dogs_vs_cats.features.weights import Weights
from dogs_vs_cats.modeling.heads import keras_head
from dogs_vs_cats.modeling.heads.keras_head import TrainedKerasHead
from dogs_vs_cats.modeling.heads.prediction import step_size
from dogs_vs_cats.modeling.heads.protocol import Head, Split
from dogs_vs_cats.modeling.training_order import TrainingOrder


def layers_after_tap(recipe: Recipe, weights: Weights) -> Any:
    """Return a Keras model: cached maps (n, side * side * depth) float16 -> pooled features.

    With the ImageNet weights. Batch normalisation stays frozen, in inference mode: its moments
    are ImageNet's, and small batches would spoil them.
    """
    keras = keras_backend.start()
    settings, tuning = recipe.features, _settings(recipe)
    network = networks.build(settings.backbone, settings.size, tuning.precision, weights)
    tap = networks.tap_of(network, settings.backbone, settings.tap, settings.size)
    layers = keras.Model(tap, network.output)
    for layer in layers.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    cached = keras.Input((settings.dimension(),), dtype="float16")
    policy = "mixed_bfloat16" if tuning.precision == "bfloat16" else "float32"
    maps = keras.layers.Reshape(tap.shape[1:], dtype=policy)(cached)
    return keras.Model(cached, networks.pool(layers(maps), tuning.pooling))


def pooled(layers: Any, rows: Rows, views: tuple[str, ...], on_step: Callable[[int], None]) -> Rows:
    """Return all rows as the layers after the tap pool them, with ImageNet's weights.

    A head begins on them. `on_step` is called with the number of rows computed since its last
    call. The features are kept in memory, as float16; UserError if a number is too large for it.
    """
    keras = keras_backend.start()
    # A model of its own: a compiled model would take its optimiser along when it is copied.
    frozen = keras.Model(layers.input, layers.output)
    frozen.compile(jit_compile=keras.config.backend() == "jax")
    photos, step = np.arange(len(rows.labels)), step_size(rows.dimension)
    features = {}
    for view in views:
        features[view] = np.empty((len(photos), layers.output.shape[1]), np.float16)
        for start in range(0, len(photos), step):
            part = photos[start : start + step]
            features[view][part] = storage_type.narrowed(
                frozen.predict_on_batch(rows.take(part, view))
            )
            on_step(len(part))
    return Rows(features, dict.fromkeys(views, photos), rows.labels, corrected=rows.corrected)


def train(
    recipe: Recipe,
    layers: Any,
    head: Head,
    rows: Rows,
    split: Split,
    seed: int,
    classes: int,
    on_step: Callable[[int], None],
) -> TrainedKerasHead:
    """Return the layers after the tap and a trained `head` as one, trained together.

    `layers` are copied and stay as they are. It takes rows of maps, as a head takes rows of
    features. Its history goes on from the head's; `on_step` is as in HeadKind.train.
    """
    assert isinstance(head, TrainedKerasHead)
    assert isinstance(recipe.head, KerasHead)
    keras = keras_backend.start()
    settings = _settings(recipe)
    keras_head.set_seed(seed, split.fold, 1)
    own = keras.models.clone_model(layers)
    own.set_weights(layers.get_weights())
    maps = keras.Input((rows.dimension,), dtype="float16")
    flow = own(maps)
    # Not the head's input, which is float16: gradients would vanish in it.
    for layer in head.model.layers[1:]:
        flow = layer(flow)
    model = keras.Model(maps, flow)
    steps = -(-len(split.chosen) // settings.batch_size) * settings.epochs
    keras_head.compile_for(model, recipe.head, settings.learning_rate, classes, steps)
    rng = np.random.default_rng([seed, split.fold, 1])
    order = TrainingOrder(rows, split.chosen, split.views, rng)
    tuned = keras_head.fit(model, order, split, settings.batch_size, settings.epochs, on_step)
    tuned.history = {name: head.history[name] + x for name, x in tuned.history.items()}
    return tuned


def _settings(recipe: Recipe) -> FineTuning:
    assert recipe.retrain is not None
    return recipe.retrain
