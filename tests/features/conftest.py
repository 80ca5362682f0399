"""What tests of features share: a workspace with features that are kept between runs."""

from pathlib import Path

import numpy as np
import pytest

from dogs_vs_cats.features import extractor
from support.commands import TINY, run_all
from support.pictures import kaggle_folder
from support.prepared import copy_of, prepared

PRECISIONS = ("float32", "bfloat16")


def compute_tiny(folder: Path) -> None:
    """Compute the features of tiny.toml with Keras, of 80 and 20 photos: 2 chunks and 1."""
    (folder / "tiny.toml").write_text(TINY)
    kaggle_folder(folder / "source", each=40, tests=20)
    options = [("--recipe", "tiny.toml", "--precision", precision) for precision in PRECISIONS]
    commands = [("features", *option) for option in options]
    run_all(folder, ("data", "--source", "source"), *commands)


@pytest.fixture(scope="session")
def computed() -> Path:
    """A workspace with the features of tiny.toml in both precisions; never change it."""
    return prepared("features", compute_tiny)


@pytest.fixture
def work(computed, here) -> Path:
    """A copy of `computed`, worked in."""
    return copy_of(computed, here)


@pytest.fixture
def source(here, run) -> Path:
    """The source folder of a small dataset in the current folder: 24 photos and 5 of test."""
    source = kaggle_folder(here / "source")
    run("data", "--source", "source")
    return source


@pytest.fixture
def quick(monkeypatch) -> list[int]:
    """A stand-in for the network, in no time: 1,024 sums of a photo's pixels.

    Return the sizes of the batches that it was given.
    """
    mix = np.random.default_rng(0).normal(size=(8 * 8 * 3, 1024)).astype(np.float32)
    batches: list[int] = []

    def compute(images: np.ndarray) -> np.ndarray:
        batches.append(len(images))
        small = images[:, ::4, ::4].reshape(len(images), -1).astype(np.float32) / 255
        return small @ mix

    monkeypatch.setattr(extractor, "build", lambda *_: extractor.Extractor(compute, 1))
    return batches
