"""Choices: the trained recipes of a dataset that a user may predict with."""

import json

from dogs_vs_cats.analysis import compare
from dogs_vs_cats.config import recipes
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend, Recipe
from dogs_vs_cats.modeling import blend
from dogs_vs_cats.workspace import Workspace


def trained(workspace: Workspace, engine: Engine) -> dict[str, Recipe | Blend]:
    """Return name -> recipe or blend, as its heads were trained, for those that are up to date."""
    found = {}
    for folder in compare.folders(workspace):
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))["recipe"]
        recipe = _recorded(record)
        if blend.fresh(workspace, recipe, engine) is not None:
            found[recipe.name] = recipe
    return found


def _recorded(record: dict) -> Recipe | Blend:
    if "members" not in record:
        return recipes.recorded(record)
    members = tuple(map(recipes.recorded, record["members"]))
    return Blend(record["name"], record["about"], members, record.get("twins", True))
