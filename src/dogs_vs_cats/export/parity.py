"""Agreement: how near an ONNX file's probabilities are to the pipeline's, on real photos."""

import dataclasses
import time
from pathlib import Path

import numpy as np

from dogs_vs_cats import environment, progress
from dogs_vs_cats.config import engines
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.data import photos, pixels
from dogs_vs_cats.errors import PhotoError, UserError
from dogs_vs_cats.inference import predictor
from dogs_vs_cats.inference.predictor import Predictor
from dogs_vs_cats.workspace import Workspace

NEAR = 0.002  # how far a probability may be from the pipeline's in float32
PHOTOS = 100  # to check it on, at most
STEP = 10  # photos that ONNX Runtime gets at once


def of(
    file: Path, workspace: Workspace, recipe: Recipe | Blend, engine: Engine, threads: int | None
) -> dict:
    """Return how near ONNX Runtime's probabilities are to the pipeline's, and how fast it is.

    float32: the largest difference of any photo and class to the pipeline with features and
    heads in float32; trained: to the pipeline as it is, its features by `engine`. UserError if
    the first is more than NEAR.
    """
    chosen = _photos(workspace)
    ours, seconds = _onnx(file, members(recipe)[0].features.size, chosen, threads)
    exact = engines.choose("keras", "float32")
    reference = predictor.load(workspace, recipe, exact, threads)
    heads = {name: [x.in_float32() for x in y] for name, y in reference.heads.heads.items()}
    in_float32 = dataclasses.replace(reference.heads, heads=heads)
    reference = dataclasses.replace(reference, heads=in_float32)
    apart = np.abs(ours - _answers(reference, chosen, "pipeline in float32")).max(axis=1)
    worst = int(np.argmax(apart))  # the first that is nan, if one is
    if not apart[worst] <= NEAR:
        raise UserError(
            f"Expected ONNX Runtime to agree with the pipeline within {NEAR} in probability, on "
            f"{len(chosen)} photos. Received a difference of {apart[worst]:.4f} on "
            f"{chosen[worst][0]}. No file is written. Run `make setup`, for packages that agree."
        )
    trained = apart
    if engine != exact or any(map(_narrow, members(recipe))):
        as_trained = predictor.load(workspace, recipe, engine, threads)
        trained = np.abs(ours - _answers(as_trained, chosen, "pipeline")).max(axis=1)
    return {
        "photos": len(chosen),
        "float32": float(apart.max()),
        "trained": float(trained.max()),
        "engine": f"{engine.precision} features by {engine.name}",
        "per_second": round(len(chosen) / seconds, 1),
    }


def _photos(workspace: Workspace) -> list[tuple[Path, str]]:
    """Return (path, sha256) of up to PHOTOS photos: test photos, then others.

    The first by sha256: a choice by chance, and always the same.
    """
    table = photos.read(workspace)
    found = {}
    for rows in photos.test(table), photos.train(table):
        good = rows[rows["problem"] == ""].sort_values("sha256")
        found |= dict(zip(good["sha256"], good["path"], strict=True))
    return [(Path(found[sha256]), sha256) for sha256 in list(found)[:PHOTOS]]


def _onnx(
    file: Path, size: int, chosen: list[tuple[Path, str]], threads: int | None
) -> tuple[np.ndarray, float]:
    """Return (n, classes) float32 of the chosen photos by ONNX Runtime, and its seconds."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or environment.cores()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    session.run(["probabilities"], {"photos": np.zeros((STEP, size, size, 3), np.uint8)})
    found, seconds = [], 0.0
    with progress.bar(len(chosen), "ONNX Runtime") as bar:
        for start in range(0, len(chosen), STEP):
            part = chosen[start : start + STEP]
            shown = np.stack([_pixels(one, size, sha256) for one, sha256 in part])
            begun = time.monotonic()
            found += session.run(["probabilities"], {"photos": shown})
            seconds += time.monotonic() - begun
            bar.update(len(part))
    return np.concatenate(found), seconds


def _pixels(file: Path, size: int, sha256: str) -> np.ndarray:
    """Return the whole photo as (size, size, 3) uint8 RGB; UserError if it isn't as it was."""
    try:
        return pixels.pixels(file, size, sha256)
    except PhotoError as error:
        raise _changed(file, str(error)) from error


def _answers(asked: Predictor, chosen: list[tuple[Path, str]], what: str) -> np.ndarray:
    """Return (n, classes) float64, a predictor's answers to the chosen photos."""
    found = []
    with progress.bar(len(chosen), what) as bar:
        for answer in asked.predict([file for file, _ in chosen], bar.update):
            if answer.probabilities is None:
                raise _changed(answer.path, answer.problem)
            found.append(answer.probabilities)
    return np.stack(found)


def _changed(file: Path, problem: str) -> UserError:
    return UserError(
        f"Expected {file} as `make data` found it. Received: {problem}. "
        "Run `make data` again, with the same SOURCE."
    )


def _narrow(recipe: Recipe) -> bool:
    """Return whether a recipe's heads, or the layers under them, compute in less than float32."""
    layers = (recipe.head, recipe.retrain)
    return any(getattr(settings, "precision", "float32") != "float32" for settings in layers)
