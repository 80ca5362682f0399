"""EfficientNet-Lite (Google, 2020): EfficientNet for plain processors.

EfficientNet-B0's seven stages without squeeze-and-excitation, with ReLU6 in place of swish. A
backbone's family is its variant. Weights: the official ones, converted to PyTorch's format. The
batch normalisation after each convolution is folded into its kernel and bias: the same function,
which Keras computes 2 to 4 times as fast on a processor.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dogs_vs_cats.config.backbones import LOGITS, Backbone
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.backbones import pytorch_files
from dogs_vs_cats.features.weights import Weights

SCALES = {"lite0": (1.0, 1.0), "lite2": (1.1, 1.2)}  # of channels, of repeats
STEM, TOP = 32, 1280  # channels of the first and the last convolution, which are never scaled
EPSILON = 1e-3  # of batch normalisation


@dataclass(frozen=True)
class Stage:
    """Blocks of one kind. kernel: pixels a side. expansion: of channels, inside a block."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    repeats: int


STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)


def network(backbone: Backbone, size: int) -> Any:
    """Return the layers that the ImageNet weights belong to, with random weights.

    A backbone with the tap `logits` has its classifier too, at each place of the last map: a mean
    of linear functions is the function of the mean (Zhou et al. 2016, arXiv:1512.04150).
    """
    keras = keras_backend.start()
    width, depth = SCALES[backbone.family]
    photos = keras.Input((size, size, 3))
    flow = _convolution(photos, "stem", STEM, 3, 2)
    number, last = 0, len(STAGES) - 1
    for i, stage in enumerate(STAGES):
        channels = _channels(stage.channels * width)
        repeats = stage.repeats if i in (0, last) else math.ceil(stage.repeats * depth)
        for repeat in range(repeats):
            stride = stage.stride if repeat == 0 else 1
            flow = _block(flow, f"block{number}", stage, channels, stride)
            number += 1
    flow = _convolution(flow, "top", TOP, 1, 1)
    if LOGITS in backbone.taps:
        flow = keras.layers.Conv2D(backbone.taps[LOGITS].depth, 1, name=LOGITS)(flow)
    return keras.Model(photos, flow)


def prepare(backbone: Backbone, photos: Any) -> Any:
    """Return RGB in [0, 255] as the weights were trained with: about -1 to 1."""
    return (photos - 127.0) / 128.0


def load_weights(network: Any, weights: Weights) -> None:
    """Set the weights from the proven PyTorch file."""
    assert not isinstance(weights, dict)
    tensors = pytorch_files.read(weights)
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(_arrays(layer.name, tensors))


def _channels(wanted: float) -> int:
    """Return the multiple of 8 next to `wanted`, and at least 0.9 of it."""
    near = max(8, int(wanted + 4) // 8 * 8)
    return near + 8 if near < 0.9 * wanted else near


def _block(flow: Any, name: str, stage: Stage, channels: int, stride: int) -> Any:
    """Expand, convolve each channel by itself, project; add the input where its shape allows."""
    layers = keras_backend.start().layers
    before, inside = flow, flow.shape[-1] * stage.expansion
    if stage.expansion > 1:
        flow = _convolution(flow, f"{name}_expand", inside, 1, 1)
    flow = layers.DepthwiseConv2D(stage.kernel, stride, "same", name=f"{name}_depthwise")(flow)
    flow = layers.ReLU(6, name=f"{name}_depthwise_out")(flow)
    flow = layers.Conv2D(channels, 1, name=f"{name}_project")(flow)
    if stride == 1 and before.shape[-1] == channels:
        flow = layers.Add(name=f"{name}_out")([flow, before])
    return flow


def _convolution(flow: Any, name: str, channels: int, kernel: int, stride: int) -> Any:
    """Convolve, and cut off below 0 and above 6."""
    layers = keras_backend.start().layers
    flow = layers.Conv2D(channels, kernel, stride, "same", name=name)(flow)
    return layers.ReLU(6, name=f"{name}_out")(flow)


# Our names of convolutions -> those of the file; of the normalisation after each.
TOP_LEVEL = {"stem": ("_conv_stem", "_bn0"), "top": ("_conv_head", "_bn1")}
IN_BLOCK = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def _arrays(layer: str, tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Return a convolution's kernel, in Keras' layout, and bias: both with its normalisation."""
    if layer == LOGITS:
        return [tensors["_fc.weight"].T[None, None], tensors["_fc.bias"]]
    block, _, part = layer.partition("_")
    place = f"_blocks.{block.removeprefix('block')}." if part else ""
    convolution, norm = IN_BLOCK[part] if part else TOP_LEVEL[layer]
    gamma, beta, mean, variance = (
        tensors[f"{place}{norm}.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + EPSILON)  # (out,)
    # (out, in, h, w) -> (h, w, in, out); depthwise (channels, 1, h, w) -> (h, w, channels, 1).
    kernel = tensors[f"{place}{convolution}.weight"] * scale[:, None, None, None]
    kernel = kernel.transpose((2, 3, 0, 1) if part == "depthwise" else (2, 3, 1, 0))
    return [kernel.astype(np.float32), (beta - mean * scale).astype(np.float32)]
