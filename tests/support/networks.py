"""Networks of keras.applications with random weights, as the ImageNet ones would be loaded."""

import functools
import warnings
from pathlib import Path
from unittest import mock

import h5py
import numpy as np

from dogs_vs_cats.config import backbones, recipes
from dogs_vs_cats.features import keras_backend


def settings(name: str, size: int, tap: str | None = None, pooling: str = "avgmax"):
    tap = tap or list(backbones.table()[name].taps)[-1]
    return recipes.FeatureSettings(name, tap, pooling, size, ("plain",), ("plain",))


@functools.cache
def reference(name: str, size: int):
    """Return keras.applications' own network, as for ImageNet weights, with random ones."""
    keras = keras_backend.start()
    from keras.src.utils import file_utils

    backbone = backbones.table()[name]
    with (
        warnings.catch_warnings(action="ignore"),  # MobileNet's files are for some sizes
        mock.patch.object(file_utils, "get_file"),
        mock.patch.object(keras.Model, "load_weights"),
    ):
        network = getattr(keras.applications, backbone.title)(
            weights="imagenet", include_top=False, input_shape=(size, size, 3)
        )
    rng = np.random.default_rng(1)
    for variable in network.variables:
        if len(variable.shape) == 1:  # biases, and what normalisation has learnt
            noise = rng.uniform(-0.2, 0.3, variable.shape)
            variable.assign(np.asarray(variable) + noise.astype("float32"))
        elif len(variable.shape) == 4 and variable.shape[-1] == 1:
            # Depthwise: some of Keras' first values are so low that no picture gets through.
            variable.assign(rng.normal(0, 0.4, variable.shape).astype("float32"))
    return network, getattr(keras.applications, backbone.family).preprocess_input


def written(network, path: Path) -> Path:
    """Write a network's weights in the format of the Keras downloads, and load them again."""
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    network.load_weights(path)
    return path


def photos(size: int, n: int = 2) -> np.ndarray:
    """Return (n, size, size, 3) uint8: noise, the first dark, the last bright."""
    noise = np.random.default_rng(2).uniform(0, 255, (n, size, size, 3))
    return (noise * np.linspace(0.2, 1, n)[:, None, None, None]).astype(np.uint8)
