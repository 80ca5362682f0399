"""The recipes that `make status` is about. Standard library alone."""

from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.config import recipe_files, recipes
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Blend
from dogs_vs_cats.errors import UserError
from dogs_vs_cats.features import cache, features_state
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.modeling import known_recipes, model_folder
from dogs_vs_cats.modeling.known_recipes import KnownRecipe
from dogs_vs_cats.workspace import Workspace

DEFAULT = "fast"


@dataclass(frozen=True)
class RecipesHere:
    """shown: those with features, heads or a CSV, and the default one. alike: what RECIPE= names
    others by, whose features are all among those of recipes that are shown. gone: the names of
    recipes with a CSV that are recorded nowhere. wrong: what is wrong with a recipe's file.
    """

    shown: list[KnownRecipe]
    alike: list[str]
    gone: list[str]
    wrong: list[str]


def of_dataset(workspace: Workspace, engine: Engine, lines: list[LedgerLine]) -> RecipesHere:
    """Return the recipes of a dataset. lines: the ledger's."""
    names = {DEFAULT, *model_folder.begun(workspace)}
    names |= {x.recipe for x in lines if x.recipe and x.dataset == workspace.dataset}
    found: dict[str, KnownRecipe | None] = {}
    wrong = []
    for name in sorted(names):
        try:
            found[name] = known_recipes.find(workspace, name)
        except UserError as error:
            wrong.append(str(error))
    shown = [known for known in found.values() if known]
    stores = {path for known in shown for path in _stores(workspace, known, engine)}
    alike = []
    for called in known_recipes.files():
        if Path(called).stem in names:
            continue
        try:
            known = KnownRecipe(called, recipe_files.read(called))
        except UserError as error:
            wrong.append(str(error))
            continue
        own = set() if isinstance(known.recipe, Blend) else _stores(workspace, known, engine)
        if not any(map(features_state.begun, own)):
            continue
        if own <= stores:
            alike.append(called)
        else:
            shown.append(known)
    gone = [name for name, known in found.items() if not known]
    return RecipesHere(shown, alike, gone, wrong)


def _stores(workspace: Workspace, known: KnownRecipe, engine: Engine) -> set[Path]:
    """Return the folders of a recipe's features, of a blend those of its members."""
    return {
        path
        for member in recipes.members(known.recipe)
        for path in cache.stores(workspace, member.features, engine).values()
    }


def with_members(workspace: Workspace, called: str) -> list[KnownRecipe]:
    """Return the recipe that RECIPE= names; of a blend its members first."""
    recipe = recipe_files.read(called)
    words = {Path(word).stem: word for word in called.split()}
    known = []
    for member in recipes.members(recipe) if isinstance(recipe, Blend) else ():
        found = known_recipes.find(workspace, member.name)
        word = words.get(member.name) or (found.called if found else member.name)
        known.append(KnownRecipe(word, member))
    return [*known, KnownRecipe(called, recipe)]
