"""Peers: common other ways to compute features of the same photos."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats.features import keras_backend, weights

BATCH = 32
FEWEST = 4  # batches that the tutorial way is measured on, at least


def tutorial(folder: str, size: int, weights_folder: str, seconds: float) -> dict[str, Any]:
    """Return photos a second of a typical tutorial, its first batch not counted.

    It uses Keras's image_dataset_from_directory and float32 `VGG16.predict`. If all photos would
    take much longer than `seconds`, a random sample is measured. `device` is cpu, or Keras's name
    of the GPU that TensorFlow used.
    """
    keras = keras_backend.start()
    photos = keras.utils.image_dataset_from_directory(
        folder, labels=None, image_size=(size, size), batch_size=BATCH, seed=0, verbose=False
    )
    network = keras.applications.VGG16(weights=None, include_top=False, input_shape=(size, size, 3))
    for layer, pair in _vgg16(weights_folder).items():
        network.get_layer(layer).set_weights(list(pair))
    prepared = photos.map(keras.applications.vgg16.preprocess_input)
    network.predict(prepared.take(1), verbose=0)
    started = time.monotonic()
    network.predict(prepared.take(2), verbose=0)
    batches = max(FEWEST, round(seconds / ((time.monotonic() - started) / 2)))
    started = time.monotonic()
    maps = network.predict(prepared.take(batches), verbose=0)
    rate = len(maps) / (time.monotonic() - started)
    device = next(iter(keras.distribution.list_devices("gpu")), "cpu")
    return {"photos_a_second": rate, "photos": len(maps), "device": device}


def torch(folder: str, size: int, weights_folder: str, seconds: float) -> dict[str, Any]:
    """Return photos a second of PyTorch's VGG16 under bfloat16 autocast, after a first batch.

    Without decoding, so it is an upper bound for a PyTorch pipeline. `device` is cpu, or the
    GPU's name.
    """
    import torch as pytorch

    layers: list[Any] = []
    depth, block = 3, "1"
    for name, (kernel, bias) in _vgg16(weights_folder).items():
        if name[5] != block:
            layers.append(pytorch.nn.MaxPool2d(2))
            block = name[5]
        convolution = pytorch.nn.Conv2d(depth, len(bias), 3, padding=1)
        # Keras kernels are (height, width, in, out), PyTorch kernels (out, in, height, width).
        convolution.weight.data = pytorch.from_numpy(
            np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        )
        convolution.bias.data = pytorch.from_numpy(bias)
        layers += [convolution, pytorch.nn.ReLU()]
        depth = len(bias)
    network = pytorch.nn.Sequential(*layers, pytorch.nn.MaxPool2d(2)).eval()
    device = "cuda" if pytorch.cuda.is_available() else "cpu"
    network = network.to(device, memory_format=pytorch.channels_last)
    images = pytorch.rand(BATCH, 3, size, size, device=device) * 255 - 120
    images = images.to(memory_format=pytorch.channels_last)
    done = 0
    with pytorch.inference_mode(), pytorch.autocast(device, dtype=pytorch.bfloat16):
        network(images)
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            network(images).float().cpu()
            done += len(images)
    rate = done / (time.monotonic() - started)
    name = "cpu" if device == "cpu" else pytorch.cuda.get_device_name()
    return {"photos_a_second": rate, "device": name}


def _vgg16(folder: str) -> dict[str, Any]:
    """Return layer -> (kernel, bias) of VGG16."""
    tensors = weights.load("vgg16", Path(folder))
    assert isinstance(tensors, dict)
    return tensors
