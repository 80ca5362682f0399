"""OpenVINO: numbers as Keras has them, and always the same network for the same features."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import photos
from dogs_vs_cats.features import cache
from dogs_vs_cats.workspace import Workspace
from support import kill_and_resume
from support.commands import run_all
from support.prepared import copy_of, prepared

pytestmark = pytest.mark.extra("openvino", "nncf")

PLACE = Workspace("source")
KERAS = engines.Engine("keras", "float32", "cpu")


PRECISIONS = ("float32", "bfloat16", "int8")


def openvino(precision: str) -> engines.Engine:
    return engines.Engine("openvino", precision, "cpu")


def options(precision: str) -> list[str]:
    return ["--recipe", "tiny.toml", "--engine", "openvino", "--precision", precision]


@pytest.fixture(scope="session")
def computed(computed) -> Path:
    """The workspace with OpenVINO's features too, and the networks that they were computed with."""

    def compute(folder: Path) -> None:
        copy_of(computed, folder)
        run_all(folder, *(("features", *options(precision)) for precision in PRECISIONS))

    return prepared("openvino-features", compute, computed.name)


def folder(precision: str) -> Path:
    return cache.folder(PLACE, recipe_files.read("tiny.toml").features, openvino(precision))


def arrays(workspace: Path, precision: str) -> dict[str, bytes]:
    """Return store -> the bytes of its array, of tiny.toml's features in `workspace`."""
    with contextlib.chdir(workspace):
        paths = sorted(folder(precision).glob("*/features.npy"))
        return {path.parent.name: path.read_bytes() for path in paths}


def remove_stores(precision: str) -> None:
    """Remove all features, and leave the network."""
    for path in folder(precision).iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def stored(engine: engines.Engine, view: str) -> np.ndarray:
    """Return the training photos' features (n, dimension), in the order of photos.csv."""
    found = cache.load(PLACE, recipe_files.read("tiny.toml").features, engine, "train")[view]
    table = photos.train(photos.read(PLACE))
    rows = found.rows_of(table["sha256"].tolist(), table["id"].tolist())
    return found.array[rows].astype(np.float64)


@pytest.mark.parametrize(
    ("precision", "difference", "correlation"),
    [("float32", 1e-3, 0.99999), ("bfloat16", 0.02, 0.999), ("int8", 0.15, 0.97)],
)
def test_openvino_agrees_with_keras_in_float32(work, precision, difference, correlation):
    for view in "plain", "mirror":
        keras, other = stored(KERAS, view), stored(openvino(precision), view)
        assert np.abs(keras - other).mean() < difference * np.abs(keras).mean()
        each = [np.corrcoef(a, b)[0, 1] for a, b in zip(keras, other, strict=True)]
        assert min(each) > correlation


def test_a_run_goes_on_with_the_network_that_it_began_with(computed, work, run):
    before = (folder("int8") / "network.bin").stat().st_mtime_ns
    remove_stores("int8")
    assert "exporting" not in run("features", *options("int8"))
    assert (folder("int8") / "network.bin").stat().st_mtime_ns == before
    assert arrays(work, "int8") == arrays(computed, "int8")


def test_a_network_that_was_written_by_half_is_exported_again(computed, work, run):
    (folder("bfloat16") / "network.bin").write_bytes(b"")
    remove_stores("bfloat16")
    assert "exporting" in run("features", *options("bfloat16"))
    assert arrays(work, "bfloat16") == arrays(computed, "bfloat16")


def test_killed_while_it_computes_the_arrays_are_byte_identical(computed, work, run):
    """`kill_and_resume.py` does this more often, and while it exports."""
    remove_stores("int8")
    assert kill_and_resume.kill(work, options("int8"), 0.0), "the run was done before"
    run("features", *options("int8"))
    assert arrays(work, "int8") == arrays(computed, "int8")


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_batch_and_threads_change_no_byte(computed, work, run, precision):
    remove_stores(precision)
    run("features", *options(precision), "--batch", "5")
    assert arrays(work, precision) == arrays(computed, precision)
    shutil.rmtree(folder(precision))  # the exported network too
    run("features", *options(precision), "--batch", "32", "--threads", "1")
    assert arrays(work, precision) == arrays(computed, precision)
