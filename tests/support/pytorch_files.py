"""Files of PyTorch tensors in the format of before 1.6, written without PyTorch."""

import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write float32 or int64 arrays as torch.save did; those that are transposed stay so."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    kinds = {}
    for name, dtype in ("FloatStorage", "<f4"), ("LongStorage", "<i8"):
        kinds[np.dtype(dtype)] = type(name, (), {"__module__": "torch"})
        setattr(torch, name, kinds[np.dtype(dtype)])

    def _rebuild_tensor_v2(*_: Any) -> None: ...

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2

    class Storage:
        def __init__(self, key: str, array: np.ndarray):
            self.key, self.kind, self.length = key, kinds[array.dtype], array.size

    class Tensor:
        def __init__(self, key: str, array: np.ndarray):
            self.storage, self.array = Storage(key, array), array

        def __reduce__(self) -> tuple:
            strides = tuple(step // self.array.itemsize for step in self.array.strides)
            arguments = (self.storage, 0, self.array.shape, strides, False, OrderedDict())
            return _rebuild_tensor_v2, arguments

    class Pickler(pickle.Pickler):
        def persistent_id(self, one: Any) -> tuple | None:
            if isinstance(one, Storage):
                return "storage", one.kind, one.key, "cpu", one.length, None
            return None

    tensors = OrderedDict((name, Tensor(str(i), x)) for i, (name, x) in enumerate(arrays.items()))
    keys = [str(i) for i in range(len(arrays))]
    with (
        mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}),
        path.open("wb") as f,
    ):
        for part in MAGIC, PROTOCOL, {"little_endian": True}, tensors, keys:
            Pickler(f, protocol=2).dump(part)
        for array in arrays.values():
            f.write(np.int64(array.size).tobytes())
            f.write(_in_memory(array).tobytes())
    return path


def _in_memory(array: np.ndarray) -> np.ndarray:
    """Return an array's numbers in the order in which they lie in memory."""
    order = np.argsort([-step for step in array.strides], kind="stable")
    return np.ascontiguousarray(array.transpose(order))
