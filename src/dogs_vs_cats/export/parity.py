"""Parity: how near an ONNX file's probabilities are to the pipeline's, on real photos."""

import dataclasses
import time
from pathlib import Path

import numpy as np

from dogs_vs_cats import environment, progress
from dogs_vs_cats.config import engines
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.data import photos, pixels, remote
from dogs_vs_cats.data.remote import RemoteFile
from dogs_vs_cats.errors import PhotoError, UserError
from dogs_vs_cats.export.results import Parity
from dogs_vs_cats.inference import predictor
from dogs_vs_cats.inference.predictor import Predictor
from dogs_vs_cats.workspace import Workspace

TOLERANCE = 0.002  # how far a probability may be from the pipeline's in float32
PHOTOS = 100  # to check it on, at most
BATCH = 10  # photos at a time for ONNX Runtime


def check(
    file: Path, workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None
) -> Parity:
    """Return how near ONNX Runtime's probabilities are to the pipeline's, and how fast it is.

    `trained` in the result compares with the pipeline whose features `engine` computes. UserError
    if the pipeline in float32 differs by more than TOLERANCE.
    """
    sample = _sample(workspace)
    onnx, seconds = _onnx(file, members(recipe)[0].features.size, sample, threads)
    exact = engines.choose("keras", "float32")
    reference = _in_float32(predictor.load(workspace, recipe, exact, threads))
    difference = np.abs(onnx - _pipeline(reference, sample, "pipeline in float32")).max(axis=1)
    worst = int(np.argmax(difference))  # the first nan, if there is one
    if not difference[worst] <= TOLERANCE:
        raise UserError(
            f"ONNX Runtime and the pipeline differ by {difference[worst]:.4f} in the probability "
            f"of {sample[worst][0]}; on {len(sample)} photos, {TOLERANCE} is allowed. No file is "
            "written. Run `make setup`, for packages that agree."
        )
    trained = difference
    if engine != exact or any(map(_is_narrow, members(recipe))):
        as_trained = predictor.load(workspace, recipe, engine, threads)
        trained = np.abs(onnx - _pipeline(as_trained, sample, "pipeline")).max(axis=1)
    return Parity(
        photos=len(sample),
        float32=float(difference.max()),
        trained=float(trained.max()),
        engine=f"{engine.precision} features by {engine.name}",
        photos_per_second=round(len(sample) / seconds, 1),
    )


def _in_float32(reference: Predictor) -> Predictor:
    ensemble = reference.heads
    heads = {name: [head.in_float32() for head in x] for name, x in ensemble.heads.items()}
    return dataclasses.replace(reference, heads=dataclasses.replace(ensemble, heads=heads))


def _sample(workspace: Workspace) -> list[tuple[Path | RemoteFile, str]]:
    """Return (path, sha256) of up to PHOTOS photos: test photos, then others.

    The first by sha256: a stable pseudo-random sample.
    """
    table = photos.read(workspace)
    paths: dict[str, str] = {}  # by sha256
    for rows in photos.test(table), photos.train(table):
        readable = rows[rows["problem"] == ""].sort_values("sha256")
        paths |= dict(zip(readable["sha256"], readable["path"], strict=True))
    return [(remote.photo(paths[sha256]), sha256) for sha256 in list(paths)[:PHOTOS]]


def _onnx(
    file: Path, size: int, sample: list[tuple[Path | RemoteFile, str]], threads: int | None
) -> tuple[np.ndarray, float]:
    """Return (n, classes) float32 of the photos by ONNX Runtime, and the seconds it took."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or environment.cores()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    session.run(["probabilities"], {"photos": np.zeros((BATCH, size, size, 3), np.uint8)})
    probabilities, seconds = [], 0.0
    with progress.bar(len(sample), "ONNX Runtime") as bar:
        for start in range(0, len(sample), BATCH):
            part = sample[start : start + BATCH]
            batch = np.stack([_pixels(path, size, sha256) for path, sha256 in part])
            begun = time.monotonic()
            probabilities += session.run(["probabilities"], {"photos": batch})
            seconds += time.monotonic() - begun
            bar.update(len(part))
    return np.concatenate(probabilities), seconds


def _pixels(path: Path | RemoteFile, size: int, sha256: str) -> np.ndarray:
    """Return the whole photo as (size, size, 3) uint8 RGB; UserError if it has changed."""
    try:
        return pixels.pixels(path, size, sha256)
    except PhotoError as error:
        raise _changed(path, str(error)) from error


def _pipeline(
    pipeline: Predictor, sample: list[tuple[Path | RemoteFile, str]], name: str
) -> np.ndarray:
    """Return (n, classes) float64, the pipeline's probabilities of the photos."""
    probabilities = []
    with progress.bar(len(sample), name) as bar:
        for prediction in pipeline.predict([path for path, _ in sample], bar.update):
            if prediction.probabilities is None:
                raise _changed(prediction.photo, prediction.problem)
            probabilities.append(prediction.probabilities)
    return np.stack(probabilities)


def _changed(path: object, problem: str) -> UserError:
    return UserError(
        f"{path} is not as `make data` read it: {problem}. Run `make data` again, with the same "
        "SOURCE."
    )


def _is_narrow(recipe: Recipe) -> bool:
    """Return whether a recipe's heads, or fine-tuned layers, compute in less than float32."""
    layers = (recipe.head, recipe.retrain)
    return any(getattr(settings, "precision", "float32") != "float32" for settings in layers)
