"""The extractor: a frozen backbone that turns pixels into bottleneck features."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dogs_vs_cats import backend
from dogs_vs_cats.backbones import BACKBONES
from dogs_vs_cats.engines import Engine
from dogs_vs_cats.recipes import Features
from dogs_vs_cats.weights import Tensors


@dataclass(frozen=True)
class Extract:
    """run: (n, size, size, 3) uint8 RGB -> (n, dimension) float32 features.

    streams: from how many threads it should be called at once to keep the device busy.
    """

    run: Callable[[np.ndarray], np.ndarray]
    streams: int


def build(settings: Features, engine: Engine, tensors: Tensors, threads: int | None) -> Extract:
    """Return the extractor on the Keras backend.

    With bfloat16 the weights stay float32, the arithmetic of the convolutions is bfloat16 with
    float32 sums, and pooling is float32. UserError if the backend has not the engine's device.
    """
    keras = backend.start(threads)
    backend.require(engine.device)
    built = model(settings, engine.precision, tensors)
    # XLA's convolutions on a processor run at a third of the speed of oneDNN's; JAX has no other.
    built.compile(jit_compile=keras.config.backend() == "jax")
    # A GPU gets its next batch while the last one's features travel back.
    streams = 2 if engine.device == "gpu" else 1
    return Extract(lambda x: np.asarray(built.predict_on_batch(x), dtype=np.float32), streams)


def model(settings: Features, precision: str, tensors: Tensors):
    """Return the extractor as a Keras model, from uint8 RGB photos to float32 features.

    The backbone's own preprocessing is inside. Frozen layers run in inference mode.
    """
    keras = backend.start()
    backbone = BACKBONES[settings.backbone]
    module = getattr(keras.applications, backbone.module)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        shape = (settings.size, settings.size, 3)
        network = getattr(module, backbone.application)(
            weights=None, include_top=False, input_shape=shape
        )
    finally:
        keras.config.set_dtype_policy(policy)
    for layer, (kernel, bias) in tensors.items():
        network.get_layer(layer).set_weights([kernel, bias])
    network.trainable = False
    photos = keras.Input(shape, dtype="uint8")  # (n, size, size, 3)
    prepared = module.preprocess_input(keras.ops.cast(photos, "float32"))
    tapped = keras.Model(network.input, network.get_layer(settings.tap).output)
    maps = tapped(prepared, training=False)  # (n, side, side, channels)
    return keras.Model(photos, _pool(keras, settings.pooling, maps))


def _pool(keras, pooling: str, maps):
    layers = keras.layers
    if pooling == "flatten":
        return layers.Flatten(dtype="float32")(maps)
    average = layers.GlobalAveragePooling2D(dtype="float32")(maps)
    if pooling == "avg":
        return average
    maximum = layers.GlobalMaxPooling2D(dtype="float32")(maps)
    return layers.Concatenate(dtype="float32")([average, maximum])


def show(images: np.ndarray, view: str) -> np.ndarray:
    """Return a view of photos (n, height, width, 3): as they are, or mirrored left to right."""
    return {"plain": images, "mirror": images[:, :, ::-1]}[view]
