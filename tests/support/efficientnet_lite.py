"""EfficientNet-Lite with made-up weights: small enough for tests, as large as it is."""

import math

import numpy as np

# (kernel, stride, expansion, channels, repeats), as they are published.
BLOCKS = {
    "efficientnet-lite0": [
        *[(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3)],
        *[(5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)],
    ],
    "efficientnet-lite2": [
        *[(3, 1, 1, 16, 1), (3, 2, 6, 24, 3), (5, 2, 6, 48, 3), (3, 2, 6, 88, 4)],
        *[(5, 1, 6, 120, 4), (5, 2, 6, 208, 5), (3, 1, 6, 352, 1)],
    ],
}


def made_up(name: str) -> dict[str, np.ndarray]:
    """Return name -> array, of random weights that let a picture through."""
    rng, tensors = np.random.default_rng(3), {}

    def convolution(place: str, norm: str, out: int, into: int, kernel: int) -> None:
        scale = math.sqrt(2 / (into * kernel**2))
        # Transposed in memory, as those that were converted from TensorFlow are.
        array = rng.normal(0, scale, (kernel, kernel, into, out)).astype(np.float32)
        tensors[f"{place}.weight"] = array.transpose(3, 2, 0, 1)
        around = norm.rpartition(".")[0]
        for part, low, high in (
            ("weight", 0.8, 1.5),
            ("bias", -0.2, 0.6),
            ("running_mean", -0.3, 0.3),
            ("running_var", 0.5, 1.5),
        ):
            tensors[f"{norm}.{part}"] = rng.uniform(low, high, out).astype(np.float32)
        tensors[f"{norm}.num_batches_tracked"] = np.array([7])
        assert around == place.rpartition(".")[0]

    convolution("_conv_stem", "_bn0", 32, 3, 3)
    channels, number = 32, 0
    for kernel, _, expansion, out, repeats in BLOCKS[name]:
        for _ in range(repeats):
            place, inside = f"_blocks.{number}", channels * expansion
            if expansion > 1:
                convolution(f"{place}._expand_conv", f"{place}._bn0", inside, channels, 1)
            convolution(f"{place}._depthwise_conv", f"{place}._bn1", inside, 1, kernel)
            convolution(f"{place}._project_conv", f"{place}._bn2", out, inside, 1)
            channels, number = out, number + 1
    convolution("_conv_head", "_bn1", 1280, channels, 1)
    tensors["_fc.weight"] = rng.normal(0, 0.1, (1000, 1280)).astype(np.float32)
    tensors["_fc.bias"] = rng.normal(0, 1, 1000).astype(np.float32)
    return tensors
