"""The extractor: a frozen backbone that turns pixels into bottleneck features."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.features import keras_backend, networks
from dogs_vs_cats.features.weights import Weights


@dataclass(frozen=True)
class Extractor:
    """run: (n, size, size, 3) uint8 RGB -> (n, dimension) float32 features.

    streams: from how many threads to call it at once to keep the device busy.
    """

    run: Callable[[np.ndarray], np.ndarray]
    streams: int


def build(
    settings: FeatureSettings, engine: Engine, weights: Weights, threads: int | None
) -> Extractor:
    """Return the extractor on the Keras backend.

    With bfloat16 the weights stay float32, the arithmetic of the convolutions is bfloat16 with
    float32 sums, and pooling is float32. UserError if the backend lacks the engine's device.
    """
    keras = keras_backend.start(threads)
    keras_backend.require(engine.device)
    built = model(settings, engine.precision, weights)
    # XLA's convolutions on a processor run at a third of the speed of oneDNN's; JAX has no other.
    built.compile(jit_compile=keras.config.backend() == "jax")
    # One stream: Keras does not promise that several threads may share a model.
    return Extractor(lambda x: np.asarray(built.predict_on_batch(x), dtype=np.float32), streams=1)


def model(settings: FeatureSettings, precision: str, weights: Weights) -> Any:
    """Return the extractor as a Keras model, from uint8 RGB photos to float32 features.

    The backbone's own preprocessing is inside. Frozen layers run in inference mode. UserError if
    the network is not the one in the table of backbones.
    """
    keras = keras_backend.start()
    network = networks.build(settings.backbone, settings.size, precision, weights)
    network.trainable = False
    photos = keras.Input((settings.size, settings.size, 3), dtype="uint8")
    prepared = networks.prepare(settings.backbone, photos)
    tap = networks.tap_of(network, settings.backbone, settings.tap, settings.size)
    maps = keras.Model(network.input, tap)(prepared, training=False)  # (n, side, side, depth)
    return keras.Model(photos, networks.pool(maps, settings.pooling))
