"""The table of backbones, from Keras.

`PYTHONPATH=src:tests python -m support.backbone_table` writes it.

Needed when another Keras is pinned; test_backbones.py says so. Networks are built without
memory for their weights, so even the largest takes seconds.
"""

import inspect
import json
import warnings
from collections.abc import Iterator
from unittest import mock

import keras
from keras.src.applications import imagenet_utils
from keras.src.utils import file_utils

from dogs_vs_cats.config.backbones import TABLE
from support import backbone_key

# Keras publishes no hash of these two files. These are the ones that MIA (github.com/MIAnalyzer,
# which serves the same files itself) checks them by; its hashes of the other files, of VGG,
# ResNet, Inception, Xception, DenseNet and NASNet, are those that Keras publishes.
HASHES = {
    "mobilenet_1_0_224_tf_no_top.h5": "725ccbd03d61d7ced5b5c4cd17e7d527",
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5": (
        "f1a68526548f7541cda07e19ba6c85f4"
    ),
}
# MobileNetV3 alone asks no one for its sizes; these are in its code and its file's name.
SIZES = {"min_size": 32, "default_size": 224}
# The size of the networks looked at. All their maps, down to stride 32, have an odd side: then
# what is padded before a step of 2 (correct_pad) is the same on both sides, and the whole rule.
SIZE = {"nasnet": 259}  # and 257 for all others
# What computes nothing learnt: the input, what is left of preprocessing, rims of zeros.
NO_TAPS = ("InputLayer", "Rescaling", "Normalization", "ZeroPadding2D")


def builders() -> dict[str, tuple[str, str]]:
    """Return name -> (submodule of keras.applications, its builder), for every backbone."""
    return {
        name.lower(): (builder.__module__.rpartition(".")[2], name)
        for name, builder in inspect.getmembers(keras.applications, inspect.isfunction)
    }


def network(application: str, size: int, weights: str | None = None):
    """Return the network for `size` x `size` pixels, its variables without values.

    Its layers have the names that they have in a process that built nothing before.
    """
    keras.backend.clear_session()
    with keras.StatelessScope(initialize_variables=False):
        build = getattr(keras.applications, application)
        return build(weights=weights, include_top=False, input_shape=(size, size, 3))


def entry(module: str, application: str) -> dict:
    """Return a backbone's line of the table, from the network that gets the ImageNet weights."""
    files, sizes = [], dict(SIZES)

    def get_file(name, url, file_hash=None, **_):
        files.append((name, url, file_hash or HASHES[name]))

    def obtain_input_shape(*args, **kwargs):
        sizes.update({key: kwargs[key] for key in SIZES})
        return known(*args, **kwargs)

    known = imagenet_utils.obtain_input_shape
    with (
        warnings.catch_warnings(action="ignore"),  # MobileNet's files are for some sizes
        mock.patch.object(file_utils, "get_file", get_file),
        mock.patch.object(imagenet_utils, "obtain_input_shape", obtain_input_shape),
        mock.patch.object(keras.Model, "load_weights"),
    ):
        built = network(application, SIZE.get(module, 257), "imagenet")
    ((file, url, digest),) = files
    return {
        "application": application,
        "module": module,
        "smallest": sizes["min_size"],
        "default": sizes["default_size"],
        "file": file,
        "url": url,
        "hash": digest,
        "taps": list(taps(built)),
    }


def taps(built) -> Iterator[list]:
    """Yield [name, index, depth, offset, stride] of each layer that every path goes through."""
    sides = _sides(built)
    for operation in _on_every_path(built):
        kind = type(operation).__name__
        if operation in built.layers and kind not in NO_TAPS and len(operation.output.shape) == 4:
            index, depth = built.layers.index(operation), operation.output.shape[-1]
            yield [operation.name, index, depth, *sides[operation]]


def _inputs(operation) -> list:
    found = operation.input
    return list(found) if isinstance(found, list | tuple) else [found]


def _on_every_path(built) -> Iterator:
    """Yield the operations that no path from the input to the output avoids, in order.

    The operations are in topological order, and each lies on some path. So a path around one
    exists just where an edge leads from before it to behind it.
    """
    operations = built.operations
    behind = {operation: [] for operation in operations}
    for place, operation in enumerate(operations[1:], start=1):
        for tensor in _inputs(operation):
            behind[tensor._keras_history.operation].append(place)
    reach = 0
    for place, operation in enumerate(operations):
        if reach <= place:
            yield operation
        reach = max([reach, *behind[operation]])


def _sides(built) -> dict:
    """Return operation -> (offset, stride): its map's side is (size + offset) // stride.

    Exact for every size, as one floor of a floor is a floor:
    ((size + a) // b + c) // d == (size + a + b * c) // (b * d).
    """
    found = {}
    for operation in built.operations:
        if type(operation).__name__ == "InputLayer":
            found[operation] = (0, 1)
            continue
        # Where branches meet, one of them may be a single number a channel, as in squeeze and
        # excitation; the others have the same side.
        largest = max(_inputs(operation), key=lambda tensor: (len(tensor.shape), tensor.shape[1]))
        found[operation] = _side(operation, *found[largest._keras_history.operation])
    return found


def _side(operation, offset: int, stride: int) -> tuple[int, int]:
    kind = type(operation).__name__
    if kind == "Sequential":
        for layer in operation.layers:
            offset, stride = _side(layer, offset, stride)
    elif kind == "ZeroPadding2D":
        offset += stride * sum(operation.padding[0])
    elif "Conv2D" in kind or kind in ("MaxPooling2D", "AveragePooling2D"):
        window = operation.kernel_size if "Conv2D" in kind else operation.pool_size
        step = operation.strides[0]
        # Keras: ceil(side / step) with padding, (side - window) // step + 1 without.
        offset += stride * (step - (1 if operation.padding == "same" else window[0]))
        stride *= step
    return offset, stride


def text() -> str:
    """Return the whole table as JSON, one tap a line."""
    lines = []
    for name, (module, application) in builders().items():
        fields = entry(module, application)
        listed = ",\n".join(f"   {json.dumps(tap)}" for tap in fields.pop("taps"))
        rest = ",\n".join(f"  {json.dumps(key)}: {json.dumps(v)}" for key, v in fields.items())
        lines.append(f' "{name}": {{\n{rest},\n  "taps": [\n{listed}\n  ]\n }}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(text(), encoding="utf-8")
    backbone_key.write()
