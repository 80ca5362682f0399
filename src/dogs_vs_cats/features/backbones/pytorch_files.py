"""Files of PyTorch tensors, in the format of before PyTorch 1.6, read without PyTorch.

Five pickles (a magic number, the protocol, facts about the machine, the dictionary of tensors, the
keys of their storages), then each storage: its length (int64) and its numbers. Nothing in a file
can run code: the unpickler knows what a dictionary of tensors takes and refuses the rest.
"""

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dogs_vs_cats.errors import UserError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype


@dataclass(frozen=True)
class _Tensor:
    """A part of a storage, whose numbers come later in the file. offset, strides: in numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Knows dictionaries, tensors and their storages alone."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of tensors")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"{kind!r} is no storage of numbers")
        return _Storage(str(key), dtype)


def read(path: Path) -> dict[str, np.ndarray]:
    """Return name -> array, of a state dictionary. UserError if the file is not one."""
    try:
        with path.open("rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError) as error:
        raise UserError(
            f"{path} is no file of PyTorch tensors in the format of before 1.6: {error}."
        ) from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    magic, protocol, _, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    if (magic, protocol) != (MAGIC, PROTOCOL):
        raise ValueError("it begins otherwise")
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
    numbers = {}
    for key in keys:
        (length,) = np.frombuffer(file.read(8), "<i8")
        data = file.read(length * dtypes[key].itemsize)
        numbers[key] = np.frombuffer(data, dtypes[key], length)
    return {name: _array(tensor, numbers) for name, tensor in tensors.items()}


def _array(tensor: _Tensor, numbers: dict[str, np.ndarray]) -> np.ndarray:
    flat, shape, strides = numbers[tensor.storage.key], tensor.shape, tensor.strides
    steps = [(side - 1) * stride for side, stride in zip(shape, strides, strict=True)]
    if min((tensor.offset, *shape, *strides)) < 0 or tensor.offset + sum(steps) >= len(flat):
        raise ValueError("a tensor reaches beyond its numbers")
    bytes_apart = [stride * flat.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], shape, bytes_apart).copy()
