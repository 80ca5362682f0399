"""Checkpoints: finished folds, kept until all are trained. A kill loses one fold at most.

They are in a folder beside the heads and belong to one set of inputs: training resumes only from
checkpoints of the same inputs.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogs_vs_cats import files

NAME = "checkpoints"  # the folder, in that of the heads


@dataclass(frozen=True)
class Checkpoint:
    """A finished fold.

    heads: name of a file -> its sha256. trained_on: number of photos. probabilities: (n, classes)
    of the held-out photos in the order of the rows. histories: seed -> its head's history.
    seconds: for training the fold.
    """

    heads: dict[str, str]
    trained_on: int
    probabilities: list[list[float]]
    histories: dict[str, dict[str, list[float]]]
    seconds: float


def begin(folder: Path, inputs: dict[str, Any]) -> None:
    """Make the folder of the heads, empty, or as a killed run of the same inputs left it.

    inputs: all that decides the heads, ready for JSON.
    """
    path, text = folder / NAME / "inputs.json", json.dumps(inputs)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        shutil.rmtree(folder, ignore_errors=True)
        path.parent.mkdir(parents=True)
        files.write_text(path, text)


def write(folder: Path, fold: int, checkpoint: Checkpoint) -> None:
    """Record that a fold is finished, its heads being in `folder` already."""
    files.write_text(_path(folder, fold), json.dumps(vars(checkpoint)))


def read(folder: Path, fold: int) -> Checkpoint | None:
    """Return a fold's checkpoint; None if there is none, or a head has changed since."""
    path = _path(folder, fold)
    if not path.exists():
        return None
    checkpoint = Checkpoint(**json.loads(path.read_text(encoding="utf-8")))
    for name, digest in checkpoint.heads.items():
        head = folder / name
        if not head.exists() or files.digest(head) != digest:
            return None
    return checkpoint


def end(folder: Path) -> None:
    """Remove the checkpoints, as all heads are finished."""
    shutil.rmtree(folder / NAME)


def _path(folder: Path, fold: int) -> Path:
    return folder / NAME / f"fold-{fold}.json"
