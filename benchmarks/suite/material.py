"""What the bench works on: photos, laid out as many as a measurement needs, and their tables."""

import contextlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.suite.plan import Plan
from dogs_vs_cats import files, progress
from dogs_vs_cats.config import recipe_files
from dogs_vs_cats.data import dataset, sources
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Material:
    """A folder of the bench's own, with the dataset `all` and those that `lay_out` makes in it.

    recipe: a path in it. rows: the labelled photos of `all`, in an order that is as good as chance.
    """

    folder: Path
    recipe: str
    rows: "pd.DataFrame"

    def lay_out(self, name: str, count: int) -> None:
        """Make the dataset `name` of the folder photos-<name>, of `count` photos.

        Photos are repeated as needed; of two such datasets the larger begins with the smaller.
        """
        with contextlib.chdir(self.folder):
            repeat(self.rows, source_of(name), count)
            dataset.build(sources.parse(str(source_of(name))), Workspace(name))


def source_of(name: str) -> Path:
    """Return the folder, in the bench's own, that a dataset's photos lie in."""
    return Path(f"photos-{name}")


def prepare(source: str, plan: Plan, folder: Path) -> Material:
    """Make the folder, the tables whose size is known, and the recipe; return them."""
    from dogs_vs_cats.data import photos

    progress.say(f"bench: photos of {source}, repeated as needed")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    recipe = recipe_files.find(plan.recipe).resolve()
    wanted = sources.parse(str(Path(source).resolve()) if Path(source).exists() else source)
    with contextlib.chdir(folder):
        dataset.build(wanted, Workspace("all"))
        rows = photos.train(photos.read(Workspace("all"))).sort_values("sha256")
        plain = _one_view(recipe)
    made = Material(folder, plain, rows)
    for name, count in zip(("few", "many"), plan.memory, strict=True):
        made.lay_out(name, count)
    return made


def repeat(rows: "pd.DataFrame", folder: Path, count: int) -> None:
    """Write `count` photos into class folders, half of each class, no two with the same bytes.

    A photo that is repeated gets some bytes after its end, which decoders don't look at.
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
    """Write the recipe with its photos as they are as the only view; return its path."""
    text, count = re.subn(
        r"(?m)^(train_views|test_views) = \[.*?\]",
        r'\1 = ["plain"]',
        recipe.read_text(encoding="utf-8"),
    )
    if count != 2:
        raise UserError(f"Expected two lists of views, each in a line, in {recipe}. Received none.")
    path = Path(f"{recipe.stem}-plain.toml")
    files.write_text(path, text)
    return path.name
