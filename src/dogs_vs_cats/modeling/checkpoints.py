"""Checkpoints: folds whose heads are trained, kept until all are. A kill loses one fold at most.

They lie in a folder beside the heads and belong to one set of inputs: whatever decides the heads
decides which checkpoints they may go on from.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import files

NAME = "checkpoints"  # the folder, in that of the heads


@dataclass(frozen=True)
class Checkpoint:
    """A fold that is finished.

    heads: name of a file -> its sha256. trained_on: photos. probabilities: (n, classes), of the
    held-out photos in the order of the rows. histories: seed -> figure -> a number an epoch each.
    seconds: what the fold took.
    """

    heads: dict[str, str]
    trained_on: int
    probabilities: list[list[float]]
    histories: dict[str, dict[str, list[float]]]
    seconds: float


def begin(folder: Path, given: dict) -> None:
    """Make the folder of heads to be, empty, or as it was left if it was begun from the same.

    given: all that decides the heads, ready for JSON.
    """
    path, text = folder / NAME / "inputs.json", json.dumps(given)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        shutil.rmtree(folder, ignore_errors=True)
        path.parent.mkdir(parents=True)
        files.write_text(path, text)


def write(folder: Path, fold: int, checkpoint: Checkpoint) -> None:
    """Note that a fold is finished. Its heads are in `folder` already."""
    files.write_text(_path(folder, fold), json.dumps(vars(checkpoint)))


def read(folder: Path, fold: int) -> Checkpoint | None:
    """Return a fold's checkpoint; None where there is none, or a head isn't what it was."""
    path = _path(folder, fold)
    if not path.exists():
        return None
    found = Checkpoint(**json.loads(path.read_text(encoding="utf-8")))
    for name, digest in found.heads.items():
        head = folder / name
        if not head.exists() or files.digest(head) != digest:
            return None
    return found


def end(folder: Path) -> None:
    """Remove the checkpoints of heads that are all finished."""
    shutil.rmtree(folder / NAME)


def _path(folder: Path, fold: int) -> Path:
    return folder / NAME / f"fold-{fold}.json"
