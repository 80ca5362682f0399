"""OpenVINO: the same extractor, exported from Keras to a runtime made for processors.

In float32, bfloat16, or quantised to int8 after training. The exported network is kept with the
features that it computes, so that a run that was stopped goes on with the same network.
"""

import contextlib
import io
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from dogs_vs_cats import environment, progress
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.features import extractor, keras_backend, weights
from dogs_vs_cats.features.extractor import Extractor
from dogs_vs_cats.workspace import weights_folder

# The parts of an int8 network that are not quantised, preprocessing and pooling, are float32.
HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


@dataclass(frozen=True)
class Exported:
    """A network in OpenVINO's two files; they are all there is to know."""


def build(
    settings: FeatureSettings,
    engine: Engine,
    folder: Path,
    photos: Callable[[], list[np.ndarray]],
    batch: int,
    threads: int | None,
) -> Extractor:
    """Return the extractor on OpenVINO, for batches of exactly `batch` photos.

    The network is in `folder`, and is exported if it is not there; with int8 it is quantised on
    `photos()`, batches of one size, each (n, size, size, 3) uint8.
    """
    import openvino

    path = folder / "network.xml"
    # The folder's name is a key of all that decides it.
    network_files = Artifact(folder / "network.json", {"precision": engine.precision}, Exported)
    if network_files.fresh() is None:
        _export(settings, engine, path, photos, threads)
        network_files.record([path, path.with_suffix(".bin")], Exported())
    core = openvino.Core()
    network = core.read_model(path)
    network.reshape([batch, settings.size, settings.size, 3])
    # Throughput: several streams each compute a batch of their own on their share of the cores.
    options = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": HINTS[engine.precision],
        "INFERENCE_NUM_THREADS": threads or environment.cores(),
    }
    compiled = core.compile_model(network, "CPU", options)
    local = threading.local()  # a request serves one thread

    def run(images: np.ndarray) -> np.ndarray:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        (features,) = local.request.infer([images]).values()
        return np.array(features, np.float32)

    return Extractor(run, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))


def _export(
    settings: FeatureSettings,
    engine: Engine,
    path: Path,
    photos: Callable[[], list[np.ndarray]],
    threads: int | None,
) -> None:
    """Write the extractor as OpenVINO's two files, <path>.xml and <path>.bin."""
    # Keeps OpenVINO and NNCF from importing their telemetry: nothing is sent.
    cast(dict[str, Any], sys.modules).setdefault("openvino_telemetry", None)
    import openvino

    progress.say(f"features: exporting {settings.backbone} from Keras to OpenVINO")
    keras_backend.start(threads)
    tensors = weights.load(settings.backbone, weights_folder())
    model = extractor.model(settings, "float32", tensors)
    model(np.zeros((1, settings.size, settings.size, 3), np.uint8))  # or it can't be exported
    with tempfile.TemporaryDirectory() as temporary:
        exported = Path(temporary) / "network.xml"
        with _quiet():
            model.export(str(exported), format="openvino", verbose=False)
        network = openvino.Core().read_model(exported)
        # TensorFlow's swish leaves outputs of its own, maps; only the features are (n, dimension).
        results = [x for x in network.get_results() if len(x.output(0).partial_shape) == 2]
        network = openvino.Model(results, network.get_parameters())
        if engine.precision == "int8":
            network = _quantised(network, photos())
        # Without compression: float32 weights stay what they are.
        openvino.save_model(network, path, compress_to_fp16=False)


def _quantised(network: Any, batches: list[np.ndarray]) -> Any:
    """Return the network with int8 weights and activations, their ranges taken from photos.

    Source: NNCF's post-training quantisation (min-max ranges, fast bias correction).
    """
    with _quiet():
        import nncf

    network.reshape(list(batches[0].shape))
    with progress.bar(len(batches), "quantising", " batches") as bar, _quiet():
        return nncf.quantize(
            network, nncf.Dataset(_Counted(batches, bar)), subset_size=len(batches)
        )


@dataclass
class _Counted:
    """Batches that move a progress bar as they are read."""

    items: list[np.ndarray]
    bar: Any

    def __iter__(self) -> Iterator[np.ndarray]:
        for item in self.items:
            yield item
            self.bar.update()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what exporting and quantising print; errors still raise."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
