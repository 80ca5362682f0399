"""The folder of a recipe or a blend in models/: filled beside its place, then renamed and stamped.

A run that is killed leaves its checkpoints, which the next one goes on from.
"""

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dogs_vs_cats import environment, files
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.features import timings
from dogs_vs_cats.modeling import checkpoints
from dogs_vs_cats.workspace import Workspace

T = TypeVar("T")


def make(
    workspace: Workspace,
    recipe: Recipe | Blend,
    artifact: Callable[[], Artifact[T]],
    fill: Callable[[Path, Artifact[T]], T],
) -> T:
    """Let `fill` make the files of models/<dataset>/<recipe>/; return its result, now stamped.

    `fill` is given the folder to write to, which may hold checkpoints of a run that was killed, and
    the artifact. artifact: asked once the folder is locked, as its inputs may change until then.
    """
    folder = workspace.model(recipe.name)
    with files.locked(folder.with_name(f".{recipe.name}.lock"), f"heads of {recipe.name}"):
        wanted = artifact()
        partial = _partial(folder)
        checkpoints.begin(partial, wanted.inputs)
        there, meter = _folds(partial), timings.Meter(folder)
        result = fill(partial, wanted)
        folds = _folds(partial) - there
        _record(partial / "record.json", recipe, wanted.inputs)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        checkpoints.end(folder)
        wanted.record(sorted(folder.iterdir()), result)
        if isinstance(recipe, Blend):
            meter.made(timings.WEIGHTS)
        else:
            meter.made(timings.FOLDS, folds)
        meter.save()
        return result


def finished(workspace: Workspace, name: str, inputs: dict[str, Any]) -> tuple[float, ...]:
    """Return the seconds of each fold of a recipe that a stopped training has finished.

    inputs: those that the next training would have; it goes on from no others. Heads are not read:
    whether they are as they were written, training checks.
    """
    folder = _partial(workspace.model(name)) / checkpoints.NAME
    path = folder / "inputs.json"
    if not path.exists() or path.read_text(encoding="utf-8") != json.dumps(inputs):
        return ()
    texts = [fold.read_text(encoding="utf-8") for fold in sorted(folder.glob("fold-*.json"))]
    return tuple(float(json.loads(text)["seconds"]) for text in texts)


def begun(workspace: Workspace) -> set[str]:
    """Return the names of the recipes that are trained, or whose training was begun."""
    trained = workspace.models.glob("*/stamp.json")
    stopped = workspace.models.glob(f".*.partial/{checkpoints.NAME}/inputs.json")
    names = {path.parents[1].name[1:].removesuffix(".partial") for path in stopped}
    return names | {path.parent.name for path in trained}


def _partial(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


def _folds(partial: Path) -> int:
    """Return how many folds are finished."""
    return len(list((partial / checkpoints.NAME).glob("fold-*.json")))


def _record(path: Path, recipe: Recipe | Blend, inputs: dict[str, Any]) -> None:
    """Write all that it takes to make the heads, or the blend, again."""
    record = {
        "recipe": dataclasses.asdict(recipe),
        **inputs,
        "packages": environment.versions("keras", "numpy", "pandas", "pillow", "scikit-learn"),
        "commit": _commit(),
        "machine": environment.description(),
    }
    files.write_text(path, json.dumps(record, indent=1) + "\n")


def _commit() -> str:
    """Return the commit of the code, with '+' if files were changed since; '' outside git."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    if shutil.which("git") is None:
        return ""
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
