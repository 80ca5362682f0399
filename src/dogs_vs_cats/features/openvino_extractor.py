"""OpenVINO: the same extractor, exported from Keras, run by a runtime made for processors.

In bfloat16, or quantised to int8 after training. The exported network is kept with the features
that it computes, so that a run that was stopped goes on with the very same one.
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

import numpy as np

from dogs_vs_cats import artifacts, environment, progress
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import FeatureSettings
from dogs_vs_cats.features import extractor, keras_backend, weights
from dogs_vs_cats.features.extractor import Extract
from dogs_vs_cats.workspace import weights_folder

# What an int8 network does not quantise, preprocessing and pooling, is float32 everywhere.
HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


def build(
    settings: FeatureSettings,
    engine: Engine,
    folder: Path,
    photos: Callable[[], list[np.ndarray]],
    batch: int,
    threads: int | None,
) -> Extract:
    """Return the extractor on OpenVINO, for batches of exactly `batch` photos.

    The network is in `folder`, exported into it where it is not yet there; an int8 one is
    quantised on `photos()`, batches of one size, each (n, size, size, 3) uint8.
    """
    import openvino

    path, stamp = folder / "network.xml", folder / "network.json"
    inputs = {"precision": engine.precision}  # the folder's name says the rest
    if artifacts.fresh(stamp, inputs) is None:
        _export(settings, engine, path, photos, threads)
        artifacts.write(stamp, inputs, [path, path.with_suffix(".bin")], {})
    core = openvino.Core()
    network = core.read_model(path)
    network.reshape([batch, settings.size, settings.size, 3])
    # Throughput: each of some streams computes a batch of its own on its share of the cores.
    how = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": HINTS[engine.precision],
        "INFERENCE_NUM_THREADS": threads or environment.cores(),
    }
    compiled = core.compile_model(network, "CPU", how)
    local = threading.local()  # a request serves one thread

    def run(images: np.ndarray) -> np.ndarray:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        (features,) = local.request.infer([images]).values()
        return np.array(features, np.float32)

    return Extract(run, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))


def _export(
    settings: FeatureSettings,
    engine: Engine,
    path: Path,
    photos: Callable[[], list[np.ndarray]],
    threads: int | None,
) -> None:
    """Write the extractor as OpenVINO's two files, <path>.xml and <path>.bin."""
    sys.modules.setdefault("openvino_telemetry", None)  # both packages do without; nothing is sent
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
        results = [one for one in network.get_results() if len(one.output(0).partial_shape) == 2]
        network = openvino.Model(results, network.get_parameters())
        if engine.precision == "int8":
            network = _quantised(network, photos())
        # Without compression: float32 weights stay what they are.
        openvino.save_model(network, path, compress_to_fp16=False)


def _quantised(network, batches: list[np.ndarray]):
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
    """A list that moves a bar as it is read."""

    items: list
    bar: object

    def __iter__(self) -> Iterator:
        for item in self.items:
            yield item
            self.bar.update()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the chatter of exporting and quantising; errors still raise."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
