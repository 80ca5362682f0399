"""The networks of keras.applications. A backbone's family is its submodule there."""

import math
from pathlib import Path
from typing import Any

from dogs_vs_cats.config.backbones import Backbone
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.weights import Weights

IMAGENET_DEVIATIONS = (0.229, 0.224, 0.225)  # of red, green and blue in [0, 1]


def network(backbone: Backbone, size: int) -> Any:
    """Return the layers that the ImageNet weights belong to, with random weights."""
    keras = keras_backend.start()
    built = getattr(keras.applications, backbone.title)(
        weights=None, include_top=False, input_shape=(size, size, 3)
    )
    if backbone.family != "efficientnet":
        return built

    # Where Keras itself loads EfficientNet's ImageNet weights it adds a layer, without which they
    # get pixels of another range than they were trained on (tensorflow issue 49930).
    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        outputs = layer(*arguments, **options)
        if not isinstance(layer, keras.layers.Normalization):
            return outputs
        scales = [1 / math.sqrt(deviation) for deviation in IMAGENET_DEVIATIONS]
        return keras.layers.Rescaling(scales, dtype=layer.dtype_policy)(outputs)

    return keras.models.clone_model(built, call_function=call)


def prepare(backbone: Backbone, photos: Any) -> Any:
    """Return float32 RGB in [0, 255] as the family's own preprocessing makes it."""
    module = getattr(keras_backend.start().applications, backbone.family)
    return module.preprocess_input(photos)


def load_weights(network: Any, weights: Weights) -> None:
    """Set the weights: the HDF5 file that Keras publishes, or the arrays of each layer."""
    if isinstance(weights, Path):
        network.load_weights(weights)
    else:
        for layer, arrays in weights.items():
            network.get_layer(layer).set_weights(list(arrays))
