"""Keras, started quietly on the backend that the user chose."""

import functools
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from dogs_vs_cats import environment, progress
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import timings

NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def start(threads: int | None = None) -> Any:
    """Return the keras module, on `threads` processor threads (default: all), its logs muted.

    Takes some seconds the first time. UserError if the backend is not installed.
    """
    limit_threads(threads)
    return _loaded(environment.backend())


def limit_threads(threads: int | None) -> None:
    """Let Keras start on `threads` processor threads, if it starts at all; None: on all."""
    if threads:
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)


@functools.cache
def _loaded(backend: str) -> Any:
    """Return the keras module; cached, since each batch of predictions asks for it."""
    _require_no_other(backend)
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if backend != "tensorflow":
        sys.meta_path.insert(0, _NoTensorFlow())
    progress.say(f"keras: starting {NAMES[backend]}")
    with timings.start_up(), progress.native_stderr_muted():
        try:
            import keras
        except ModuleNotFoundError as error:
            setup = "make setup" if error.name == "keras" else environment.backend_setup()
            raise UserError(
                f"Keras can't start on {backend}: the package {error.name} is not installed. Run "
                f"`{setup}`, or set KERAS_BACKEND to a backend you have."
            ) from error
        # The first operation looks for a GPU; now and then TensorFlow complains that it finds none.
        keras.ops.zeros(1)
    # TensorFlow warns of each new shape and model; five heads are five models.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    _set_defaults(keras)
    return keras


def _require_no_other(backend: str) -> None:
    """Raise UserError if Keras was imported on another backend, as in a notebook's other cell."""
    if "keras" not in sys.modules:
        return
    running = sys.modules["keras"].config.backend()
    if running != backend:
        raise UserError(
            f"Keras runs on {NAMES.get(running, running)} already, and KERAS_BACKEND is {backend}. "
            f"Set KERAS_BACKEND={running}, or restart the session and run this before Keras is "
            "imported."
        )


def reset() -> None:
    """Set Keras' own defaults again if it has started: a notebook may have changed them since."""
    if _loaded.cache_info().currsize:
        _set_defaults(sys.modules["keras"])


def _set_defaults(keras: Any) -> None:
    """Set Keras' own defaults, which keras.json or a notebook's other cell may have changed."""
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)


def require(device: str) -> None:
    """Raise UserError unless the backend, once started, has a GPU where `device` is gpu."""
    if device != "gpu":
        return
    keras = start()
    if keras.config.backend() == "torch":
        seen = sys.modules["torch"].cuda.is_available()  # Keras can't list torch's devices
    else:
        seen = bool(keras.distribution.list_devices("gpu"))
    if not seen:
        raise UserError(
            f"This machine has a GPU, but {keras.config.backend()} sees none. Install its CUDA "
            "packages (`make setup GPU=1` does for TensorFlow), or set CUDA_VISIBLE_DEVICES=-1 to "
            "compute on the processor."
        )


class _NoTensorFlow(Loader):
    """An import hook that keeps TensorFlow from being imported on another backend.

    Otherwise Keras would load it on saving a head: seconds, memory and logs for nothing. Finding
    its spec works, since torch looks for it without importing it.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name.partition(".")[0] == "tensorflow" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        raise ModuleNotFoundError(f"{spec.name} is not wanted on this backend", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """A loader needs one; `create_module` has raised before."""


@contextmanager
def tensorflow_allowed() -> Iterator[None]:
    """Let TensorFlow be imported in the block on another backend too: KerasHub does so."""
    hooks = [hook for hook in sys.meta_path if isinstance(hook, _NoTensorFlow)]
    for hook in hooks:
        sys.meta_path.remove(hook)
    try:
        with progress.native_stderr_muted():
            yield
    finally:
        sys.meta_path[:0] = hooks
