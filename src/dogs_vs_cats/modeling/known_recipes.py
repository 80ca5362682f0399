"""Known recipes: those of the project, of this folder, and those that a dataset has models of.

Standard library alone.
"""

import json
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats import environment
from dogs_vs_cats.config import engines, recipe_files, recipes
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.workspace import CURRENT, Workspace


@dataclass(frozen=True)
class KnownRecipe:
    """called: what RECIPE= names it by."""

    called: str
    recipe: Recipe | Blend

    def command(
        self, target: str, workspace: Workspace, engine: Engine, with_dataset: bool = False
    ) -> str:
        """Return `make train RECIPE=light`, and what is not usual: dataset, engine, backend."""
        words = ["make", target, f"RECIPE={shlex.quote(self.called)}"]
        current = CURRENT.read_text(encoding="utf-8").strip() if CURRENT.exists() else ""
        if with_dataset or current != workspace.dataset:
            words.append(f"DATASET={workspace.dataset}")
        if engine.name != engines.ENGINES[0]:
            words.append(f"ENGINE={engine.name}")
        if engine != engines.choose(engine.name, "auto"):
            words.append(f"PRECISION={engine.precision}")
        if environment.backend() != environment.BACKENDS[0]:
            words.append(f"KERAS_BACKEND={environment.backend()}")
        return " ".join(words)


def files() -> list[str]:
    """Return what RECIPE= may name without a folder: the project's recipes, .toml files here."""
    return [*recipe_files.names(), *sorted(map(str, filter(_is_recipe, Path().glob("*.toml"))))]


def _is_recipe(path: Path) -> bool:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):  # neither TOML nor UTF-8, a folder, a broken link
        return False
    return "members" in table or {"features", "head"} <= table.keys()


def find(workspace: Workspace, name: str) -> KnownRecipe | None:
    """Return the recipe that a folder in models/ is called after, as its file says now.

    Where it is none of `files`, as it was trained; None where that isn't recorded. UserError if its
    file is wrong.
    """
    if name in recipe_files.names():
        return KnownRecipe(name, recipe_files.read(name))
    if _is_recipe(own := Path(f"{name}.toml")):
        return KnownRecipe(str(own), recipe_files.read(str(own)))
    path = workspace.model(name) / "record.json"
    record = json.loads(path.read_text(encoding="utf-8")).get("recipe") if path.exists() else None
    if record is None:
        return None
    if "members" not in record:
        return KnownRecipe(f"{name}.toml", recipes.recorded(record))
    words, members = [], []
    for member in record["members"]:
        found = find(workspace, member["name"])
        if found is None or isinstance(found.recipe, Blend):
            return None
        words.append(found.called)
        members.append(found.recipe)
    blend = Blend(name, record["about"], tuple(members), record["twins"])
    return KnownRecipe(" ".join(words), blend)
