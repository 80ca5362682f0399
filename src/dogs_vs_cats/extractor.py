"""The extractor: a frozen backbone that turns pixels into bottleneck features."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogs_vs_cats import backend
from dogs_vs_cats.backbones import BACKBONES, Backbone
from dogs_vs_cats.engines import Engine
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.recipes import Features
from dogs_vs_cats.weights import Weights

IMAGENET_DEVIATIONS = (0.229, 0.224, 0.225)  # of red, green and blue in [0, 1]


@dataclass(frozen=True)
class Extract:
    """run: (n, size, size, 3) uint8 RGB -> (n, dimension) float32 features.

    streams: from how many threads it should be called at once to keep the device busy.
    """

    run: Callable[[np.ndarray], np.ndarray]
    streams: int


def build(settings: Features, engine: Engine, weights: Weights, threads: int | None) -> Extract:
    """Return the extractor on the Keras backend.

    With bfloat16 the weights stay float32, the arithmetic of the convolutions is bfloat16 with
    float32 sums, and pooling is float32. UserError if the backend has not the engine's device.
    """
    keras = backend.start(threads)
    backend.require(engine.device)
    built = model(settings, engine.precision, weights)
    # XLA's convolutions on a processor run at a third of the speed of oneDNN's; JAX has no other.
    built.compile(jit_compile=keras.config.backend() == "jax")
    # One at a time: Keras does not promise that several threads may share a model.
    return Extract(lambda x: np.asarray(built.predict_on_batch(x), dtype=np.float32), streams=1)


def model(settings: Features, precision: str, weights: Weights):
    """Return the extractor as a Keras model, from uint8 RGB photos to float32 features.

    The backbone's own preprocessing is inside. Frozen layers run in inference mode. UserError if
    the backbone of this version of Keras is not the one in the table.
    """
    keras = backend.start()
    backbone = BACKBONES[settings.backbone]
    module = getattr(keras.applications, backbone.module)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        shape = (settings.size, settings.size, 3)
        network = _network(keras, backbone, shape)
    finally:
        keras.config.set_dtype_policy(policy)
    _put(weights, network)
    network.trainable = False
    photos = keras.Input(shape, dtype="uint8")  # (n, size, size, 3)
    prepared = module.preprocess_input(keras.ops.cast(photos, "float32"))
    tapped = keras.Model(network.input, _output(network, backbone, settings))
    maps = tapped(prepared, training=False)  # (n, side, side, channels)
    return keras.Model(photos, _pool(keras, settings.pooling, maps))


def _network(keras, backbone: Backbone, shape: tuple[int, int, int]):
    """Return the layers that the backbone's ImageNet weights belong to, with random weights."""
    network = getattr(keras.applications, backbone.application)(
        weights=None, include_top=False, input_shape=shape
    )
    if backbone.module != "efficientnet":
        return network

    # Where Keras itself loads EfficientNet's ImageNet weights it adds a layer, without which they
    # get pixels of another range than they were trained on (tensorflow issue 49930).
    def call(layer, *arguments, **options):
        outputs = layer(*arguments, **options)
        if not isinstance(layer, keras.layers.Normalization):
            return outputs
        scales = [1 / math.sqrt(deviation) for deviation in IMAGENET_DEVIATIONS]
        return keras.layers.Rescaling(scales, dtype=layer.dtype_policy)(outputs)

    return keras.models.clone_model(network, call_function=call)


def _put(weights: Weights, network) -> None:
    if isinstance(weights, Path):
        network.load_weights(weights)
        return
    for layer, (kernel, bias) in weights.items():
        network.get_layer(layer).set_weights([kernel, bias])


def _output(network, backbone: Backbone, settings: Features):
    """Return the tap's symbolic map (n, side, side, channels), if it is the one in the table."""
    tap = backbone.taps[settings.tap]
    layer, side = network.layers[tap.index], tap.side(settings.size)
    # Where Keras numbers layers, the number counts on from other networks of this process.
    same = _unnumbered(layer.name) == _unnumbered(settings.tap)
    if not same or layer.output.shape[1:] != (side, side, tap.depth):
        raise UserError(
            f"Expected layer {tap.index} of {backbone.application} to be {settings.tap}, "
            f"{(side, side, tap.depth)}. Received {layer.name}, {layer.output.shape[1:]}: this is "
            "not the Keras of requirements.txt. Run `make setup`."
        )
    return layer.output


def _unnumbered(name: str) -> str:
    return re.sub(r"(_\d+)?$", "", name)


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
