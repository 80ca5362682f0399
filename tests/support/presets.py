"""Folders of KerasHub presets, as KerasHub itself saves them: EfficientNet-Lite0, tiny networks."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.features.backbones import pytorch_files

VIT = {
    "image_shape": (32, 32, 3),
    "patch_size": 8,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 12,
    "mlp_dim": 24,
}
DINOV2 = {
    "patch_size": 8,
    "num_layers": 2,
    "hidden_dim": 12,
    "num_heads": 2,
    "intermediate_dim": 24,
    "num_register_tokens": 3,
    "image_shape": (32, 32, 3),
    "position_embedding_shape": (48, 48, 3),
}
RESNET = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 16],
    "stackwise_num_blocks": [1, 1],
    "stackwise_num_strides": [1, 2],
    "block_type": "basic_block",
}
SIGLIP = {
    "patch_size": 8,
    "hidden_dim": 12,
    "num_layers": 1,
    "num_heads": 2,
    "intermediate_dim": 24,
    "image_shape": (32, 32, 3),
}
LITE0 = {
    "stackwise_width_coefficients": [1.0] * 7,
    "stackwise_depth_coefficients": [1.0] * 7,
    "stackwise_kernel_sizes": [3, 3, 5, 3, 5, 5, 3],
    "stackwise_num_repeats": [1, 2, 2, 3, 3, 4, 1],
    "stackwise_input_filters": [32, 16, 24, 40, 80, 112, 192],
    "stackwise_output_filters": [16, 24, 40, 80, 112, 192, 320],
    "stackwise_expansion_ratios": [1, 6, 6, 6, 6, 6, 6],
    "stackwise_strides": [1, 2, 2, 2, 1, 2, 1],
    "stackwise_squeeze_and_excite_ratios": [0.0] * 7,
    # `unfused` pads as TensorFlow does, but has no 1 x 1 projection without an expansion.
    "stackwise_block_types": ["v1"] + ["unfused"] * 6,
    "activation": "relu6",
    "include_stem_padding": False,
    "stem_conv_padding": "same",
    "batch_norm_epsilon": 1e-3,
}


@functools.cache
def keras_hub() -> Any:
    keras_backend.start()
    with keras_backend.tensorflow_allowed():
        import keras_hub
    return keras_hub


def saved(folder: Path, kind: str, settings: dict[str, Any], **scaling: Any) -> Path:
    """Save the preset of a network with random weights; scaling: of its image converter."""
    keras_backend.start().utils.set_random_seed(4)
    return _save(folder, kind, getattr(keras_hub().models, f"{kind}Backbone")(**settings), scaling)


def lite0(folder: Path, weights: Path) -> Path:
    """Save EfficientNet-Lite0 as a preset, with the weights in the PyTorch file."""
    network = keras_hub().models.EfficientNetBackbone(**LITE0)
    groups: dict[str, list[np.ndarray]] = {}  # layers are in the file as they are computed
    for name, array in pytorch_files.read(weights).items():
        layer, _, kind = name.rpartition(".")
        if layer != "_fc" and kind != "num_batches_tracked":
            groups.setdefault(layer, []).append(array)
    for layer, arrays in zip(_layers(network), groups.values(), strict=True):
        if len(arrays) == 1:  # a kernel (out, in, h, w), not a normalisation
            each = "depthwise" in type(layer).__name__.lower()
            arrays = [arrays[0].transpose((2, 3, 0, 1) if each else (2, 3, 1, 0))]
        layer.set_weights(arrays)
    return _save(folder, "EfficientNet", network, {"scale": 1 / 128, "offset": -127 / 128})


def siglip(folder: Path) -> Path:
    """Save a SigLIP preset, which reads texts too."""
    models = keras_hub().models
    keras_backend.start().utils.set_random_seed(4)
    from keras_hub.src.models.siglip.siglip_text_encoder import SigLIPTextEncoder
    from keras_hub.src.models.siglip.siglip_vision_encoder import SigLIPVisionEncoder

    texts = {"vocabulary_size": 9, "embedding_dim": 12, "hidden_dim": 12, "num_layers": 1}
    texts |= {"num_heads": 2, "intermediate_dim": 24, "max_sequence_length": 4}
    both = SigLIPVisionEncoder(**SIGLIP, name="v"), SigLIPTextEncoder(**texts, name="t")
    network = models.SigLIPBackbone(vision_encoder=both[0], text_encoder=both[1])
    return _save(folder, "SigLIP", network, {"scale": 1 / 127.5, "offset": -1.0})


def _save(folder: Path, kind: str, network: Any, scaling: dict[str, Any]) -> Path:
    network.save_to_preset(str(folder))
    converter = getattr(keras_hub().layers, f"{kind}ImageConverter")
    converter(image_size=(32, 32), **scaling).save_to_preset(str(folder))
    return folder


def _layers(network: Any) -> Iterator[Any]:
    """Yield the layers that have weights, in the order of the network, also those in blocks."""
    for layer in network.layers:
        if hasattr(layer, "output_conv"):
            yield from (layer.conv1, layer.bn1, layer.depthwise, layer.bn2)
            yield from (layer.output_conv, layer.bn3)
        elif layer.weights:
            yield layer
