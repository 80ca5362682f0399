"""The extractor: a frozen backbone that turns pixels into bottleneck features."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dogs_vs_cats.config import backbones
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.features import keras_backend, networks
from dogs_vs_cats.features.weights import Weights


@dataclass(frozen=True)
class Extract:
    """run: (n, size, size, 3) uint8 RGB -> (n, dimension) float32 features.

    streams: from how many threads it should be called at once to keep the device busy.
    """

    run: Callable[[np.ndarray], np.ndarray]
    streams: int


def build(
    settings: FeatureSettings, engine: Engine, weights: Weights, threads: int | None
) -> Extract:
    """Return the extractor on the Keras backend.

    With bfloat16 the weights stay float32, the arithmetic of the convolutions is bfloat16 with
    float32 sums, and pooling is float32. UserError if the backend has not the engine's device.
    """
    keras = keras_backend.start(threads)
    keras_backend.require(engine.device)
    built = model(settings, engine.precision, weights)
    # XLA's convolutions on a processor run at a third of the speed of oneDNN's; JAX has no other.
    built.compile(jit_compile=keras.config.backend() == "jax")
    # One at a time: Keras does not promise that several threads may share a model.
    return Extract(lambda x: np.asarray(built.predict_on_batch(x), dtype=np.float32), streams=1)


def model(settings: FeatureSettings, precision: str, weights: Weights):
    """Return the extractor as a Keras model, from uint8 RGB photos to float32 features.

    The backbone's own preprocessing is inside. Frozen layers run in inference mode. UserError if
    the backbone of this version of Keras is not the one in the table.
    """
    keras = keras_backend.start()
    module = getattr(keras.applications, backbones.table()[settings.backbone].module)
    network = networks.build(settings.backbone, settings.size, precision, weights)
    network.trainable = False
    photos = keras.Input((settings.size, settings.size, 3), dtype="uint8")
    prepared = module.preprocess_input(keras.ops.cast(photos, "float32"))
    tap = networks.tap_of(network, settings.backbone, settings.tap, settings.size)
    maps = keras.Model(network.input, tap)(prepared, training=False)  # (n, side, side, depth)
    return keras.Model(photos, networks.pool(maps, settings.pooling))
