"""Keras: on any backend the same features; what is missing is named; photos are decoded ahead."""

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from dogs_vs_cats import environment, stopping
from dogs_vs_cats.config import engines, recipe_files
from dogs_vs_cats.data import pixels
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache, extraction, extractor, keras_backend
from dogs_vs_cats.workspace import Workspace
from support.commands import PROJECT, called, submitted

PLACE = Workspace("source")
HOW = {
    "tensorflow": "make setup",
    "jax": "make setup KERAS_BACKEND=jax",
    "torch": f"{sys.executable} -m pip install torch",
}


def settings():
    return recipe_files.read("tiny.toml").features


def child(code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """Run Python code in `folder`, where a sitecustomize.py may be, in its own process."""
    path = [str(folder), *(str(PROJECT / name) for name in ("src", "tests", "."))]
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), **variables},
        check=False,
    )


WITHOUT_TENSORFLOW = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise SystemExit("tensorflow is imported")
sys.meta_path.insert(0, Absent())
"""
ON_TO_A_CSV = """
from pathlib import Path
from dogs_vs_cats.data import folds
from support.commands import run_all
folds.FOLDS = 2  # heads in place of five: JAX compiles each
options = ("--recipe", "tiny.toml", "--precision", "float32")
stages = ((script, *options) for script in ("features", "train", "submit"))
predict = ("predict", "source/test/3.jpg", "--csv", "own.csv", *options)
run_all(Path("."), ("data", "--source", "source"), *stages, predict)
"""


@pytest.mark.parametrize(
    "backend", [pytest.param(x, marks=pytest.mark.extra(x)) for x in ("jax", "torch")]
)
def test_another_backend_agrees_with_tensorflow_and_never_imports_it(work, backend):
    """From photos to a CSV, with the commands that a user runs, where both are installed.

    One photo alone then gets its number in the CSV.
    """
    Path("sitecustomize.py").write_text(WITHOUT_TENSORFLOW)
    done = child(ON_TO_A_CSV, work, KERAS_BACKEND=backend)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    (own,) = csv.DictReader(Path("own.csv").read_text().splitlines())
    assert own["p_dog"] == submitted("tiny")["3"]
    engine = engines.Engine("keras", "float32", "cpu")
    folder = cache.folder(PLACE, settings(), engine)
    tensorflow = cache.load(PLACE, settings(), engine, "train")["plain"].array.astype(float)
    with mock.patch.dict(os.environ, {"KERAS_BACKEND": backend}):
        assert cache.folder(PLACE, settings(), engine) != folder
        other = cache.load(PLACE, settings(), engine, "train")["plain"].array.astype(float)
    assert np.abs(tensorflow - other).mean() < 1e-3 * np.abs(tensorflow).mean()


def test_on_another_backend_tensorflow_is_looked_for_in_vain(monkeypatch):
    """Torch looks for it on being imported: an error there would end it all."""
    from dogs_vs_cats.features.keras_backend import _NoTensorFlow

    monkeypatch.setattr(sys, "meta_path", [_NoTensorFlow(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    find_spec("tensorflow")
    for name in "tensorflow", "tensorflow.io.gfile":
        with pytest.raises(ModuleNotFoundError, match="not wanted"):
            import_module(name)


def test_photos_are_decoded_while_the_network_computes(source, monkeypatch):
    """By order of events, not by a clock: the first batch waits until later ones are decoded."""
    later = threading.Event()
    decoded, seen = [], []
    honest = pixels.crops

    def counted(*arguments):
        image = honest(*arguments)
        decoded.append(arguments[0])
        if len(decoded) > 4 * 2:
            later.set()
        return image

    def compute(images: np.ndarray) -> np.ndarray:
        if images.any():  # not the blank batch that warms it up
            assert later.wait(60), f"only {len(decoded)} photos were decoded meanwhile"
            seen.append(len(images))
        return np.zeros((len(images), 1024), np.float32)

    monkeypatch.setattr(pixels, "crops", counted)
    monkeypatch.setattr(extractor, "build", lambda *_: extractor.Extractor(compute, 1))
    engine = engines.Engine("keras", "float32", "cpu")
    done = extraction.build(PLACE, settings(), engine, extraction.Run(batch=4, threads=2))
    assert sum(seen) >= sum(done.computed.values())
    assert len(decoded) == len(set(decoded))  # once for all views


def test_an_error_in_the_network_or_a_photo_ends_the_run_at_once(source, monkeypatch):

    def broken(images: np.ndarray) -> np.ndarray:
        if images.any():
            raise UserError("Expected this. Received that.")
        return np.zeros((len(images), 1024), np.float32)

    monkeypatch.setattr(extractor, "build", lambda *_: extractor.Extractor(broken, 2))
    engine = engines.Engine("keras", "float32", "cpu")
    before = threading.active_count()
    with pytest.raises(UserError, match="Expected this"):
        extraction.build(PLACE, settings(), engine, extraction.Run(batch=4))
    assert threading.active_count() <= before + 1  # tqdm may have a monitor


def test_ctrl_c_stops_after_the_batch_that_is_under_way(source, monkeypatch, capfd):
    finished = []

    def interrupted(images: np.ndarray) -> np.ndarray:
        if len(finished) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
        finished.append(len(images))
        return np.zeros((len(images), 1024), np.float32)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(extractor, "build", lambda *_: extractor.Extractor(interrupted, 1))
    try:
        status, _, err = called("features", "--recipe", "tiny.toml", "--batch", "4")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (status, err) == (130, f"error: {stopping.STOPPED}\n")
    assert capfd.readouterr().err == f"stopping after this batch{stopping.MORE}\n"
    assert finished == [4, 4, 4], "the blank one that warms it up, a batch, and this one"


def test_that_keras_starts_is_said_under_the_name_of_the_backend(capsys):
    keras_backend._loaded.__wrapped__("tensorflow")
    assert capsys.readouterr().out == "keras: starting TensorFlow\n"
    assert keras_backend.NAMES.keys() == set(environment.BACKENDS)


def test_keras_that_runs_on_another_backend_already_is_refused(monkeypatch):
    """As in a notebook where another cell has imported it: features would bear a wrong name."""
    running = keras_backend.start().config.backend()
    other = next(backend for backend in environment.BACKENDS if backend != running)
    monkeypatch.setenv("KERAS_BACKEND", other)
    hooks = list(sys.meta_path)
    with pytest.raises(UserError, match=f"KERAS_BACKEND is {other}. Set KERAS_BACKEND={running}"):
        keras_backend.start()
    assert sys.meta_path == hooks


WITHOUT = """
from importlib.machinery import PathFinder
honest = PathFinder.find_spec
def find_spec(name, *more):
    return None if name.partition(".")[0] == {missing!r} else honest(name, *more)
PathFinder.find_spec = find_spec
"""


@pytest.mark.parametrize("backend", HOW)
def test_a_missing_backend_says_what_installs_it(here, monkeypatch, backend):
    monkeypatch.delenv("PYTHON", raising=False)  # of `make test PYTHON=...`
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(environment, "installed", lambda package: None)
    with pytest.raises(UserError) as caught:
        environment.backend_version()
    # Where the interpreter is not that of the project's .venv, its path is added.
    assert f"Run `{HOW[backend]}" in str(caught.value)
    (here / "sitecustomize.py").write_text(WITHOUT.format(missing=backend))
    start = "from dogs_vs_cats.features import keras_backend; keras_backend.start()"
    done = child(start, here)
    assert f"the package {backend} is not installed. Run `{HOW[backend]}`, or set" in done.stderr


def test_a_gpu_that_the_backend_does_not_see_is_refused():
    if environment.gpu():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="CUDA_VISIBLE_DEVICES"):
        keras_backend.require("gpu")


def test_tensorflow_is_kept_out_but_for_what_needs_it(monkeypatch):
    hook = keras_backend._NoTensorFlow()
    monkeypatch.setattr(sys, "meta_path", [hook, *sys.meta_path])
    with keras_backend.tensorflow_allowed():
        assert hook not in sys.meta_path
    assert sys.meta_path[0] is hook
