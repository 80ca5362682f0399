"""The dataset that gives a Kaggle notebook without internet its code, recipes, weights and wheels.

Nothing is uploaded here: the Kaggle client does that, with the metadata that lies in the folder.
Asking whether the folder is up to date uses the standard library alone.
"""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogs_vs_cats import environment, files, progress
from dogs_vs_cats.artifacts import Artifact
from dogs_vs_cats.config import backbones, presets
from dogs_vs_cats.config.recipes import Blend, Recipe, members
from dogs_vs_cats.errors import UserError, first_line
from dogs_vs_cats.hosted import pip
from dogs_vs_cats.kaggle import credentials
from dogs_vs_cats.workspace import weights_folder

FOLDER = Path("exports", "kaggle-dataset")
STAMP = FOLDER.with_suffix(".json")
METADATA = "dataset-metadata.json"  # what the Kaggle client reads
TITLE, SLUG = "Dogs vs. Cats pipeline", "dogs-vs-cats-pipeline"
NOBODY = "YOUR-NAME"
# Kaggle's image of today lacks cleanlab; older ones, to which a notebook may be pinned, have an old
# kaggle too. All else is in both: docs/notebooks.md. These wheels are for any Python;
# requirements.txt has their versions.
WHEELS = ("cleanlab", "kaggle", "kagglesdk")


@dataclass(frozen=True)
class KaggleDataset:
    """folder: what to upload. sizes: each part -> bytes. seconds: how long it took to make."""

    folder: str
    sizes: dict[str, int]
    seconds: float


def metadata() -> dict[str, Any]:
    """Return what the Kaggle client reads: what was edited in the folder, else our own."""
    path = FOLDER / METADATA
    if path.is_file():
        try:
            edited = json.loads(path.read_text(encoding="utf-8"))
            if not edited["id"].startswith(f"{NOBODY}/"):
                return dict(edited)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(
                f"{path} can't be used ({first_line(error)}). Remove it: it is written anew."
            ) from error
    identity = f"{credentials.username() or NOBODY}/{SLUG}"
    return {"title": TITLE, "id": identity, "licenses": [{"name": "other"}]}


def artifact(recipe: Recipe | Blend) -> Artifact[KaggleDataset]:
    """Return the folder: decided by our files, the recipe's weights, and the wheels' versions."""
    table = backbones.table()
    inputs = {
        "files": {str(target): files.digest(path) for target, path in _ours()},
        "weights": {name: table[name].fingerprint() for name in _backbones(recipe)},
        "wheels": _wheels(),
        "metadata": metadata(),
    }
    return Artifact(STAMP, inputs, KaggleDataset)


def build(recipe: Recipe | Blend) -> KaggleDataset:
    """Make the folder anew, whole.

    UserError if weights or wheels can't be had, or if a backbone is one of KerasHub.
    """
    started = time.monotonic()
    made = artifact(recipe)
    draft = FOLDER.with_name(f".{FOLDER.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    for target, path in _ours():
        _copy(path, draft / target)
    for name in _backbones(recipe):
        path = _weights(name)
        _copy(path, draft / "weights" / path.name)
    _fetch_wheels(draft / "wheels")
    files.write_text(draft / METADATA, json.dumps(made.inputs["metadata"], indent=2) + "\n")
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    draft.rename(FOLDER)
    sizes = {path.name: files.size_of(path) for path in sorted(FOLDER.iterdir())}
    result = KaggleDataset(str(FOLDER), sizes, round(time.monotonic() - started, 1))
    made.record([FOLDER], result)
    return result


def _ours() -> Iterator[tuple[Path, Path]]:
    """Yield what goes in of the project's own files: the path in the dataset, and the file."""
    project = environment.PROJECT
    for name in "pyproject.toml", "requirements.txt", "LICENSE":
        yield Path(name), project / name
    for folder, kinds in (
        ("src/dogs_vs_cats", {".py", ".json", ".html", ".css", ".js"}),
        ("recipes", {".toml"}),
    ):
        for path in sorted((project / folder).rglob("*")):
            if path.suffix in kinds and path.is_file():
                yield path.relative_to(project), path


def _backbones(recipe: Recipe | Blend) -> list[str]:
    """Return the names of the recipe's backbones, each once."""
    found = sorted({member.features.backbone for member in members(recipe)})
    for name in found:
        if presets.is_preset(name):
            raise UserError(
                f"The backbone {name} can't go into the dataset. Attach the model to the notebook "
                "(docs/recipes.md, KerasHub), and leave this recipe out."
            )
    return found


def _weights(name: str) -> Path:
    """Return the file of a backbone's proven weights, fetched if it is not there."""
    from dogs_vs_cats.features import weights

    folder = weights_folder()
    proven = weights.load(name, folder)
    return proven if isinstance(proven, Path) else folder / f"{name}-imagenet.npz"


def _wheels() -> list[str]:
    """Return the lines of requirements.txt for the wheels."""
    return [line for name, line in environment.pins().items() if name in WHEELS]


def _fetch_wheels(folder: Path) -> None:
    """Download the wheels into `folder`; UserError if pip can't."""
    progress.say(f"kaggle-dataset: asking the package index for {', '.join(_wheels())}")
    pip.download(folder, _wheels())


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
