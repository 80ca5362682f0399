"""What most stages are given: a recipe, an engine, a dataset."""

import argparse
import os
from dataclasses import dataclass

from dogs_vs_cats import console
from dogs_vs_cats.config import engines, imagenet, recipe_files
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.data import dataset as datasets
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import keras_backend
from dogs_vs_cats.workspace import Workspace, current_workspace

Path = str | os.PathLike[str]  # what a caller may give as one


@dataclass(frozen=True)
class Chosen:
    """threads: of the processor, None for all."""

    recipe: Recipe | Blend
    engine: Engine
    workspace: Workspace
    threads: int | None = None


def choose(
    recipe: Path, dataset: str | None, engine: str, precision: str, threads: int | None
) -> Chosen:
    """Return what the names stand for; UserError for one that stands for nothing here."""
    positive("threads", threads)
    keras_backend.reset()
    hint = "several recipes are one text, 'light champion'"
    read = recipe_files.read(text("recipe", recipe, hint))
    chosen = engines.choose(engine, precision)
    workspace = current_workspace(dataset)
    imagenet.require_classes(read, datasets.read(workspace).classes)
    return Chosen(read, chosen, workspace, threads)


def text(option: str, value: Path, hint: str) -> str:
    """Return the text of an option; UserError, with a hint, for a list or the like."""
    if not isinstance(value, str | os.PathLike):
        raise UserError(f"{option}={value!r} is not a text or a path: {hint}.")
    return os.fspath(value)


def switches(**values: bool) -> None:
    """Raise UserError unless each is True or False: "0" would count as True."""
    for option, value in values.items():
        if not isinstance(value, bool):
            raise UserError(f"{option}={value!r} is neither True nor False.")


def cluster(value: str | None) -> None:
    """Raise UserError unless `value` is None or can be the name of a cluster."""
    if value is not None:
        try:
            console.cluster(value)
        except argparse.ArgumentTypeError as error:
            raise UserError(f"cluster={error}") from error


def positive(option: str, value: int | None) -> None:
    """Raise UserError unless `value` is None or a whole number above 0."""
    if value is not None and (type(value) is not int or value < 1):
        raise UserError(f"{option}={value!r} is not a whole number above 0.")
