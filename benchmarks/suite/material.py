"""Material: the datasets that the bench measures on, each as large as a measurement needs."""

import contextlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.suite.plan import Plan
from dogs_vs_cats import files, progress
from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.config.recipes import Recipe
from dogs_vs_cats.data import dataset, sources
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Material:
    """The bench's work folder, with the dataset `all` and those that `lay_out` makes.

    recipe: a path in the folder. rows: the labelled photos of `all`, in pseudo-random order.
    """

    folder: Path
    recipe: str
    rows: "pd.DataFrame"

    def lay_out(self, name: str, count: int) -> None:
        """Make the dataset `name` of `count` photos, which lie in the folder photos-<name>.

        Photos are repeated as needed. A larger dataset begins with the photos of a smaller one.
        """
        with contextlib.chdir(self.folder):
            repeat(self.rows, source_of(name), count)
            dataset.build(sources.parse(str(source_of(name))), Workspace(name))


def single_recipe(name: str) -> Recipe:
    """Return the recipe `name`, which must not be a blend."""
    recipe = recipe_files.read(name)
    assert isinstance(recipe, Recipe), name
    return recipe


def source_of(name: str) -> Path:
    """Return the folder of a dataset's photos, relative to the work folder."""
    return Path(f"photos-{name}")


def prepare(source: str, plan: Plan, folder: Path) -> Material:
    """Make the work folder, its recipe, and the datasets whose size is known."""
    from dogs_vs_cats.data import photos

    progress.say(f"bench: photos of {source}, repeated as needed")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    recipe = recipe_files.find(plan.recipe).resolve()
    chosen = sources.parse(str(Path(source).resolve()) if Path(source).exists() else source)
    with contextlib.chdir(folder):
        dataset.build(chosen, Workspace("all"))
        rows = photos.train(photos.read(Workspace("all"))).sort_values("sha256")
        plain = _one_view(recipe)
    material = Material(folder, plain, rows)
    for name, count in zip(("few", "many"), plan.memory, strict=True):
        material.lay_out(name, count)
    return material


def repeat(rows: "pd.DataFrame", folder: Path, count: int) -> None:
    """Write `count` photos into class folders, half of each class, no two with the same bytes.

    A repeated photo gets some bytes after its end, which decoders ignore.
    """
    for label, part in rows.groupby("label"):
        (folder / label).mkdir(parents=True)
        paths = part["path"].tolist()
        for number in range(count // rows["label"].nunique()):
            data = Path(paths[number % len(paths)]).read_bytes()
            copy = number // len(paths)
            suffix = f"bench {copy}".encode() if copy else b""
            (folder / label / f"{label}.{number}.jpg").write_bytes(data + suffix)


def _one_view(recipe: Path) -> str:
    """Write the recipe with `plain` as its only view; return its path."""
    text, count = re.subn(
        r"(?m)^(train_views|test_views) = \[.*?\]",
        r'\1 = ["plain"]',
        recipe.read_text(encoding="utf-8"),
    )
    if count != 2:
        raise UserError(f"{recipe} needs train_views and test_views, each as a list on one line.")
    path = Path(f"{recipe.stem}-plain.toml")
    files.write_text(path, text)
    return path.name
