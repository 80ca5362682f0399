"""The status of a recipe: how far each stage is, and what to run next. Standard library alone."""

from dataclasses import dataclass
from pathlib import Path

from dogs_vs_cats.config import recipes
from dogs_vs_cats.config.engines import Engine
from dogs_vs_cats.config.recipes import Recipe
from dogs_vs_cats.data import dataset
from dogs_vs_cats.features import cache, features_state, rates
from dogs_vs_cats.features.features_state import FeaturesState
from dogs_vs_cats.kaggle import competitions
from dogs_vs_cats.kaggle.ledger import LedgerLine
from dogs_vs_cats.modeling import heads_state
from dogs_vs_cats.modeling.heads_state import HeadsState
from dogs_vs_cats.modeling.known_recipes import KnownRecipe
from dogs_vs_cats.submission import csv_state
from dogs_vs_cats.submission.csv_state import CsvState
from dogs_vs_cats.workspace import Workspace


@dataclass(frozen=True)
class NextCommand:
    """The target of make that brings a recipe further. seconds: about what it takes, None if that
    was never measured here.
    """

    target: str
    seconds: float | None = None


@dataclass(frozen=True)
class RecipeStatus:
    """features, heads: of each member of a blend, or of the recipe alone, by name. whole: the state
    of the heads, of a blend that of its weights. next: None if nothing is to do.
    """

    known: KnownRecipe
    features: dict[str, FeaturesState]
    heads: dict[str, HeadsState]
    whole: HeadsState
    csv: CsvState
    next: NextCommand | None


def of(
    workspace: Workspace, known: KnownRecipe, engine: Engine, lines: list[LedgerLine]
) -> RecipeStatus:
    """Return the status of a recipe or a blend. lines: the ledger's."""
    recipe = known.recipe
    members = {member.name: member for member in recipes.members(recipe)}
    features = {
        name: features_state.of(workspace, member.features, engine)
        for name, member in members.items()
    }
    heads = {name: heads_state.of(workspace, member, engine) for name, member in members.items()}
    alone = isinstance(recipe, Recipe)
    whole = heads[recipe.name] if alone else heads_state.of(workspace, recipe, engine)
    csv = csv_state.of(workspace, recipe, whole.result is not None, lines)
    command: NextCommand | None
    if not all(state.fresh for state in features.values()):
        command = NextCommand("features", _computing(workspace, members, engine, features))
    elif whole.result is None:
        command = NextCommand("train", _training(workspace, members, heads))
    elif not csv.fresh:
        command = NextCommand("submit", _predicting(workspace, members))
    else:
        command = _sending(workspace, csv)
    return RecipeStatus(known, features, heads, whole, csv, command)


def _computing(
    workspace: Workspace,
    members: dict[str, Recipe],
    engine: Engine,
    states: dict[str, FeaturesState],
) -> float | None:
    """Return the seconds of `make features`."""
    each: list[float | None] = []
    counted: set[Path] = set()  # stores that members share
    for name, member in members.items():
        stores = set(cache.stores(workspace, member.features, engine).values())
        missing = 0 if stores <= counted else states[name].missing
        counted |= stores
        rate = rates.views(workspace, member.features, engine) if missing else None
        start = rates.start_up(workspace, member.features, engine)
        each.append(start + missing / rate if rate else None if missing else 0.0)
    return _sum(each)


def _training(
    workspace: Workspace, members: dict[str, Recipe], states: dict[str, HeadsState]
) -> float | None:
    """Return the seconds of `make train`, the weights of a blend, which take few, left out."""
    behind = [name for name, state in states.items() if state.result is None]
    each = [heads_state.seconds_left(workspace, members[name], states[name]) for name in behind]
    return _sum(each)


def _predicting(workspace: Workspace, members: dict[str, Recipe]) -> float | None:
    """Return the seconds of predicting the test photos."""
    photos = dataset.read(workspace).test_photos
    each = _sum([rates.predicted(workspace, member) for member in members.values()])
    return None if each is None else photos * each


def _sum(seconds: list[float | None]) -> float | None:
    """Return the sum; None if one is not known."""
    known = [x for x in seconds if x is not None]
    return sum(known) if len(known) == len(seconds) else None


def _sending(workspace: Workspace, csv: CsvState) -> NextCommand | None:
    """Return what brings the score of a CSV that is up to date."""
    competition = dataset.read(workspace).competition
    if competition in ("", competitions.REHEARSAL):
        return None
    if csv.line is None or not csv.line.ref or csv.line.status == "ERROR":
        return NextCommand("submit")
    return NextCommand("scores") if csv.line.status != "COMPLETE" else None
