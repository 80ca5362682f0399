"""Networks: a backbone with its ImageNet weights, cut at the tap."""

import importlib
import re
from typing import Any, Protocol, cast

from dogs_vs_cats.config import backbones
from dogs_vs_cats.config.backbones import Backbone
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.weights import Weights


class Builder(Protocol):
    """A module of features/backbones/; its docstring says what each function does."""

    def network(self, backbone: Backbone, size: int) -> Any: ...

    def prepare(self, backbone: Backbone, photos: Any) -> Any: ...

    def load_weights(self, network: Any, weights: Weights) -> None: ...


def builder(backbone: Backbone) -> Builder:
    return cast(Builder, importlib.import_module(f"dogs_vs_cats.{backbone.builder}"))


def build(name: str, size: int, precision: str, weights: Weights) -> Any:
    """Return backbone `name` as a Keras model, (n, size, size, 3) prepared pixels -> its last map.

    With bfloat16 the weights stay float32 and the arithmetic of its layers is bfloat16.
    """
    keras = keras_backend.start()
    backbone = backbones.table()[name]
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        network = builder(backbone).network(backbone, size)
    finally:
        keras.config.set_dtype_policy(policy)
    builder(backbone).load_weights(network, weights)
    return network


def prepare(name: str, photos: Any) -> Any:
    """Return symbolic uint8 photos (n, size, size, 3) as backbone `name` wants them, float32."""
    backbone = backbones.table()[name]
    return builder(backbone).prepare(backbone, keras_backend.start().ops.cast(photos, "float32"))


def tap_of(network: Any, name: str, tap: str, size: int) -> Any:
    """Return the tap's symbolic map (n, side, side, depth) in the network of backbone `name`.

    UserError if the network is not the one in the table of backbones.
    """
    backbone = backbones.table()[name]
    expected = backbone.taps[tap]
    layer, side = network.layers[expected.index], expected.side(size)
    # Where Keras numbers layers, the number counts on from other networks of this process.
    same = _unnumbered(layer.name) == _unnumbered(tap)
    if not same or layer.output.shape[1:] != (side, side, expected.depth):
        raise UserError(
            f"Expected layer {expected.index} of {backbone.title} to be {tap}, "
            f"{(side, side, expected.depth)}, received {layer.name}, {layer.output.shape[1:]}: "
            f"{_mend(name)}"
        )
    return layer.output


def _mend(name: str) -> str:
    if name in backbones.OTHERS:
        return f"correct the entry of {name} in OTHERS of config/backbones.py."
    return "this is not the Keras of requirements.txt. Run `make setup`."


def _unnumbered(name: str) -> str:
    return re.sub(r"(_\d+)?$", "", name)


def pool(maps: Any, pooling: str) -> Any:
    """Return float32 features (n, dimension) of symbolic maps (n, side, side, depth).

    `none` and `flatten` keep every number, `avg` a mean a channel, `avgmax` the means, then the
    maxima. `tokens` is a mean too: maps of tokens have the class token at every place
    (backbones/keras_hub.py).
    """
    layers = keras_backend.start().layers
    if pooling in ("none", "flatten"):
        return layers.Flatten(dtype="float32")(maps)
    average = layers.GlobalAveragePooling2D(dtype="float32")(maps)
    if pooling in ("avg", "tokens"):
        return average
    maximum = layers.GlobalMaxPooling2D(dtype="float32")(maps)
    return layers.Concatenate(dtype="float32")([average, maximum])
