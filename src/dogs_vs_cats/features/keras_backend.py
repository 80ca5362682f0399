"""Keras, started quietly on the backend of the user's choice."""

import functools
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec

from dogs_vs_cats import environment
from dogs_vs_cats.errors import UserError


def start(threads: int | None = None):
    """Return the keras module, on `threads` processor threads (default: all), without chatter.

    Takes some seconds the first time. UserError if the backend is not installed.
    """
    if threads:
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
    return _loaded(environment.backend())


@functools.cache
def _loaded(backend: str):
    """Return the keras module; once a process, as each batch of predictions asks for it."""
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if backend != "tensorflow":
        sys.meta_path.insert(0, _NoTensorFlow())
    with _native_stderr_held_back():
        try:
            import keras
        except ModuleNotFoundError as error:
            setup = "make setup" if error.name == "keras" else environment.backend_setup()
            raise UserError(
                f"Expected Keras on {backend}. Received: the package {error.name} is not "
                f"installed. Run `{setup}`, or set KERAS_BACKEND to a backend you have."
            ) from error
    # It warns of each new shape and model; five heads are five models.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Else the user's keras.json decides them. Ours are Keras' own defaults.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    return keras


def require(device: str) -> None:
    """Raise UserError unless the backend, once started, has a GPU where `device` is gpu."""
    if device != "gpu":
        return
    keras = start()
    if keras.config.backend() == "torch":
        found = sys.modules["torch"].cuda.is_available()  # Keras has no list of its devices
    else:
        found = bool(keras.distribution.list_devices("gpu"))
    if not found:
        raise UserError(
            f"Expected a GPU that {keras.config.backend()} can use, as this machine has one. "
            "Received: it sees none. Install its CUDA packages (`make setup GPU=1` does for "
            "TensorFlow), or set CUDA_VISIBLE_DEVICES=-1 to compute on the processor."
        )


class _NoTensorFlow:
    """An import hook: on another backend, TensorFlow can't be imported.

    Where it can, Keras would load it on saving a head: seconds, memory, chatter, for nothing.
    It may be looked for, as torch does without a wish to import it.
    """

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name.partition(".")[0] == "tensorflow" else None

    def create_module(self, spec: ModuleSpec) -> None:
        raise ModuleNotFoundError(f"{spec.name} is not wanted on this backend", name=spec.name)

    exec_module = create_module  # a loader has both


@contextmanager
def _native_stderr_held_back() -> Iterator[None]:
    """Hold back what native libraries write to stderr; show it if the block fails.

    TensorFlow logs before any setting of its own takes effect, straight to file descriptor 2.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except UserError:
            raise
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
