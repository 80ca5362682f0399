"""Networks: a backbone of keras.applications with its ImageNet weights, cut at the tap."""

import math
import re
from pathlib import Path

from dogs_vs_cats.config import backbones
from dogs_vs_cats.config.backbones import Backbone
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.weights import Weights

IMAGENET_DEVIATIONS = (0.229, 0.224, 0.225)  # of red, green and blue in [0, 1]


def build(name: str, size: int, precision: str, weights: Weights):
    """Return backbone `name` as a Keras model, (n, size, size, 3) prepared pixels -> its last map.

    With bfloat16 the weights stay float32 and the arithmetic of its layers is bfloat16.
    """
    keras = keras_backend.start()
    backbone = backbones.table()[name]
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        network = _architecture(keras, backbone, (size, size, 3))
    finally:
        keras.config.set_dtype_policy(policy)
    if isinstance(weights, Path):
        network.load_weights(weights)
    else:
        for layer, (kernel, bias) in weights.items():
            network.get_layer(layer).set_weights([kernel, bias])
    return network


def _architecture(keras, backbone: Backbone, shape: tuple[int, int, int]):
    """Return the layers that the backbone's ImageNet weights belong to, with random weights."""
    network = getattr(keras.applications, backbone.title)(
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


def tap_of(network, name: str, tap: str, size: int):
    """Return the tap's symbolic map (n, side, side, depth) in the network of backbone `name`.

    UserError if the backbone of this version of Keras is not the one in the table.
    """
    backbone = backbones.table()[name]
    expected = backbone.taps[tap]
    layer, side = network.layers[expected.index], expected.side(size)
    # Where Keras numbers layers, the number counts on from other networks of this process.
    same = _unnumbered(layer.name) == _unnumbered(tap)
    if not same or layer.output.shape[1:] != (side, side, expected.depth):
        raise UserError(
            f"Expected layer {expected.index} of {backbone.title} to be {tap}, "
            f"{(side, side, expected.depth)}. Received {layer.name}, {layer.output.shape[1:]}: "
            "this is not the Keras of requirements.txt. Run `make setup`."
        )
    return layer.output


def _unnumbered(name: str) -> str:
    return re.sub(r"(_\d+)?$", "", name)


def pool(maps, pooling: str):
    """Return float32 features (n, dimension) of symbolic maps (n, side, side, depth).

    `none` and `flatten` keep every number, `avg` a mean a channel, `avgmax` the means, then the
    maxima.
    """
    layers = keras_backend.start().layers
    if pooling in ("none", "flatten"):
        return layers.Flatten(dtype="float32")(maps)
    average = layers.GlobalAveragePooling2D(dtype="float32")(maps)
    if pooling == "avg":
        return average
    maximum = layers.GlobalMaxPooling2D(dtype="float32")(maps)
    return layers.Concatenate(dtype="float32")([average, maximum])
